/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which call paths are shown. A filter is words with spaces between them, all
 * of which must hold:
 *
 *	REGEX		a function, file or module of the path matches
 *	NAME:REGEX	text of that kind matches, see FILTER_TEXTS
 *	NAME>N NAME<N	a number of the path is larger or smaller, see FILTER_NUMBERS
 *	!WORD		the word does not hold
 *
 * Two kinds speak of shares of a path (model/snapshot.h): its thread and its
 * size class. Where they are asked for, only matching shares are shown.
 *
 * Expressions are POSIX extended; case counts when there is a capital.
 */
#ifndef HEAPSONDE_VIEW_FILTER_H
#define HEAPSONDE_VIEW_FILTER_H

#include <regex.h>
#include <stdbool.h>

#include "base/error.h"
#include "model/map64.h"
#include "model/snapshot.h"

/* X(symbol, name, help) */
#define FILTER_TEXTS(X)							\
	X(FILTER_ANY,      "any",      "function, file or module")	\
	X(FILTER_FUNCTION, "function", "any function of the path")	\
	X(FILTER_FILE,     "file",     "a source file of the path")	\
	X(FILTER_MODULE,   "module",   "an object file of the path")	\
	X(FILTER_THREAD,   "thread",   "name or number of the thread that allocated") \
	X(FILTER_BEGAN,    "began",    "the function its thread began with") \
	X(FILTER_KIND,     "kind",     "heap, mmap or brk")		\
	X(FILTER_TARGET,   "target",   "the target's name or PID")

/* X(symbol, name, value of stack->m, in bytes (else seconds or a count), help) */
#define FILTER_NUMBERS(X)						\
	X(FILTER_AGE,    "age",    m->oldest_live_s, false, "seconds since its oldest block came") \
	X(FILTER_SIZE,   "size",   0, true,				\
	  "blocks larger than N; size<N: of up to N, a power of two")	\
	X(FILTER_MEAN,   "mean",   m->alloc_count ?			\
	  (double)m->alloc_bytes / (double)m->alloc_count : 0, true, "mean size of its blocks") \
	X(FILTER_LIVE,   "live",   (double)m->live_bytes, true, "live bytes")	\
	X(FILTER_BLOCKS, "blocks", (double)m->live_count, false, "live blocks") \
	X(FILTER_GROWTH, "growth", m->growth_bytes_per_s, true, "bytes per second")

enum filter_subject {
#define X(symbol, name, help) symbol,
	FILTER_TEXTS(X)
#undef X
	FILTER_TEXTS_COUNT,
	FILTER_BEFORE_NUMBERS = FILTER_TEXTS_COUNT - 1,
#define X(symbol, name, value, bytes, help) symbol,
	FILTER_NUMBERS(X)
#undef X
};

struct filter_word {
	enum filter_subject subject;
	bool negated, less;
	double number;
	regex_t regex;
	bool has_regex;
	struct map64 memo;	/* address of a text -> 1 no, 2 yes; for one snapshot */
};

DEFINE_VEC(filter_word_vec, struct filter_word);

/* Zeroed: lets everything pass. */
struct filter {
	char *text;		/* NULL: none */
	struct filter_word_vec words;
};

/* ERROR_USAGE says what is wrong; @filter is unchanged then. An empty text clears it. */
struct error *filter_set(struct filter *filter, const char *text) __must_check;
void filter_deinit(struct filter *filter);
/* Before the stacks of another snapshot are asked about. */
void filter_begin(struct filter *filter);
/* By all words but those that speak of shares. */
bool filter_matches(struct filter *filter, const struct snapshot *snap,
		    const struct snapshot_stack *stack);
/* Whether any word speaks of shares. */
bool filter_wants_shares(const struct filter *filter);
bool filter_matches_share(struct filter *filter, const struct snapshot *snap,
			  const struct snapshot_share *share);
/* Whether a frame matches all words that speak of frames; for search. */
bool filter_matches_frame(struct filter *filter, const struct frame *frame);
bool filter_matches_text(struct filter *filter, const char *text);

#endif
