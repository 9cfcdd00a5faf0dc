/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal: opening and leaving it, keys, colour roles, glyphs, and the
 * few things that views draw. All curses calls stand in screen.c.
 *
 * A terminal may have 256 colours, 16, 8 or none (NO_COLOR), UTF-8 or ASCII;
 * views name roles and glyphs and never ask.
 */
#ifndef HEAPSONDE_VIEW_SCREEN_H
#define HEAPSONDE_VIEW_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

#define SCREEN_ROWS_MIN 12
#define SCREEN_COLUMNS_MIN 60

/*
 * X(role, foreground and background of 256 colours, of 16 or 8, attributes)
 * -1 is the terminal's own. Without colours the attributes speak alone; bold
 * is kept with colours, too.
 */
#define ROLES(X)						\
	X(ROLE_TEXT,      -1,  -1, -1, -1, A_NORMAL)		\
	X(ROLE_DIM,      244,  -1,  8, -1, A_DIM)		\
	X(ROLE_TITLE,     -1,  -1, -1, -1, A_BOLD)		\
	X(ROLE_LABEL,     73,  -1,  6, -1, A_NORMAL)		\
	X(ROLE_GOOD,      71,  -1,  2, -1, A_NORMAL)		\
	X(ROLE_WARN,     179,  -1,  3, -1, A_BOLD)		\
	X(ROLE_BAD,      203,  -1,  1, -1, A_BOLD)		\
	X(ROLE_LIVE,      74,  -1,  4, -1, A_BOLD)		\
	X(ROLE_RSS,       65,  -1,  2, -1, A_NORMAL)		\
	X(ROLE_LIVE_ON_RSS, 74, 65,  4,  2, A_BOLD)		\
	X(ROLE_OTHER,    179,  -1,  3, -1, A_NORMAL)		\
	X(ROLE_HEADER,    16,  71,  0,  2, A_REVERSE)		\
	X(ROLE_SORTED,    16,  80,  0,  6, A_REVERSE | A_BOLD)	\
	X(ROLE_SELECTED,  16,  80,  0,  6, A_REVERSE)		\
	X(ROLE_KEY,       -1,  -1, -1, -1, A_BOLD)		\
	X(ROLE_WORD,      16,  73,  0,  6, A_REVERSE)		\
	X(ROLE_WORD_ON,   16,  71,  0,  2, A_REVERSE | A_BOLD)	\
	X(ROLE_FUNCTION,  -1,  -1, -1, -1, A_NORMAL)		\
	X(ROLE_INLINED,  108,  -1,  2, -1, A_DIM)		\
	X(ROLE_FILE,      67,  -1,  4, -1, A_NORMAL)		\
	X(ROLE_MATCH,     16, 176,  0,  5, A_REVERSE | A_UNDERLINE) \
	X(ROLE_FLAME_A,   16, 179,  0,  3, A_REVERSE)		\
	X(ROLE_FLAME_B,   16, 173,  0,  1, A_REVERSE)		\
	X(ROLE_FLAME_C,   16, 144,  0,  2, A_REVERSE)		\
	X(ROLE_FLAME_D,   16, 180,  0,  7, A_REVERSE)

enum role {
#define X(role, fg256, bg256, fg16, bg16, attributes) role,
	ROLES(X)
#undef X
	ROLES_COUNT
};

/* X(glyph, UTF-8, ASCII), each one column wide */
#define GLYPHS(X)				\
	X(GLYPH_FULL,     "\u2588", "#")	\
	X(GLYPH_SHADE,    "\u2591", ":")	\
	X(GLYPH_EMPTY,    "\u00b7", ".")	\
	X(GLYPH_DOWN,     "\u25bc", "v")	\
	X(GLYPH_UP,       "\u25b2", "^")	\
	X(GLYPH_CALLER,   "\u2039", "<")	\
	X(GLYPH_MORE,     "\u2026", "~")	\
	X(GLYPH_FOLDED,   "\u25b8", "+")	\
	X(GLYPH_UNFOLDED, "\u25be", "-")	\
	X(GLYPH_LINE,     "\u2500", "-")	\
	X(GLYPH_BAR,      "\u2502", "|")	\
	X(GLYPH_TEE,      "\u251c", "|")	\
	X(GLYPH_CORNER,   "\u2514", "`")	\
	X(GLYPH_EVENT,    "\u25c6", "*")	\
	X(GLYPH_CURSOR,   "\u25b2", "^")	\
	X(GLYPH_RECORD,   "\u25cf", "*")	\
	X(GLYPH_FOCUS,    "\u25c9", "@")

enum glyph {
#define X(glyph, utf8, ascii) glyph,
	GLYPHS(X)
#undef X
	GLYPHS_COUNT
};

/* A part of the screen, from (row, column) on. */
struct area { int row, column, rows, columns; };

/*
 * Takes the terminal over. ERROR_UNSUPPORTED when it cannot place the cursor
 * or is too small. From here on the terminal is given back by screen_close(),
 * at exit(), when memory is out, and at the signals that mean a bug.
 */
struct error *screen_open(void) __must_check;
void screen_close(void);

/* To poll(2) for keys. */
int screen_fd(void);
#define SCREEN_NO_KEY (-1)
#define SCREEN_RESIZED (-2)
/* The next key, a code of <curses.h>, without waiting. */
int screen_key(void);
/* "F2", "Enter", "^L", "/"; @buf has 16 bytes. */
const char *screen_key_name(int key, char buf[16]);

struct area screen_area(void);
bool screen_fits(void);
bool screen_has_colours(void);
void screen_erase(void);
/* Sends what has changed since the last time. */
void screen_show(void);
/* Sends everything, whatever the terminal shows now. */
void screen_redraw(void);
/* The cursor, for a prompt; hidden when @column < 0. */
void screen_cursor(int row, int column);
/* What is shown, as text. */
void screen_print(FILE *f);

const char *glyph(enum glyph glyph);

/*
 * Writes @text (UTF-8; control characters are escaped) on row @row of the area
 * from @column on, over at most @width columns, and returns how many it took.
 * What is too long ends in GLYPH_MORE.
 */
int draw_text(struct area area, int row, int column, int width, enum role role,
	      const char *text);
/* The same with the text's end at column + width. */
void draw_right(struct area area, int row, int column, int width, enum role role,
		const char *text);
int draw_format(struct area area, int row, int column, enum role role, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
void draw_fill(struct area area, int row, int column, int width, enum role role, char c);
/* Colours the columns anew, leaving the text. */
void draw_recolour(struct area area, int row, int column, int width, enum role role);

/* Parts of @whole, one after the other, over @width columns within brackets. */
struct bar_part { double value; enum role role; };
void draw_bar(struct area area, int row, int column, int width, const struct bar_part *parts,
	      size_t count, double whole);

/* A line of small columns, 0 to the largest of @values; @width columns show the last ones. */
void draw_sparkline(struct area area, int row, int column, int width, enum role role,
		    const double *values, size_t count);
/* The glyph for @level of 0 to 1 of a cell's height. */
const char *spark_glyph(double level);

#endif
