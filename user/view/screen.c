// SPDX-License-Identifier: GPL-2.0-or-later
/* The terminal, by curses; see screen.h. */
#include <curses.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "base/alloc.h"
#include "base/format.h"
#include "view/actions.h"
#include "view/screen.h"

#define ESCAPE_DELAY_MS 25	/* a lone Esc is one after that */

static const struct role_row {
	short fg256, bg256, fg16, bg16;
	attr_t attributes;
} role_rows[ROLES_COUNT] = {
#define X(role, fg256, bg256, fg16, bg16, attributes) { fg256, bg256, fg16, bg16, attributes },
	ROLES(X)
#undef X
};

static const char *const glyphs_utf8[] = {
#define X(glyph, utf8, ascii) utf8,
	GLYPHS(X)
#undef X
};

static const char *const glyphs_ascii[] = {
#define X(glyph, utf8, ascii) ascii,
	GLYPHS(X)
#undef X
};

static struct {
	SCREEN *terminal;
	FILE *in;		/* NULL: stdin */
	struct termios saved;
	bool saved_valid;
	char leave[128];	/* what puts the terminal right, for handlers */
	attr_t attributes[ROLES_COUNT];
	bool utf8, colours, open;
} screen;

/* --- opening and leaving --- */

static bool has_colours(void)
{
	const char *no_color = getenv("NO_COLOR");

	return !(no_color && *no_color) && has_colors() && start_color() == OK;
}

static attr_t coloured(int role, bool defaults)
{
	const struct role_row *row = &role_rows[role];
	short fg = COLORS >= 256 ? row->fg256 : row->fg16;
	short bg = COLORS >= 256 ? row->bg256 : row->bg16;
	attr_t kept = A_BOLD;

	/* Eight colours have no grey. */
	if (fg >= COLORS) {
		fg = -1;
		kept |= A_DIM;
	}
	if (!defaults) {
		fg = fg < 0 ? COLOR_WHITE : fg;
		bg = bg < 0 ? COLOR_BLACK : bg;
	}
	init_pair((short)(role + 1), fg, bg);
	return COLOR_PAIR(role + 1) | (row->attributes & kept);
}

static void set_roles(void)
{
	bool defaults;

	screen.colours = has_colours();
	defaults = screen.colours && use_default_colors() == OK;
	for (int i = 0; i < ROLES_COUNT; i++)
		screen.attributes[i] = screen.colours ? coloured(i, defaults) :
			role_rows[i].attributes;
}

static void append_capability(const char *name)
{
	const char *text = tigetstr(name);
	size_t len = strlen(screen.leave);

	if (text && text != (char *)-1 && len + strlen(text) < sizeof(screen.leave))
		strcpy(screen.leave + len, text);
}

/* Allocates nothing: memory may be out, or the heap broken. */
static void restore_at_once(void)
{
	if (!screen.open)
		return;
	screen.open = false;
	if (write(STDOUT_FILENO, screen.leave, strlen(screen.leave)) < 0)
		return;
	if (screen.saved_valid)
		tcsetattr(screen_fd(), TCSANOW, &screen.saved);
}

static void on_bug(int sig)
{
	restore_at_once();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void catch_bugs(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], on_bug);
}

int screen_fd(void)
{
	return screen.in ? fileno(screen.in) : STDIN_FILENO;
}

static struct error *check_size(void)
{
	if (screen_fits())
		return NULL;
	return error_create(ERROR_UNSUPPORTED,
			    "the terminal has %d rows of %d columns: top needs %d of %d"
			    " (or --batch N)",
			    LINES, COLS, SCREEN_ROWS_MIN, SCREEN_COLUMNS_MIN);
}

static struct error *not_able(void)
{
	const char *term = getenv("TERM");

	return error_create(ERROR_UNSUPPORTED,
			    "a terminal of type '%s' cannot place the cursor: set TERM to what"
			    " it is, or use --batch N", term ? term : "");
}

static struct error *start_curses(void)
{
	setlocale(LC_CTYPE, "");
	screen.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	if (!isatty(STDIN_FILENO)) {
		screen.in = fopen("/dev/tty", "re");
		if (!screen.in)
			return error_create(ERROR_UNSUPPORTED,
					    "there is no terminal to read keys from:"
					    " use --batch N");
	}
	screen.saved_valid = !tcgetattr(screen_fd(), &screen.saved);
	set_escdelay(ESCAPE_DELAY_MS);
	screen.terminal = newterm(NULL, stdout, screen.in ? screen.in : stdin);
	if (!screen.terminal)
		return not_able();
	screen.open = true;
	if (!tigetstr("cup") || tigetstr("cup") == (char *)-1) {
		screen_close();
		return not_able();
	}
	return NULL;
}

struct error *screen_open(void)
{
	struct error *err = start_curses();

	if (!err) {
		err = check_size();
		if (err)
			screen_close();
	}
	if (err)
		return err;
	append_capability("sgr0");
	append_capability("rmkx");
	append_capability("cnorm");
	append_capability("rmcup");
	set_oom_handler(restore_at_once);
	catch_bugs();
	atexit(screen_close);
	set_roles();
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	leaveok(stdscr, TRUE);
	curs_set(0);
	return NULL;
}

void screen_close(void)
{
	if (!screen.open)
		return;
	screen.open = false;
	curs_set(1);
	endwin();
	delscreen(screen.terminal);
	screen.terminal = NULL;
	if (screen.in)
		fclose(screen.in);
	screen.in = NULL;
}

/* --- keys --- */

int screen_key(void)
{
	int key = getch();

	switch (key) {
	case ERR:
		return SCREEN_NO_KEY;
	case KEY_RESIZE:
		return SCREEN_RESIZED;
	case '\r':
	case KEY_ENTER:
		return '\n';
	case 127:
	case '\b':
		return KEY_BACKSPACE;
	default:
		return key;
	}
}

const char *screen_key_name(int key, char buf[16])
{
	static const struct { int key; const char *name; } names[] = {
		{ KEY_UP, "Up" }, { KEY_DOWN, "Down" }, { KEY_LEFT, "Left" },
		{ KEY_RIGHT, "Right" }, { KEY_PPAGE, "PgUp" }, { KEY_NPAGE, "PgDn" },
		{ KEY_HOME, "Home" }, { KEY_END, "End" }, { KEY_BACKSPACE, "Backspace" },
		{ '\n', "Enter" }, { '\t', "Tab" }, { ' ', "Space" }, { ESC, "Esc" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].key == key)
			return names[i].name;
	if (key >= KEY_F(1) && key <= KEY_F(12))
		snprintf(buf, 16, "F%d", key - KEY_F(0));
	else if (key < ' ')
		snprintf(buf, 16, "^%c", key + '@');
	else
		snprintf(buf, 16, "%c", key);
	return buf;
}

/* --- the whole screen --- */

struct area screen_area(void)
{
	return (struct area){ 0, 0, LINES, COLS };
}

bool screen_fits(void)
{
	return LINES >= SCREEN_ROWS_MIN && COLS >= SCREEN_COLUMNS_MIN;
}

bool screen_has_colours(void)
{
	return screen.colours;
}

void screen_erase(void)
{
	erase();
}

void screen_show(void)
{
	refresh();
}

void screen_redraw(void)
{
	redrawwin(stdscr);
	refresh();
}

void screen_cursor(int row, int column)
{
	curs_set(column >= 0);
	leaveok(stdscr, column < 0);
	if (column >= 0)
		move(row, column);
}

static void print_row(int row, FILE *f)
{
	wchar_t line[COLS + 1];
	int len = mvinnwstr(row, 0, line, COLS);

	while (len > 0 && line[len - 1] == L' ')
		len--;
	for (int i = 0; i < len; i++) {
		char bytes[MB_LEN_MAX];
		int n = wctomb(bytes, line[i]);

		fwrite(n > 0 ? bytes : "?", n > 0 ? (size_t)n : 1, 1, f);
	}
	fputc('\n', f);
}

void screen_print(FILE *f)
{
	for (int row = 0; row < LINES; row++)
		print_row(row, f);
}

/* --- drawing --- */

const char *glyph(enum glyph glyph)
{
	return screen.utf8 ? glyphs_utf8[glyph] : glyphs_ascii[glyph];
}

/* As wide characters; what the terminal cannot show becomes '?'. */
static size_t widen(const char *text, wchar_t *wide, size_t size)
{
	struct strbuf safe __cleanup_strbuf = { 0 };
	size_t n = 0;

	format_escaped(&safe, text);
	for (const char *s = strbuf_str(&safe); *s && n + 1 < size;) {
		wchar_t c = (unsigned char)*s;
		int len = 1;

		if (c >= 0x80) {
			len = screen.utf8 ? mbtowc(&c, s, MB_CUR_MAX) : 0;
			if (len <= 0) {
				c = L'?';
				for (len = 1; (s[len] & 0xc0) == 0x80; len++)
					;
			}
		}
		s += len;
		if (wcwidth(c) >= 0)
			wide[n++] = c;
	}
	wide[n] = 0;
	return n;
}

/* Cuts to @width columns; the rest is told by a sign of its own. */
static int fit(wchar_t *wide, size_t n, int width)
{
	int columns = 0;
	wchar_t more[4];

	for (size_t i = 0; i < n; i++)
		columns += wcwidth(wide[i]);
	if (columns <= width)
		return columns;
	while (n && columns > width - 1)
		columns -= wcwidth(wide[--n]);
	widen(glyph(GLYPH_MORE), more, 4);
	wide[n] = more[0];
	wide[n + 1] = 0;
	return columns + 1;
}

#define TEXT_MAX 1024

static int clip_width(struct area area, int row, int column, int width)
{
	if (row < 0 || row >= area.rows || column < 0 || column >= area.columns)
		return 0;
	return width < area.columns - column ? width : area.columns - column;
}

int draw_text(struct area area, int row, int column, int width, enum role role,
	      const char *text)
{
	wchar_t wide[TEXT_MAX];
	int columns;

	width = clip_width(area, row, column, width);
	if (width <= 0)
		return 0;
	columns = fit(wide, widen(text, wide, TEXT_MAX - 1), width);
	attrset(screen.attributes[role]);
	mvaddwstr(area.row + row, area.column + column, wide);
	attrset(A_NORMAL);
	return columns;
}

void draw_right(struct area area, int row, int column, int width, enum role role,
		const char *text)
{
	wchar_t wide[TEXT_MAX];
	int columns = fit(wide, widen(text, wide, TEXT_MAX - 1), width);

	draw_text(area, row, column + width - columns, columns, role, text);
}

int draw_format(struct area area, int row, int column, enum role role, const char *fmt, ...)
{
	struct strbuf text __cleanup_strbuf = { 0 };
	va_list args;

	va_start(args, fmt);
	strbuf_vaddf(&text, fmt, args);
	va_end(args);
	return draw_text(area, row, column, area.columns - column, role, strbuf_str(&text));
}

void draw_fill(struct area area, int row, int column, int width, enum role role, char c)
{
	width = clip_width(area, row, column, width);
	if (width <= 0)
		return;
	attrset(screen.attributes[role]);
	mvhline(area.row + row, area.column + column, (chtype)c | screen.attributes[role], width);
	attrset(A_NORMAL);
}

void draw_recolour(struct area area, int row, int column, int width, enum role role)
{
	attr_t attributes = screen.attributes[role];

	width = clip_width(area, row, column, width);
	if (width > 0)
		mvchgat(area.row + row, area.column + column, width, attributes & ~A_COLOR,
			PAIR_NUMBER(attributes), NULL);
}

void draw_bar(struct area area, int row, int column, int width, const struct bar_part *parts,
	      size_t count, double whole)
{
	double sum = 0;
	int at = 0, room = width - 2;

	if (room <= 0)
		return;
	draw_text(area, row, column, 1, ROLE_TITLE, "[");
	for (size_t i = 0; i < count; i++) {
		int end;

		sum += parts[i].value > 0 ? parts[i].value : 0;
		end = whole > 0 ? (int)lround(fmin(1, sum / whole) * room) : 0;
		for (; at < end; at++)
			draw_text(area, row, column + 1 + at, 1, parts[i].role,
				  glyph(GLYPH_FULL));
	}
	for (; at < room; at++)
		draw_text(area, row, column + 1 + at, 1, ROLE_DIM, glyph(GLYPH_EMPTY));
	draw_text(area, row, column + 1 + room, 1, ROLE_TITLE, "]");
}

const char *spark_glyph(double level)
{
	static const char *const utf8[] = {
		" ", "\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587",
		"\u2588",
	};
	static const char *const ascii[] = { " ", "_", ".", "-", ":", "=", "+", "*", "#" };
	int i = (int)ceil(level * 8);

	i = i < 0 ? 0 : i > 8 ? 8 : i;
	return screen.utf8 ? utf8[i] : ascii[i];
}

void draw_sparkline(struct area area, int row, int column, int width, enum role role,
		    const double *values, size_t count)
{
	size_t first = count > (size_t)width ? count - width : 0;
	double max = 0;

	for (size_t i = first; i < count; i++)
		max = fmax(max, values[i]);
	for (size_t i = first; i < count; i++)
		draw_text(area, row, column + (int)(i - first), 1, role,
			  spark_glyph(max > 0 ? fmax(values[i] / max, 0.01) : 0.01));
}
