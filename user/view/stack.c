// SPDX-License-Identifier: GPL-2.0-or-later
/* Stack: the whole call path of a site, and the source of the frame under the cursor. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "model/fields.h"
#include "view/names.h"
#include "view/ui.h"

#define FIGURE_ROWS 3
#define PARTS_TOLD 3		/* threads, and size classes */
#define SOURCE_ROWS_MAX 9
#define TAB_COLUMNS 4
#define SOURCE_BYTES_MAX (8u << 20)

struct stack_state {
	struct list list;
	int scroll;
};

/* --- figures --- */

static int figure(struct area area, int row, int at, const char *name, const char *value)
{
	at += draw_format(area, row, at, ROLE_LABEL, "%s ", name);
	return at + draw_text(area, row, at, 20, ROLE_TEXT, value) + 3;
}

static void draw_figures(struct ui *ui, struct area area, const struct snapshot_stack *stack)
{
	struct metrics m = ui_metrics(ui, stack);
	struct site site = site_make(&ui->past, stack, &m);
	char buf[COLUMN_TEXT_MAX];
	int row = 0, at = 0;

	for (int i = 0; i < COLUMN_PATH; i++) {
		if (!column_is_known(ui_snapshot(ui), i) || i == COLUMN_TREND ||
		    i == COLUMN_THREAD || i == COLUMN_CLASS ||
		    (i == COLUMN_ERROR && !m.live_bytes_error))
			continue;
		if (at + 22 > area.columns) {
			row++;
			at = 0;
		}
		if (row < FIGURE_ROWS)
			at = figure(area, row, at, column_header(i), column_text(&site, i, buf));
	}
}

struct part { uint32_t key; int64_t live; };

DEFINE_VEC(part_vec, struct part);

static int compare_parts(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return x->live != y->live ? (x->live < y->live ? 1 : -1) : x->key < y->key ? -1 : 1;
}

static void add_part(struct part_vec *parts, uint32_t key, int64_t live)
{
	vec_for_each(part, parts)
		if (part->key == key) {
			part->live += live;
			return;
		}
	part_vec_push(parts, (struct part){ key, live });
}

/* "worker-1 62%, worker-2 38%": what each has of the live bytes, most first. */
static void add_parts(struct strbuf *text, const struct snapshot *snap,
		      const struct snapshot_stack *stack, enum split split)
{
	struct part_vec parts = { 0 };
	const char *before = "";
	char name[16];

	shares_for_each(share, snap, stack)
		add_part(&parts, split == SPLIT_THREAD ? share->thread : share->size_class,
			 share->live_bytes);
	if (parts.len)
		qsort(parts.data, parts.len, sizeof(*parts.data), compare_parts);
	for (size_t i = 0; i < parts.len && i < PARTS_TOLD; i++) {
		const struct part *part = &parts.data[i];

		strbuf_addstr(text, before);
		if (split == SPLIT_THREAD)
			share_thread_name(text, snap, part->key);
		else
			strbuf_addf(text, "%s", share_class_name(part->key, name));
		if (stack->m.live_bytes > 0)
			strbuf_addf(text, " %.0f%%",
				    100 * (double)part->live / (double)stack->m.live_bytes);
		before = ", ";
	}
	if (parts.len > PARTS_TOLD)
		strbuf_addf(text, ", %zu more", parts.len - PARTS_TOLD);
	part_vec_deinit(&parts);
}

static void draw_parts(struct area area, int row, const struct snapshot *snap,
		       const struct snapshot_stack *stack)
{
	struct strbuf threads __cleanup_strbuf = { 0 }, classes __cleanup_strbuf = { 0 };
	int at;

	add_parts(&threads, snap, stack, SPLIT_THREAD);
	add_parts(&classes, snap, stack, SPLIT_CLASS);
	at = draw_text(area, row, 0, area.columns, ROLE_LABEL, "threads ");
	at += draw_text(area, row, at, area.columns - at, ROLE_TEXT, strbuf_str(&threads)) + 3;
	at += draw_text(area, row, at, area.columns - at, ROLE_LABEL, "blocks of up to ");
	draw_text(area, row, at, area.columns - at, ROLE_TEXT, strbuf_str(&classes));
}

static void draw_title(struct area area, int row, const struct snapshot *snap,
		       const struct snapshot_stack *stack)
{
	const struct frame *thread = thread_frame(snap, stack);
	struct strbuf text __cleanup_strbuf = { 0 };

	strbuf_addf(&text, "%u frames, %s memory", stack->frame_count,
		    memory_kind_name(stack->kind));
	if (stack->target < snap->targets.len)
		strbuf_addf(&text, " of %s", snap->targets.data[stack->target].comm);
	if (thread) {
		strbuf_addstr(&text, ", thread began in ");
		name_frame(&text, thread);
	}
	if (stack->status != UNWIND_COMPLETE)
		strbuf_addf(&text, ", walk: %s", unwind_status_name(stack->status));
	draw_fill(area, row, 0, area.columns, ROLE_HEADER, ' ');
	draw_text(area, row, 0, area.columns, ROLE_HEADER, strbuf_str(&text));
}

/* --- frames --- */

static enum role frame_role(struct ui *ui, const struct frame *frame)
{
	if (filter_matches_frame(&ui->search, frame))
		return ROLE_MATCH;
	return frame->inlined ? ROLE_INLINED : frame->function ? ROLE_FUNCTION : ROLE_DIM;
}

static void draw_frame(struct ui *ui, struct area area, int row, int scroll, uint32_t number,
		       const struct frame *frame)
{
	struct strbuf name __cleanup_strbuf = { 0 }, place __cleanup_strbuf = { 0 };
	int at = draw_format(area, row, 0, ROLE_DIM, "%3u ", number);
	int place_width = area.columns / 3, width = area.columns - at - place_width - 1;
	const char *shown;

	name_frame(&name, frame);
	if (frame->inlined)
		strbuf_addstr(&name, " (inlined)");
	if (frame->type)
		strbuf_addf(&name, " allocates %s", frame->type);
	shown = strbuf_str(&name);
	shown += scroll < (int)name.len ? scroll : (int)name.len;
	draw_text(area, row, at, width, frame_role(ui, frame), shown);
	name_place(&place, frame);
	if (frame->file && *frame->module)
		strbuf_addf(&place, "  %s", frame->module);
	draw_text(area, row, at + width + 1, place_width, ROLE_FILE, strbuf_str(&place));
}

/* --- source --- */

/* A plain file of sensible size; anything else that a target names is left alone. */
static FILE *open_source(const char *path)
{
	int fd __cleanup_close = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > SOURCE_BYTES_MAX)
		return NULL;
	return fdopen(steal_fd(&fd), "r");
}

static void draw_line(struct area area, int row, uint32_t number, bool current, char *line)
{
	struct strbuf text __cleanup_strbuf = { 0 };

	line[strcspn(line, "\r\n")] = 0;
	for (; *line; line++) {
		if (*line != '\t')
			strbuf_addch(&text, *line);
		else
			do
				strbuf_addch(&text, ' ');
			while (text.len % TAB_COLUMNS);
	}
	draw_format(area, row, 0, current ? ROLE_WARN : ROLE_DIM, "%6u  %s", number,
		    strbuf_str(&text));
}

/* The lines around the frame's; returns whether the file was there. */
static bool draw_source(struct area area, const struct frame *frame)
{
	FILE *f __cleanup_fclose = frame->file ? open_source(frame->file) : NULL;
	char *line __cleanup_free = NULL;
	uint32_t first = frame->line > (uint32_t)area.rows / 2 ? frame->line - area.rows / 2 : 1;
	size_t size = 0;

	for (uint32_t number = 1; f && number < first + area.rows; number++) {
		if (getline(&line, &size, f) < 0)
			break;
		if (number >= first)
			draw_line(area, (int)(number - first), number, number == frame->line, line);
	}
	return f;
}

static void draw_source_title(struct area area, int row, const struct frame *frame)
{
	struct strbuf text __cleanup_strbuf = { 0 };

	if (frame->file)
		strbuf_addf(&text, "%s:%u", frame->file, frame->line);
	else
		strbuf_addf(&text, "%s+0x%llx, no line known",
			    *frame->path ? frame->path : "no file",
			    (unsigned long long)frame->offset);
	draw_fill(area, row, 0, area.columns, ROLE_HEADER, ' ');
	draw_text(area, row, 0, area.columns, ROLE_HEADER, strbuf_str(&text));
}

static void draw_frames(struct ui *ui, struct stack_state *state, struct area area,
			const struct snapshot_stack *stack)
{
	const struct frame *frames = snapshot_frames(ui_snapshot(ui), stack);
	struct list *list = &state->list;

	list_fit(list, stack->frame_count, area.rows);
	for (int row = 0; row < list->rows && list->top + row < list->count; row++) {
		draw_frame(ui, area, row, state->scroll, (uint32_t)(list->top + row),
			   &frames[list->top + row]);
		if (list->top + row == list->cursor)
			draw_recolour(area, row, 0, area.columns, ROLE_SELECTED);
	}
}

static void stack_draw(struct ui *ui, void *arg, struct area area)
{
	const struct snapshot_stack *stack = ui_selected(ui);
	const struct frame *frames;
	struct stack_state *state = arg;
	struct area list = area, source = area;
	int figures = FIGURE_ROWS;

	if (!stack) {
		draw_text(area, 1, 2, area.columns, ROLE_DIM,
			  "no site is chosen: Enter in the view Sites does");
		return;
	}
	frames = snapshot_frames(ui_snapshot(ui), stack);
	draw_title(area, 0, ui_snapshot(ui), stack);
	draw_figures(ui, (struct area){ area.row + 1, 0, FIGURE_ROWS, area.columns }, stack);
	if (stack->share_count) {
		draw_parts(area, 1 + FIGURE_ROWS, ui_snapshot(ui), stack);
		figures++;
	}
	source.rows = (area.rows - figures) / 2 - 1;
	source.rows = source.rows > SOURCE_ROWS_MAX ? SOURCE_ROWS_MAX : source.rows;
	source.row = area.row + area.rows - source.rows;
	list.row += 1 + figures;
	list.rows = area.rows - 2 - figures - source.rows;
	draw_frames(ui, state, list, stack);
	if (!stack->frame_count)
		return;
	draw_source_title(area, area.rows - source.rows - 1, &frames[state->list.cursor]);
	if (source.rows > 0 && !draw_source(source, &frames[state->list.cursor]))
		draw_text(source, 0, 2, source.columns, ROLE_DIM,
			  "the source is not on this machine under that name");
}

static unsigned int find_next(struct ui *ui, struct stack_state *state)
{
	const struct snapshot_stack *stack = ui_selected(ui);
	const struct frame *frames = stack ? snapshot_frames(ui_snapshot(ui), stack) : NULL;

	for (uint32_t i = 1; stack && i <= stack->frame_count; i++) {
		size_t at = (state->list.cursor + i) % stack->frame_count;

		if (filter_matches_frame(&ui->search, &frames[at])) {
			state->list.cursor = at;
			return EFFECT_DRAW;
		}
	}
	return ui_say(ui, NOTE_WARN, "nothing found");
}

static unsigned int stack_act(struct ui *ui, void *arg, enum action action)
{
	struct stack_state *state = arg;

	switch (action) {
	case ACTION_NEXT:
		return find_next(ui, state);
	case ACTION_LEFT:
		state->scroll -= state->scroll >= 8 ? 8 : state->scroll;
		return EFFECT_DRAW;
	case ACTION_RIGHT:
		state->scroll += 8;
		return EFFECT_DRAW;
	default:
		return list_act(&state->list, action);
	}
}

const struct view_ops view_stack = {
	.state_bytes = sizeof(struct stack_state),
	.draw = stack_draw,
	.act = stack_act,
};
