/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The columns of the table of sites, once: header, width, order, help, and
 * what they are sorted by. The live table, the plain one of --batch, the help
 * view and --help derive from it.
 */
#ifndef HEAPSONDE_VIEW_COLUMNS_H
#define HEAPSONDE_VIEW_COLUMNS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/format.h"
#include "view/past.h"
#include "view/shares.h"

/* One line of the table; borrows from the snapshot. */
struct site {
	const struct snapshot_stack *stack;
	struct metrics m;		/* as shown: of now, or since a mark */
	double allocs_per_s, trend;	/* trend: change of live bytes over the last refreshes */
	struct share_summary shares;
	bool partial;			/* some shares only: growth and trend are not known */
	uint32_t number;		/* in order of the snapshot, for what is equal */
};

DEFINE_VEC(site_vec, struct site);

/*
 * X(symbol, header, metric of the same order or NULL, width, rank, value, help)
 * A screen shows the columns of the lowest ranks that fit. The value is of
 * @s, const struct site *.
 */
#define COLUMNS(X)								\
	X(COLUMN_LIVE,   "live",   "live_bytes",         7, 0, s->m.live_bytes,	\
	  "bytes allocated and not freed yet")					\
	X(COLUMN_ERROR,  "+-",     NULL,                 6, 1, s->m.live_bytes_error, \
	  "of live while sampling: how far a 95 % interval reaches") \
	X(COLUMN_BLOCKS, "blocks", "live_count",         6, 4, s->m.live_count,	\
	  "blocks allocated and not freed yet")					\
	X(COLUMN_RESIDENT, "resident", "resident_bytes", 8, 0, s->m.resident_bytes, \
	  "in the growth level: bytes first touched there and still resident")	\
	X(COLUMN_MAPPED, "mapped", "mapped_bytes",       7, 1, s->m.mapped_bytes, \
	  "in the growth level: bytes mapped there and not given back")		\
	X(COLUMN_GROWTH, "growth/s", "growth_bytes_per_s", 8, 2, s->m.growth_bytes_per_s, \
	  "slope of live bytes (in the growth level: resident ones); ? while it is not sure") \
	X(COLUMN_TREND,  "trend",  NULL,                 6, 3, s->trend,	\
	  "live bytes of the last refreshes, between their extremes")		\
	X(COLUMN_RATE,   "alloc/s", NULL,                7, 5, s->allocs_per_s,	\
	  "allocations a second, since the last refresh")			\
	X(COLUMN_TEMP,   "temp",   "temporary_count",    5, 6, site_temporary(s), \
	  "share freed at once, by the same thread with no allocation between")	\
	X(COLUMN_OLDEST, "oldest", "oldest_live_s",      6, 7, s->m.oldest_live_s, \
	  "age of its oldest live block")					\
	X(COLUMN_THREAD, "thread", NULL,                12, 8, s->shares.thread, \
	  "which allocated most of it, and how many others; in order of appearance") \
	X(COLUMN_CLASS,  "class",  NULL,                 6, 9, s->shares.size_class, \
	  "most of its blocks have up to so many bytes; how many other classes") \
	X(COLUMN_MEAN,   "mean",   NULL,                 6, 11, site_mean(s),	\
	  "mean bytes of a block")						\
	X(COLUMN_ALLOCATED, "alloc'd", "alloc_bytes",    7, 12, s->m.alloc_bytes, \
	  "all bytes allocated since attach")					\
	X(COLUMN_ALLOCS, "allocs", "alloc_count",        7, 13, s->m.alloc_count, \
	  "all allocations since attach")					\
	X(COLUMN_FREED,  "freed",  "free_bytes",         7, 15, s->m.free_bytes, \
	  "all bytes freed since attach")					\
	X(COLUMN_FREES,  "frees",  "free_count",         7, 16, s->m.free_count, \
	  "all frees since attach")						\
	X(COLUMN_PEAK,   "at peak", "peak_live_bytes",   7, 10, s->m.peak_live_bytes, \
	  "live bytes when the target's were highest")				\
	X(COLUMN_SURE,   "sure",   "growth_confidence",  5, 14, s->m.growth_confidence, \
	  "how surely it grows or shrinks")					\
	X(COLUMN_PATH,   "who allocated", NULL,          0, 0, 0,		\
	  "function, place, callers; sorted by name; marked while in focus")

enum column {
#define X(symbol, header, metric, width, rank, value, help) symbol,
	COLUMNS(X)
#undef X
	COLUMNS_COUNT
};

#define COLUMN_TEXT_MAX 64	/* bytes, with UTF-8 bars */

const char *column_header(enum column column);
/* Of COLUMN_PATH, at the snapshot's level: touching memory is not allocating it. */
const char *column_path_header(const struct snapshot *snap);
int column_width(enum column column);
/* The one of that metric, else COLUMN_LIVE. */
enum column column_of_metric(const char *metric);
/* The one that stands for @column in @snap: what is resident, where live bytes are not known. */
enum column column_in(const struct snapshot *snap, enum column column);
/* Whether the snapshot's level knows what is in @column. */
bool column_is_known(const struct snapshot *snap, enum column column);
/* What there is to show. */
struct columns_wish {
	int columns;		/* of the screen */
	enum column sort;
	bool shares, errors;	/* whether there are any */
	bool growth;		/* of the level that sees no allocations */
	enum split split;
};

/* Those that fit beside the call path; what lines are sorted by or split by in any case. */
void columns_choose(const struct columns_wish *wish, bool show[COLUMNS_COUNT]);

/* @m: the metrics to show. */
struct site site_make(const struct past *past, const struct snapshot_stack *stack,
		      const struct metrics *m);
/* "worker-3", "worker-3 +7"; "64", "2K+1". */
void site_thread(struct strbuf *sb, const struct snapshot *snap, const struct site *site);
double site_temporary(const struct site *s);
double site_mean(const struct site *s);

double column_value(const struct site *site, enum column column);
/* For all columns but the thread, the trend and the path. */
const char *column_text(const struct site *site, enum column column, char buf[COLUMN_TEXT_MAX]);

/* Appends "function place < caller < caller", to about @max bytes. */
void site_path(struct strbuf *sb, const struct snapshot *snap, const struct snapshot_stack *stack,
	       size_t max);

/*
 * By @column, largest first or, @reversed, smallest first; by name for the path.
 */
void sites_sort(struct site_vec *sites, const struct snapshot *snap, enum column column,
		bool reversed);

/* Lines "  header  help" for each column. */
void columns_help(FILE *f);

#endif
