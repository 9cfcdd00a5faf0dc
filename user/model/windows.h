/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of a program whose allocator is watched in short windows only:
 * all that happens in a window exactly, nothing of what happens between them.
 *
 * A window stands for the time that it was drawn for: everything in it weighs
 * that time by its own (Horvitz and Thompson, 1952). Blocks that are born in a
 * window and outlive it are followed afterwards: an older block has ended when
 * its free, or another birth at its address, is seen in a later window, or
 * when somebody who reads the program's memory says so (windows_note_end()). How
 * many of the others are alive is estimated (window_fates.h, window_rows.c).
 *
 * Births that are told at any time (EV_FOCUS) stand for themselves alone; they are
 * followed in the same way, from their birth on.
 *
 *	records -> windows_feed() -> blocks that are followed -> windows_rows()
 *	           who reads the target's memory <-> windows_followed(), _note_end()
 *	system calls -> windows_map(), _unmap() ---> windows_rows()
 *	large births -> windows_large() ----------> blocks that are followed
 *	walks of the heap -> windows_meet_large() <->
 *
 * Blocks too large for the heap have mappings of their own. Their births and ends are
 * system calls, which are told at all times: of these nothing is estimated. Births of
 * large blocks within the heap may be told at all times as well, without their addresses:
 * which chunk each has become, the next walk through the heap shows.
 *
 * One process image; addresses of another one mean nothing. Not thread-safe:
 * the caller locks. Times are CLOCK_MONOTONIC.
 */
#ifndef HEAPSONDE_MODEL_WINDOWS_H
#define HEAPSONDE_MODEL_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/vec.h"
#include "bpf/events.h"
#include "model/hand_over.h"
#include "model/metrics.h"
#include "model/window_fates.h"

struct windows;

struct windows *windows_create(uint64_t start_ns);
void windows_destroy(struct windows *windows);
/* Forgets everything: the process runs another program. */
void windows_clear(struct windows *windows, uint64_t start_ns);
DEFINE_CLEANUP(struct windows *, windows_destroy);

/* A window begins: what is fed from here on belongs to it. */
void windows_open(struct windows *windows);
/*
 * Whether records of that kind are an allocator's, and belong in here. What windows show
 * and comes when none is open, for a thread was kept from telling it, is counted only.
 */
bool windows_takes(uint16_t kind);
void windows_feed(struct windows *windows, const void *record, size_t size);
/* How it was: open when, how heavy, and whether it shut sooner than meant. */
struct window_facts {
	uint64_t open_ns, shut_ns;
	double weight;
	bool truncated;
};

/* It is over, and all of it was fed. */
void windows_shut(struct windows *windows, const struct window_facts *facts);

/* How many threads had records in the open window. */
size_t windows_threads(const struct windows *windows);
/* The thread that allocated most in the last window that had any births, or 0. */
uint32_t windows_busiest_thread(const struct windows *windows);
/* Records of the open window so far, in probe hits. */
uint64_t windows_hits(const struct windows *windows);

/*
 * Something that is followed: a block that was seen to be born, or, as a
 * control, an address whose block was seen to be freed.
 */
struct followed {
	uint64_t addr;
	uint64_t serial;	/* names it for good */
	uint64_t since_ns;	/* alive at the end of its window; freed */
	/* When it was first read: of its chunk, or of its contents. head 0: never. */
	uint64_t head, word0, print;
	uint32_t size;		/* asked for, at most UINT32_MAX; of controls 0 */
	bool control;
	bool late;		/* what it is like at first is no news of its end */
	uint8_t look;		/* enum fate_look: of its contents, when they were last read */
};

DEFINE_VEC(followed_vec, struct followed);

/*
 * Appends all of them, as of now, or those that have been followed since then: newest first.
 * Of the latter half of the controls are left out once they have been read: they are to be
 * looked at with all others, for blocks that die when nobody looks at the young any
 * longer are noticed as they are.
 */
void windows_followed(struct windows *windows, struct followed_vec *ret);
void windows_followed_since(struct windows *windows, uint64_t since_ns, struct followed_vec *ret);
/*
 * What is followed is told by its contents, not by the allocator's marks. A
 * control whose address is used again at once is then none: what is first read
 * there would be the new block's.
 */
void windows_follow_contents(struct windows *windows);
/* Of another allocator than glibc: how large a chunk a request is given. */
void windows_set_sizing(struct windows *windows, uint64_t (*chunk_bytes)(uint64_t size));
/* What was read of it first. Ignored if it is followed no longer. */
void windows_note_first(struct windows *windows, const struct followed *followed);
/* Its contents look otherwise than they did: followed->look. */
void windows_note_look(struct windows *windows, const struct followed *followed);
/* It is no more. */
void windows_note_end(struct windows *windows, const struct followed *followed, uint64_t now_ns);
/*
 * Whether a walk through the whole heap met its chunk, and in use. What two walks
 * in a row did not meet is no more: a free block that is merged with its neighbours
 * keeps its head, and in a new block that has not written there it stays for long.
 */
void windows_note_walk(struct windows *windows, const struct followed *followed, bool in_use,
		       uint64_t now_ns);

/*
 * Blocks that were there before the first window: so many of chunk @bytes each
 * are followed in the place of @weight times as many.
 */
void windows_add_older(struct windows *windows, uint64_t addr, uint64_t chunk_bytes,
		       double weight, uint64_t now_ns);

/*
 * A block that was known before the first window counts as one of its stack, and
 * lives at @now_ns. If @stride is not 0 it is followed, in the place of so many
 * like it; then addresses must not repeat.
 */
void windows_add_known(struct windows *windows, const struct given_block *known,
		       uint64_t stride, uint64_t now_ns);
/* What the stack had at the highest total until then. */
void windows_note_peak(struct windows *windows, uint64_t stack_id, double bytes);

/*
 * A block with a mapping of its own. Its size is what there is room for: of what was
 * asked for, system calls know the pages only.
 */
struct mapped_block {
	uint64_t start, end;
	uint64_t birth_ns;
	bool at_front;		/* the program has it right behind the chunk's head */
};

DEFINE_VEC(mapped_block_vec, struct mapped_block);

#define MAPPED_HEAD 16		/* bytes before the block */

/* The stack has got such a block; what lay in its range until then has ended. */
void windows_map(struct windows *windows, const struct mapped_block *block, uint64_t stack_id);
/* A range is mapped no longer, or by something else. Most are no blocks'. */
void windows_unmap(struct windows *windows, uint64_t start, uint64_t end, uint64_t now_ns);
/* Appends all that are live. */
void windows_mapped(const struct windows *windows, struct mapped_block_vec *ret);

/* What was read where the chunk's head should be. */
enum mapped_look {
	MAPPED_IS_CHUNK,
	MAPPED_IS_EMPTY,	/* nothing was written there yet */
	MAPPED_IS_OTHER,	/* something that is no head of such a chunk */
	MAPPED_IS_GONE,		/* the mapping */
};

/*
 * Proves that a block is one: malloc also maps memory to cut blocks from. What never had
 * a head has never been a block; and one whose head is lost has ended unseen.
 */
void windows_note_mapped(struct windows *windows, const struct mapped_block *block,
			 enum mapped_look look);
/*
 * Whether a chunk with its own mapping, of a walk through the heap, counts among what
 * estimates have to add up to: not if it is known by its system call, nor if it was met for
 * the first time, for the call may be on its way.
 */
bool windows_counts_mapped(struct windows *windows, uint64_t addr);

/*
 * From now on, or from the end of the open window, each birth of a block whose chunk has
 * more than @above bytes is told by windows_large(); 0: no more are.
 */
void windows_tell_large(struct windows *windows, uint64_t above);

struct told_large {
	uint64_t stack_id, time_ns;
	uint64_t chunk_bytes;	/* the block's room, and its head */
	uint32_t tid;
};

void windows_large(struct windows *windows, const struct told_large *told);
/* The thread's last one was given a mapping of @bytes: it is known by its system call. */
void windows_large_mapped(struct windows *windows, uint32_t tid, uint64_t bytes);

/* A chunk in use, as a walk through the heap has met it. */
struct large_chunk { uint64_t block, bytes; };

DEFINE_VEC(large_chunk_vec, struct large_chunk);

#define LARGE_CHUNKS_MAX 131072

/* Of more bytes than this all such chunks are to be listed, LARGE_CHUNKS_MAX at most; 0: none. */
uint64_t windows_lists_large(const struct windows *windows);
/*
 * A walk that began at @begun_ns has met these; what was told until its end must have been
 * fed. Chunks that the last walk did not meet are births that were told. Takes @chunks over.
 */
void windows_meet_large(struct windows *windows, struct large_chunk_vec *chunks,
			uint64_t begun_ns, uint64_t now_ns);
/* There were more than can be kept in mind: smaller ones are to be told no longer. */
bool windows_has_too_many(const struct windows *windows);
/* How many births of larger chunks windows stand for, until now. */
double windows_births_above(const struct windows *windows, uint64_t above);

/* Classes of chunk sizes: in steps of 16 bytes to 1040, then 16 to the octave. */
#define WINDOW_CLASSES 512
int window_class(uint64_t chunk_bytes);
/* The chunk that glibc gives for a request: its head, the block, and what is rounded up. */
uint64_t window_chunk_bytes(uint64_t size);
#define CHUNK_HEAD 8

/* What all chunks of a class hold that the program has, found by reading its heap. */
struct heap_census {
	double bytes[WINDOW_CLASSES];
};

/* Takes a copy. */
void windows_note_census(struct windows *windows, const struct heap_census *census,
			 uint64_t now_ns);

/* Whether totals come from it: it is not too old. */
bool windows_has_census(const struct windows *windows, uint64_t now_ns);

/* Rows by stack, which may have several; stack_id 0 stands for bytes that no stack can be given. */
struct window_row {
	uint64_t stack_id;
	struct metrics m;
	uint64_t samples;	/* blocks seen that are likely alive */
	bool exact;		/* of births that were all told; windows' own have another row */
	/* At calls that are focused on: all of these births, whatever m is of. */
	int64_t told_bytes, told_count;
};

DEFINE_VEC(window_row_vec, struct window_row);

/* How good the estimate is. */
struct window_quality {
	uint64_t windows, truncated;
	uint64_t told_late;		/* records that came when their window had been settled */
	double covered;			/* share of the time that windows were open */
	uint64_t samples, controls;	/* followed now */
	double ghost_share;		/* of the samples */
	double ghost_s;			/* how long one stays unnoticed, on average */
	double detectable_count;	/* blocks that a stack must have kept to be seen */
	double unattributed;		/* bytes */
	double held, older;		/* bytes of chunks in use; of these, from before */
	bool has_mapped;		/* some blocks were known by system calls */
	uint64_t told_above;		/* births of larger chunks are all told; 0: none */
	bool has_census;		/* totals come from reading the heap, lately ... */
	bool old_census;		/* ... but not just now, and of windows what came since */
	bool by_contents;		/* see windows_follow_contents() */
};

/*
 * Estimates as of now; expensive: some milliseconds for a thousand stacks. @rows
 * are appended to, @total is their sum with its own error.
 */
void windows_rows(struct windows *windows, uint64_t now_ns, struct window_row_vec *rows,
		  struct metrics *total, struct window_quality *quality);

/*
 * The same as rows and blocks, for one who sees all from now on. Each block that
 * is followed comes with what it likely stands for. @stretch: all the time since
 * the first window, by that which windows stand for. Returns the highest total.
 */
double windows_give(struct windows *windows, uint64_t now_ns, double stretch,
		    const struct windows_heir *heir);

#endif
