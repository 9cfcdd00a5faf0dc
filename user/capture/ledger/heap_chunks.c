// SPDX-License-Identifier: GPL-2.0-or-later
/* The walk over a heap's chunks; see heap_chunks.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/alloc.h"
#include "base/vec.h"
#include "capture/ledger/heap_chunks.h"

#define STRETCH_MAX (64u << 10)
#define STRETCH_MIN 512u
#define LOOK_BACK 4096		/* chunks that can still be taken back */
#define JOINS 16		/* chunks before a stretch that must be as they were */
#define TRIES 30		/* at one border, before the walk goes back */
#define GO_BACKS 100		/* in all that is not told yet */
#define GONE_MAX 8		/* headers are resident, unless they are swapped out */

struct chunk { uint64_t addr, size; bool in_use; };

DEFINE_VEC(chunk_vec, struct chunk);

/* The same memory, read twice. */
struct reading {
	uint64_t before[JOINS];	/* the size words of the chunks before, the last first */
	uint64_t top;
	unsigned char bytes[STRETCH_MAX];
};

struct walker {
	struct chunk_walk *w;
	struct chunk_vec chunks;	/* not told yet; the last one's use is not known */
	uint64_t ended;			/* where it ended well; 0: it did not */
	size_t len;			/* of the stretch that was read */
	size_t want;
	struct reading a, b;
};

enum outcome { WALK_ON, WALK_AGAIN, WALK_BACK, WALK_GONE, WALK_END };

static uint64_t word_at(const struct reading *r, uint64_t offset)
{
	uint64_t word;

	memcpy(&word, r->bytes + offset, sizeof(word));
	return word;
}

/* The chunks that join the stretch to what is known. */
static size_t joins(const struct walker *k)
{
	return k->chunks.len < JOINS ? k->chunks.len : JOINS;
}

static const struct chunk *chunk_before(const struct walker *k, size_t i)
{
	return &k->chunks.data[k->chunks.len - 1 - i];
}

static bool read_once(struct walker *k, uint64_t at, struct reading *ret)
{
	struct iovec local[JOINS + 2], remote[JOINS + 2];
	size_t n = 0, total = k->len;

	for (; n < joins(k); n++) {
		local[n] = (struct iovec){ &ret->before[n], 8 };
		remote[n] = (struct iovec){ (void *)(uintptr_t)(chunk_before(k, n)->addr + 8), 8 };
		total += 8;
	}
	local[n] = (struct iovec){ ret->bytes, k->len };
	remote[n++] = (struct iovec){ (void *)(uintptr_t)at, k->len };
	ret->top = 0;
	if (k->w->top_at) {
		local[n] = (struct iovec){ &ret->top, 8 };
		remote[n++] = (struct iovec){ (void *)(uintptr_t)k->w->top_at, 8 };
		total += 8;
	}
	return process_vm_readv((pid_t)k->w->pid, local, n, remote, n, 0) == (ssize_t)total;
}

/*
 * Bytes at @at that can be read without bringing a page in: as was known, or else,
 * for the heap may have grown since, as is so now.
 */
static uint64_t resident_at(const struct walker *k, uint64_t at)
{
	uint64_t there = pages_run_end(k->w->pages, at) - at;

	return there ? there : pages_resident_now(k->w->pid, at);
}

/* WALK_GONE where nothing is resident, WALK_AGAIN where memory went away meanwhile. */
static enum outcome read_twice(struct walker *k, uint64_t at)
{
	uint64_t there = resident_at(k, at);

	k->len = there < k->want ? there : k->want;
	if (k->len < CHUNK_HEADER)
		return WALK_GONE;
	return read_once(k, at, &k->a) && read_once(k, at, &k->b) ? WALK_ON : WALK_AGAIN;
}

static uint64_t size_of(uint64_t head)
{
	return head & ~CHUNK_FLAGS;
}

/* Whether the arena's top chunk is in this heap, where it only moves within. */
static bool top_is_here(const struct walker *k)
{
	return k->w->top_at && k->a.top >= k->w->first && k->a.top < k->w->limit &&
	       k->b.top >= k->w->first && k->b.top < k->w->limit;
}

/* Whether a chunk of @head can be at @addr: it ends at the top at the latest. */
static bool fits(const struct walker *k, uint64_t addr, uint64_t head)
{
	uint64_t size = size_of(head), end = k->w->end;

	if (top_is_here(k))
		end = k->a.top < k->b.top ? k->b.top : k->a.top;
	return size >= CHUNK_HEADER && !(size % 16) && addr < end && size <= end - addr &&
	       !(head & CHUNK_IS_MAPPED);
}

/* The chunks before said the same both times, and what they said when they were met. */
static bool is_joined(const struct walker *k)
{
	for (size_t i = 0; i < joins(k); i++)
		if (size_of(k->a.before[i]) != chunk_before(k, i)->size ||
		    size_of(k->b.before[i]) != chunk_before(k, i)->size)
			return false;
	return true;
}

/* The same of the one before a header within the stretch, as far as that says so. */
static bool agrees(const struct walker *k, uint64_t offset, const struct chunk *before)
{
	if (word_at(&k->a, offset + 8) != word_at(&k->b, offset + 8))
		return false;
	if (!before || word_at(&k->a, offset + 8) & CHUNK_PREV_IN_USE)
		return true;
	return word_at(&k->a, offset) == before->size && word_at(&k->b, offset) == before->size;
}

static struct chunk *last(struct walker *k)
{
	return k->chunks.len ? &k->chunks.data[k->chunks.len - 1] : NULL;
}

static void tell(struct walker *k, const struct chunk *chunk)
{
	enum chunk_kind kind = chunk->size < CHUNK_MIN ? CHUNK_KIND_FENCE :
			       chunk->in_use ? CHUNK_KIND_IN_USE : CHUNK_KIND_FREE;

	k->w->tell(k->w->arg, kind, chunk->addr, chunk->size);
}

/* Tells all but the newest @keep. */
static void settle(struct walker *k, size_t keep)
{
	size_t told = k->chunks.len > keep ? k->chunks.len - keep : 0;

	for (size_t i = 0; i < told; i++)
		tell(k, &k->chunks.data[i]);
	memmove(k->chunks.data, k->chunks.data + told,
		(k->chunks.len - told) * sizeof(*k->chunks.data));
	k->chunks.len -= told;
}

/* Whether the heap ends with what is at @at; tells it then. */
static bool take_end(struct walker *k, uint64_t at, uint64_t head)
{
	bool top = top_is_here(k) ? at == k->a.top && at == k->b.top :
		   !k->w->top_at && at + size_of(head) == k->w->end && fits(k, at, head);
	bool fence = !size_of(head) && at < k->w->end && k->w->end - at <= 2 * CHUNK_HEADER;

	if (!top && !fence)
		return false;
	if (last(k))
		last(k)->in_use = head & CHUNK_PREV_IN_USE;
	settle(k, 0);
	k->w->tell(k->w->arg, top ? CHUNK_KIND_TOP : CHUNK_KIND_FENCE, at,
		   top ? size_of(head) : k->w->end - at);
	k->ended = at + (top ? size_of(head) : k->w->end - at);
	return true;
}

/*
 * Takes the chunks of the stretch at @*at, up to the first that is in doubt, which
 * @*at is then.
 */
static enum outcome take(struct walker *k, uint64_t *at)
{
	const uint64_t begin = *at;

	while (*at - begin + CHUNK_HEADER <= k->len) {
		uint64_t offset = *at - begin, head = word_at(&k->a, offset + 8);

		if (!agrees(k, offset, last(k)))
			break;
		if (take_end(k, *at, head))
			return WALK_END;
		if (!fits(k, *at, head) || (top_is_here(k) && (*at == k->a.top || *at == k->b.top)))
			break;
		if (last(k))
			last(k)->in_use = head & CHUNK_PREV_IN_USE;
		chunk_vec_push(&k->chunks, (struct chunk){ *at, size_of(head), true });
		*at += size_of(head);
	}
	return *at > begin ? WALK_ON : WALK_AGAIN;
}

/* Where the walk stands: behind the last chunk. */
static uint64_t place(struct walker *k)
{
	return last(k) ? last(k)->addr + last(k)->size : k->w->first;
}

static enum outcome step(struct walker *k)
{
	uint64_t at = place(k), begin = at;
	enum outcome outcome;

	outcome = read_twice(k, at);
	if (outcome != WALK_ON)
		return outcome;
	if (!is_joined(k))
		return WALK_BACK;
	outcome = take(k, &at);
	/* As much next as went well now, and some more. */
	k->want = 4 * (size_t)(at - begin);
	if (k->want < STRETCH_MIN)
		k->want = STRETCH_MIN;
	if (k->want > STRETCH_MAX)
		k->want = STRETCH_MAX;
	return outcome;
}

/* It was the one that grows, and no top chunk says any longer how far it got. */
static void follow_end(struct walker *k)
{
	uint64_t size = 0;
	struct iovec local = { &size, sizeof(size) };
	struct iovec remote = { (void *)(uintptr_t)k->w->size_at, sizeof(size) };

	if (!k->w->size_at ||
	    process_vm_readv((pid_t)k->w->pid, &local, 1, &remote, 1, 0) != sizeof(size))
		return;
	if (size <= k->w->limit - k->w->start && k->w->start + size > k->w->end)
		k->w->end = k->w->start + size;
}

/* Takes back one chunk, then two, then four ... */
static void go_back(struct walker *k, int times)
{
	size_t back = times < 12 ? (size_t)1 << times : LOOK_BACK;

	if (k->chunks.len)
		k->chunks.len = k->chunks.len > back ? k->chunks.len - back : 1;
}

static void walk(struct walker *k)
{
	int tries = 0, backs = 0, gone = 0;
	bool from_first = true;		/* all chunks since the first can be taken back */

	for (;;) {
		enum outcome outcome = step(k);

		if (outcome == WALK_END)
			return;
		if (outcome == WALK_ON) {
			tries = 0;
			if (k->chunks.len <= 2 * LOOK_BACK)
				continue;
			settle(k, LOOK_BACK);
			backs = gone = 0;
			from_first = false;
			continue;
		}
		k->w->retries++;
		follow_end(k);
		if (outcome == WALK_AGAIN && ++tries < TRIES)
			continue;
		gone += outcome == WALK_GONE;
		if (backs >= GO_BACKS || gone > GONE_MAX || (!from_first && k->chunks.len <= 1))
			return;
		tries = 0;
		go_back(k, backs++);
		if (from_first && k->chunks.len <= 1)
			k->chunks.len = 0;
	}
}

uint64_t chunk_walk(struct chunk_walk *w)
{
	struct walker *k = xcalloc(1, sizeof(*k));
	uint64_t reached;

	k->w = w;
	k->want = STRETCH_MAX;
	walk(k);
	w->finished = k->ended;
	reached = k->ended ? k->ended : last(k) ? last(k)->addr : w->first;
	/* Where it could not go on, the use of the last one is not known. */
	if (!k->ended && k->chunks.len) {
		k->chunks.len--;
		settle(k, 0);
	}
	chunk_vec_deinit(&k->chunks);
	free(k);
	return reached;
}
