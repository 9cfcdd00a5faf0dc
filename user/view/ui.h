/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interactive screen: what is shown, where the user is in it, and what
 * keys do.
 *
 *	keys ------> ui_key()  -> effects ---> ui_draw()
 *	snapshots -> ui_take() -> effects --/
 *
 * Handlers change the state and say by effect flags what follows from it;
 * nobody but ui_draw() draws. Views see frozen snapshots; what only the owner of
 * the session can do goes through struct ui_host.
 */
#ifndef HEAPSONDE_VIEW_UI_H
#define HEAPSONDE_VIEW_UI_H

#include <stdbool.h>
#include <stdio.h>

#include "model/snapshot.h"
#include "view/actions.h"
#include "view/columns.h"
#include "view/filter.h"
#include "view/past.h"
#include "view/prompt.h"
#include "view/screen.h"
#include "view/shares.h"

enum effect {
	EFFECT_NONE = 0,
	EFFECT_DRAW = 1,	/* what is on the screen is out of date */
	EFFECT_DERIVE = 2,	/* so is what views made of the snapshot; implies DRAW */
	EFFECT_REDRAW = 4,	/* the terminal shows anything: send all of it */
	EFFECT_QUIT = 8,
	EFFECT_PASS = 16,	/* the view does not know the action: the screen acts */
};

/*
 * What the owner of the session does for the screen. Nothing here waits: what
 * takes time is done elsewhere and told by ui_note() later.
 */
struct ui_host {
	void *arg;
	bool replay;		/* a recording is shown: play, step */
	double interval_s;
	const char *level_note;	/* why the level stays as it is; NULL: it can change */
	void (*set_interval)(void *arg, double seconds);
	/* One allocation in so many bytes is recorded from now on; 0: every one. */
	void (*set_sampling)(void *arg, uint64_t mean_bytes);
	/* Each allocation of the likeliest leaks is traced, or no longer. */
	void (*turn_focus)(void *arg);
	/* To @path, or NULL: ends the recording that is being written. */
	void (*record)(void *arg, const char *path);
	/* Takes a reference of its own. The format is told by the name. */
	void (*export)(void *arg, struct snapshot *snap, const char *path);
	const char *export_formats;	/* "folded, json" */
	/* A mark was set; a recording that is being written gets it, too. */
	void (*mark)(void *arg);
	void (*play)(void *arg, bool on);
	/* Shows the moment that many later (earlier if negative). */
	void (*step)(void *arg, long moments);
	long moments;		/* of the recording */
};

/* A moment that the user may come back to. */
struct mark {
	struct snapshot *snap;	/* a reference */
	char *name;		/* of a recording's own; else NULL: it has its number only */
};

DEFINE_VEC(mark_vec, struct mark);

enum note_level { NOTE_INFO, NOTE_WARN, NOTE_BAD };

struct log_line {
	double t_s;		/* since attach */
	enum note_level level;
	char *text;
};

DEFINE_VEC(log_vec, struct log_line);

/* The call trees that views have in common, see calls.h; top-down and inverted. */
struct calls {
	struct calltree *trees[2];
	bool fresh[2];			/* filled with what is shown now */
	size_t walked;			/* of its stacks, how many calls_prepare() did */
	/* References that keep the frames: the store that snapshots share, or the one. */
	struct frame_store *store;
	struct snapshot *of;
};

struct ui;

struct view_ops {
	size_t state_bytes;	/* zeroed at the beginning */
	void (*deinit)(void *state);
	/* Makes what is drawn from ui->shown, the filter, the target, the mark. May be NULL. */
	void (*derive)(struct ui *ui, void *state);
	void (*draw)(struct ui *ui, void *state, struct area area);
	/* Actions that are the view's own; EFFECT_PASS for all others. May be NULL. */
	unsigned int (*act)(struct ui *ui, void *state, enum action action);
};

#define X(symbol, ops, name, letter, help) extern const struct view_ops ops;
VIEWS(X)
#undef X

#define ALL_TARGETS (-1)
#define VIEWS_BEFORE_MAX 16

struct ui {
	const struct ui_host *host;
	struct snapshot *shown, *newest;	/* references */
	struct past past;
	struct rates rates;			/* of what is shown */
	bool paused, ended, playing;
	double interval_s;

	enum view_id view;
	enum view_id before[VIEWS_BEFORE_MAX];
	int before_len;
	struct { void *state; bool stale; } views[VIEWS_COUNT];

	struct mark_vec marks;
	struct snapshot *base;			/* reference: changes since it; NULL */
	struct stack_index base_index;
	char *base_name;			/* "mark 2, 1 m 20 s" */
	struct snapshot *until;			/* changes_between() base and a mark; NULL */

	int target;				/* index of the snapshot's targets, ALL_TARGETS */
	struct filter filter, search;
	size_t limit;				/* sites shown; 0: all */
	size_t matching, all;			/* stacks of the shown target, and of all */

	enum column sort;
	bool reversed;
	const struct metric *metric;		/* of trees and flame graphs */
	bool inverted;
	struct calls calls;
	enum split split;			/* what tells sites of one path apart */
	uint64_t selected;			/* stack_key() of the site under the cursor */
	struct share_key selected_share;	/* the part of it */

	struct prompt prompt;
	struct log_vec notes;
	char *message;				/* under the view until the next key */
	enum note_level message_level;
	char *recording;			/* path while one is being written */
	struct snapshot_loss loss_noted;
	bool threads_noted, shares_noted;	/* that there are more than are told apart */
	double level_since_s;			/* of the newest; 0: from the beginning on */
	double noted_s;				/* what was before is in the log */
};

/* @sort: a metric's name; @limit: sites shown, 0 is all. */
struct ui *ui_create(const struct ui_host *host, const char *sort, size_t limit);
void ui_destroy(struct ui *ui);
DEFINE_CLEANUP(struct ui *, ui_destroy);

/* All return effects, for ui_apply(). */
unsigned int ui_take(struct ui *ui, struct snapshot *snap);	/* consumes the reference */
/* One that is not shown, but came before the next; consumes the reference. */
void ui_remember(struct ui *ui, struct snapshot *snap);
unsigned int ui_key(struct ui *ui, int key);
/* A mark of the recording that is shown; consumes the reference. */
unsigned int ui_add_mark(struct ui *ui, struct snapshot *snap, const char *name);
unsigned int ui_note(struct ui *ui, enum note_level level, const char *text);
unsigned int ui_end(struct ui *ui);	/* nothing will come any more */
/* The host's word that recording began (@path) or ended (NULL). */
unsigned int ui_recording(struct ui *ui, const char *path);
/*
 * Does a bit of what can be done before a key asks for it, a millisecond at most;
 * returns whether there is more.
 */
bool ui_prepare(struct ui *ui);
/* Carries effects out. */
void ui_apply(struct ui *ui, unsigned int effects);

/* Keys, columns and filters, as the help view and --help show them. */
void ui_help(FILE *f);

/* doing.c: what an action does in any view. */
unsigned int ui_act(struct ui *ui, enum action action);

/* --- for the views --- */

unsigned int ui_show_newest(struct ui *ui);

unsigned int ui_go(struct ui *ui, enum view_id view);
unsigned int ui_back(struct ui *ui);
/*
 * Changes since @base, which is taken by reference, until @until; NULL: what is
 * shown, stack by stack, for those of one session keep their ids.
 */
unsigned int ui_since(struct ui *ui, struct snapshot *base, struct snapshot *until,
		      const char *name);
/* What is shown: until, or shown. */
const struct snapshot *ui_snapshot(const struct ui *ui);
/* Whether the target and the filter let it pass. filter_begin() comes first. */
bool ui_shows(struct ui *ui, const struct snapshot_stack *stack);
/*
 * The stack's metrics, or what they changed since the base: of the shares that
 * the filter lets pass.
 */
struct metrics ui_metrics(struct ui *ui, const struct snapshot_stack *stack);
/* The same of what @split tells apart. */
struct metrics ui_share_metrics(struct ui *ui, const struct snapshot_stack *stack,
				enum split split, struct share_key key);
/* Whether lines of the table are of some shares only. */
bool ui_is_partial(const struct ui *ui);
/* The selected stack in what is shown, or NULL. */
const struct snapshot_stack *ui_selected(const struct ui *ui);
/* What is shown as a snapshot of its own: filtered, since the base. The caller's. */
struct snapshot *ui_extract(struct ui *ui);

unsigned int ui_say(struct ui *ui, enum note_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A list with a cursor, of which a part is on the screen. */
struct list { size_t count, cursor, top; int rows; };

/* Moves the cursor; EFFECT_PASS if it is no movement. */
unsigned int list_act(struct list *list, enum action action);
/* Keeps the cursor in the list, and in the @rows that are shown. */
void list_fit(struct list *list, size_t count, int rows);

/* head.c and footer.c */
#define HEAD_ROWS 6
void head_draw(struct ui *ui, struct area area);
#define FOOTER_ROWS 2
void footer_draw(struct ui *ui, struct area area);

/* actions.c: of a key in a view; the keys of an action. */
enum action action_of_key(int key, enum view_id view);
struct action_row { int key, other; unsigned int where; const char *word, *help; };
const struct action_row *action_row(enum action action);
const char *view_name(enum view_id view);
const struct view_ops *view_ops(enum view_id view);

#endif
