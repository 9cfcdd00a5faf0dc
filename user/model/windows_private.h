/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of windows.h, for its files: windows.c (records in, what is
 * followed), window_mapped.c (blocks told by system calls), window_large.c (births of
 * large ones), and those of window_estimate.h (estimates out).
 */
#ifndef HEAPSONDE_MODEL_WINDOWS_PRIVATE_H
#define HEAPSONDE_MODEL_WINDOWS_PRIVATE_H

#include "model/map64.h"
#include "model/windows.h"

#define OLDER_ROW 0		/* of blocks from before the first window */

/*
 * Controls that are looked at as soon as blocks are, and those that are left alone until
 * all that is followed is looked at: as blocks are that die later than just after their window.
 */
enum control_kind { CONTROL_EARLY, CONTROL_LATE, CONTROL_KINDS };

/* A block, or a control, that is followed. */
struct follow {
	struct followed f;
	uint64_t size;
	uint32_t row, window, cell;
	uint16_t class;		/* of what was asked for */
	uint16_t chunk_class;	/* of the chunk that it lies in, where that was read */
	float weight;
	float stands_for;	/* followed blocks, after thinning */
	uint64_t born_ns;
	bool known;		/* from before the first window: no draw decided that it is here */
	bool exact;		/* nor of this: its births are all told, in windows or not */
	float doubt;		/* how likely it is another stack's */
	bool missed;		/* by the last walk through the heap */
	bool ended;
};

DEFINE_VEC(follow_vec, struct follow);

static inline enum control_kind control_kind(const struct follow *control)
{
	return control->f.late ? CONTROL_LATE : CONTROL_EARLY;
}

/* Blocks of one stack and class of sizes: whose fates are taken for alike. */
struct cell {
	uint32_t row;
	uint16_t class;
	double kept_count, kept_bytes;	/* that outlived their windows, and what these stand for */
	double noticed[FATE_BINS];	/* ends, by the age that they were noticed at */
	struct fate fate;		/* as last fitted */
	bool fitted;
};

DEFINE_VEC(cell_vec, struct cell);

/* A sum over windows, of which each is a draw. */
struct draw_sum { double y, squares, largest; };

/* Of blocks with mappings of their own: all of them, not estimates. */
struct mapped_sums { double alloc_bytes, alloc_count, live_bytes, live_count; };

#define LATELY_KEEPS (1 - 1 / 64.0)	/* of what is kept lately, from one window to the next */

/* Births of large blocks may be told, so that windows have no part in them: at least of these. */
enum kept_size { KEPT_SMALL, KEPT_LARGE, KEPT_SIZES };

#define LARGE_CLASS 65

static inline enum kept_size kept_size_of(int class)
{
	return class >= LARGE_CLASS ? KEPT_LARGE : KEPT_SMALL;
}

/* Bytes of blocks that outlived their windows. */
struct kept {
	double now;			/* the open one */
	struct draw_sum sum;
	double lately;			/* of which each window forgets a part ... */
	uint32_t lately_window;		/* ... until this one */
};

/* A stack's births. */
struct birth_row {
	uint64_t stack_id;
	double now_bytes, now_count, now_temporary;	/* in the open window */
	struct draw_sum bytes, count, temporary;
	struct kept kept[KEPT_SIZES];
	struct mapped_sums mapped;	/* not in the sums above */
	double peak_live;		/* when the total was highest */
	bool touched, fitted;
	bool known;			/* of blocks from before the first window */
	bool exact;			/* of blocks whose births are all told: ... */
	double told_bytes, told_count;	/* ... in focus, with what is in mappings of its own; */
	double large_settled, large_met;	/* ... large: a walk might have met them, did */
	double large_bytes;		/* of those that were met, in walks and windows */
	struct fate fate;		/* lifetimes of its blocks of all sizes, as last fitted */
	double looks[FATE_LOOKS];	/* shares of its living blocks, by their contents */
};

DEFINE_VEC(birth_row_vec, struct birth_row);
DEFINE_VEC(row_number_vec, uint32_t);

struct thread_now {
	uint32_t tid, births;	/* in the open window */
	uint64_t last;		/* block that it allocated last */
	uint64_t pending;	/* index + 1 of the block that a realloc may end */
	bool pending_ended;
};

DEFINE_VEC(thread_now_vec, struct thread_now);

/* A block with a mapping of its own. */
struct mapped {
	struct mapped_block b;
	uint32_t row, window;	/* the latter: that was or had been open when it was born */
	bool proven;		/* its chunk's head was read */
	bool missed;		/* ... and was another one the last time */
};

DEFINE_VEC(mapped_vec, struct mapped);

/* An end that was told sooner by another birth at its address than by its own call. */
struct late_end { uint64_t start, end, expires_ns; };

#define LATE_ENDS 16

/* A large block whose birth was told; where it is, the next walk says. */
struct large_birth {
	uint64_t time_ns, chunk_bytes;
	uint32_t tid, row;
	uint32_t window;		/* that was open; 0: none */
	bool met;
};

DEFINE_VEC(large_birth_vec, struct large_birth);

struct large_births {
	uint64_t above, wanted;		/* told: of these, and from the next window on; 0: none */
	uint64_t listed;		/* of these, chunks are listed */
	struct large_birth_vec births;	/* since the last walk, in their order */
	struct large_chunk_vec before;	/* that it has met, sorted */
	struct map64 gone;		/* address of what has ended since -> its row */
	bool ever;			/* any were told */
	bool walked;			/* there was one, that listed all of them */
	bool too_many;
	uint64_t random;
};

/* Census totals at some moments, thinned as they grow many. */
#define CENSUSES_MAX 24

struct census_mark {
	uint64_t time_ns;
	struct heap_census census;
};

struct windows {
	uint64_t start_ns, open_total_ns;
	uint64_t first_ns;		/* the first window opened; 0: there was none */
	uint64_t shut_ns;		/* the last one; 0: there was none */
	double chances;			/* sum of 1 / weight over the windows */
	uint32_t number;		/* of the window that is or was open, from 1 */
	bool open;
	uint64_t hits, truncated, serial;
	uint64_t told_late;		/* records when no window was open */
	struct follow_vec blocks, controls;
	size_t window_first;		/* blocks of the open window begin here */
	size_t controls_first;
	size_t ended;			/* of blocks and controls, not yet swept */
	struct map64 block_at, control_at;	/* address -> index + 1 */
	struct birth_row_vec rows;	/* [0] is OLDER_ROW */
	struct map64 row_of;		/* stack -> row ... */
	struct map64 known_row_of;	/* ... of known blocks, whose lifetimes are others */
	struct map64 exact_row_of;	/* ... of exact ones, which are followed from birth on */
	struct row_number_vec touched;
	struct cell_vec cells;
	struct map64 cell_of;		/* row and class -> index + 1 */
	/* Of controls that were noticed. */
	struct fate_counts delays[CONTROL_KINDS][WINDOW_CLASSES];
	struct thread_now_vec threads;
	struct map64 thread_of;		/* tid -> index + 1 */
	uint32_t busiest;		/* tid, in the last window that had births */
	bool by_contents;		/* see windows_follow_contents() */
	uint64_t (*chunk_bytes)(uint64_t size);	/* see windows_set_sizing() */
	struct mapped_vec mapped;	/* sorted, disjoint */
	struct late_end late[LATE_ENDS];
	uint32_t late_next;
	struct large_births large;
	double now_births[WINDOW_CLASSES];	/* by their chunks, in the open window ... */
	double births[WINDOW_CLASSES];		/* ... and all that windows stand for */
	struct map64 strangers, strangers_before;	/* see windows_counts_mapped() */
	struct census_mark censuses[CENSUSES_MAX];
	size_t censuses_len, census_calls, census_stride;
	struct heap_census *census;	/* the newest; NULL: none */
	uint64_t census_ns;
	struct heap_census then;	/* what was followed stood for when it was noted */
	double gone_squares;		/* of what has ended since, and was followed then */
	double peak_live, peak_unattributed;
};

/* Whether windows have drawn it: it stands for others that they have not seen. */
static inline bool is_drawn(const struct follow *block)
{
	return !block->known && !block->exact && block->row != OLDER_ROW;
}

static inline double age_s(uint64_t since_ns, uint64_t now_ns)
{
	return now_ns > since_ns ? (double)(now_ns - since_ns) / 1e9 : 0;
}

void draw_sum_add(struct draw_sum *sum, double z);

/* A block of which nothing but its end is estimated. */
struct exact_block {
	uint64_t addr, size;
	uint64_t chunk_bytes;		/* 0: not read yet */
	uint64_t since_ns, born_ns;	/* when it was known to live, and since when it does */
	uint32_t row;
	double doubt;			/* see struct follow */
};

void follow_exact(struct windows *windows, const struct exact_block *block);
/* Whether what is followed there has this chunk; if it had another one, it is no more. */
bool follow_meets(struct windows *windows, uint64_t addr, uint64_t chunk_bytes, uint64_t now_ns);
/* What all that is followed stands for, ends that were not noticed aside: by chunks. */
void windows_sum_followed(const struct windows *windows, struct heap_census *ret);

/* For window_mapped.c: the row of a stack, made if it is new. */
struct birth_row *windows_row_of(struct windows *windows, uint64_t stack_id,
				 uint32_t *number_ret);
/* The same of the row of its blocks whose births are all told. */
struct birth_row *windows_exact_row_of(struct windows *windows, uint64_t stack_id,
				       uint32_t *number_ret);
/* What is followed at @addr from before the open window, if anything, is no more. */
void windows_end_at(struct windows *windows, uint64_t addr, uint64_t now_ns);

/* For windows.c. The block that @addr lies in, or NULL. */
struct mapped *mapped_at(const struct windows *windows, uint64_t addr);
/*
 * In a window @stack_id was seen to be given the block. If that is another than its
 * mapping is known to come from, a realloc has found room enough in it; or its stack was
 * not told whole.
 */
void mapped_give(struct windows *windows, struct mapped *block, uint64_t stack_id);
double mapped_bytes(const struct windows *windows);

/* For windows.c and window_rows.c: whether births of blocks of that size are told. */
bool large_is_told(const struct windows *windows, uint64_t size);
/* A window has shown where the thread's last birth is: it is followed. False: there is none. */
bool large_take(struct windows *windows, uint32_t tid, uint64_t addr, uint64_t size,
		uint64_t now_ns);
/* The same birth was told by the call that is focused on. */
void large_forget(struct windows *windows, uint32_t tid, uint64_t size);
void large_note_end(struct windows *windows, const struct follow *block);
/* How likely a birth of the row is met by the next walk. */
double large_share(const struct birth_row *row);
void large_deinit(struct windows *windows);
void mapped_deinit(struct windows *windows);
/* Adds what is live to @census. */
void mapped_add_to(const struct windows *windows, struct heap_census *census);

#endif
