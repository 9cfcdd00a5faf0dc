/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be done on the screen, once: keys, footer, help view, --help and
 * the tests that press every key derive from this table.
 */
#ifndef HEAPSONDE_VIEW_ACTIONS_H
#define HEAPSONDE_VIEW_ACTIONS_H

/*
 * Views, in the order of their function keys (the first is F1), and what each
 * letter opens. X(symbol, ops, name, letter, what it shows)
 */
#define VIEWS(X)								\
	X(VIEW_HELP,     view_help,     "Help",    '?', "this list of keys")	\
	X(VIEW_SITES,    view_sites,    "Sites",   'S', "who allocated, a line per call path") \
	X(VIEW_STACK,    view_stack,    "Stack",   'C', "the whole call path of a site") \
	X(VIEW_TREE,     view_tree,     "Tree",    'T', "callers and callees, folding")	\
	X(VIEW_FLAME,    view_flame,    "Flame",   'F', "the same as a flame graph") \
	X(VIEW_TIMELINE, view_timeline, "Time",    'L', "memory over time, reclaim events") \
	X(VIEW_ACCOUNT,  view_account,  "Account", 'A', "what the resident memory is made of") \
	X(VIEW_RUNTIME,  view_runtime,  "Runtime", 'R', "what the language's runtime says") \
	X(VIEW_LOG,      view_log,      "Log",     'E', "events: what happened, and when")

enum view_id {
#define X(symbol, ops, name, letter, help) symbol,
	VIEWS(X)
#undef X
	VIEWS_COUNT
};

/* Where an action makes sense; ANY: in all views. */
#define IN(view) (1u << VIEW_##view)
#define ANY ((1u << VIEWS_COUNT) - 1)

/*
 * X(symbol, key, other key or 0, where, short name for hints or NULL, help)
 * A key that two rows share has disjoint places.
 */
#define ACTIONS(X)								\
	X(ACTION_UP,       KEY_UP,    'k', ANY, NULL, "one line up")		\
	X(ACTION_DOWN,     KEY_DOWN,  'j', ANY, NULL, "one line down")		\
	X(ACTION_PAGE_UP,  KEY_PPAGE, CONTROL('b'), ANY, NULL, "one page up")	\
	X(ACTION_PAGE_DOWN, KEY_NPAGE, CONTROL('f'), ANY, NULL, "one page down")	\
	X(ACTION_FIRST,    KEY_HOME,  'g', ANY, NULL, "to the first line")	\
	X(ACTION_LAST,     KEY_END,   'G', ANY, NULL, "to the last line")	\
	X(ACTION_LEFT,     KEY_LEFT,  0,   ANY, NULL,				\
	  "left: scroll, fold, or back in time")				\
	X(ACTION_RIGHT,    KEY_RIGHT, 0,   ANY, NULL,				\
	  "right: scroll, unfold, or on in time")				\
	X(ACTION_OPEN,     '\n', 0, IN(SITES), "stack", "the call path of this site") \
	X(ACTION_FOLD,     '\n', 0, IN(TREE), "fold", "fold or unfold this function") \
	X(ACTION_ZOOM,     '\n', 0, IN(FLAME), "zoom", "zoom into this function") \
	X(ACTION_GREW,     '\n', 0, IN(TIMELINE), "what grew", "what grew before this event") \
	X(ACTION_BACK,     KEY_BACKSPACE, ESC, ANY, NULL, "zoom out, or to the view before") \
	X(ACTION_UNFOLD_ALL, '+', '*', IN(TREE), "unfold all", "unfold all below")	\
	X(ACTION_FOLD_ALL, '-', 0, IN(TREE), NULL, "fold all below")		\
	X(ACTION_INVERT,   'i', 0, IN(TREE) | IN(FLAME), "invert",		\
	  "callers instead of callees, and back")				\
	X(ACTION_VALUE,    'v', 0, IN(TREE) | IN(FLAME), "value", "another metric") \
	X(ACTION_SORT_LEFT, '<', 0, IN(SITES), NULL, "sort by the column to the left") \
	X(ACTION_SORT_RIGHT, '>', 0, IN(SITES), "sort", "sort by the column to the right") \
	X(ACTION_REVERSE,  'r', 0, IN(SITES), NULL, "smallest first, and back")	\
	X(ACTION_SPLIT,    'y', 0, IN(SITES), NULL,				\
	  "a line for each thread, size class, both, and back")			\
	X(ACTION_FILTER,   '/', 0, IN(SITES) | IN(TREE), "filter",		\
	  "show only call paths that match (see below)")			\
	X(ACTION_SEARCH,   '/', 0, IN(FLAME) | IN(STACK) | IN(LOG), "search",	\
	  "search functions (in the log: lines)")				\
	X(ACTION_NEXT,     'n', 0, IN(FLAME) | IN(STACK) | IN(LOG), NULL,	\
	  "the next one found")							\
	X(ACTION_UNFILTER, '\\', 0, ANY, NULL, "no filter, no search")		\
	X(ACTION_TARGET,   '\t', 0, ANY, NULL, "the next target alone, then all") \
	X(ACTION_PAUSE,    ' ', 'p', ANY, "pause", "hold what is shown; of a recording: play") \
	X(ACTION_STEP_BACK, ',', 0, ANY, NULL, "of a recording: one moment back") \
	X(ACTION_STEP_ON,  '.', 0, ANY, NULL, "of a recording: one moment on")	\
	X(ACTION_JUMP_BACK, '[', 0, ANY, NULL, "of a recording: a tenth back")	\
	X(ACTION_JUMP_ON,  ']', 0, ANY, NULL, "of a recording: a tenth on")	\
	X(ACTION_MARK,     'm', 0, ANY, "mark", "remember this moment")		\
	X(ACTION_SINCE,    'd', 0, ANY, "since mark",				\
	  "show changes since the last mark, and back")				\
	X(ACTION_COMPARE,  'x', 0, ANY, NULL, "what changed between two marks")	\
	X(ACTION_INTERVAL, 'u', 0, ANY, NULL, "another time between refreshes")	\
	X(ACTION_LEVEL,    'l', 0, ANY, NULL, \
	  "record every allocation, or a sample, from now on")	\
	X(ACTION_FOCUS,    'f', 0, ANY, NULL, \
	  "in windows: trace all allocations of likely leaks, and back") \
	X(ACTION_RECORD,   'w', 0, ANY, NULL, "save a recording from now on; again: end it") \
	X(ACTION_EXPORT,   'e', 0, ANY, "export",				\
	  "what is shown, to a file of a format you choose")			\
	X(ACTION_PRINT,    'o', 0, ANY, NULL, "this screen, to a text file")	\
	X(ACTION_REDRAW,   CONTROL('l'), 0, ANY, NULL, "draw everything again")	\
	X(ACTION_QUIT,     'q', KEY_F(10), ANY, NULL, "end")

#define CONTROL(letter) ((letter) & 0x1f)
#define ESC 27

enum action {
	ACTION_NONE,
	ACTION_VIEW,	/* + enum view_id: goes there */
	ACTION_VIEW_LAST = ACTION_VIEW + VIEWS_COUNT - 1,
#define X(symbol, key, other, where, word, help) symbol,
	ACTIONS(X)
#undef X
	ACTIONS_COUNT
};

#endif
