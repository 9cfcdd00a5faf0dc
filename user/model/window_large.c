// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Births of large blocks, told at all times but without their addresses; see windows.h.
 *
 *	births -> which of them is the chunk that a walk meets anew -> blocks that are followed
 */
#include <stdlib.h>
#include <string.h>

#include "model/windows_private.h"

#define TOO_SMALL 16		/* a rest that cannot be a chunk of its own stays in the last one */
#define PAGE 4096ull
#define BIRTHS_MAX 65536	/* between two walks */
#define LOOK_BACK 256		/* births, for a thread's last one */
#define NOBODYS UINT32_MAX	/* of a block that has ended: no row of such that are told */
/* The clock of records is the tick's: so much later a birth may have been before a walk. */
#define CLOCK_NS 20000000ull

static double room_in(uint64_t chunk_bytes)
{
	return (double)(chunk_bytes - CHUNK_HEAD);
}

void windows_tell_large(struct windows *w, uint64_t above)
{
	struct large_births *large = &w->large;

	large->wanted = above;
	large->ever |= above > 0;
	if (!w->open)
		large->above = above;
	if (!above)
		return;
	/* What the last walk did not list would be taken for new. */
	large->walked &= above >= large->listed;
	large->listed = above;
	large->too_many = false;
}

uint64_t windows_lists_large(const struct windows *w)
{
	return w->large.listed;
}

bool windows_has_too_many(const struct windows *w)
{
	return w->large.too_many;
}

double windows_births_above(const struct windows *w, uint64_t above)
{
	double sum = 0;

	for (int i = window_class(above) + 1; i < WINDOW_CLASSES; i++)
		sum += w->births[i];
	return sum;
}

bool large_is_told(const struct windows *w, uint64_t size)
{
	return w->large.above && w->chunk_bytes(size) > w->large.above;
}

/* --- births --- */

static void count_birth(struct windows *w, const struct large_birth *birth, int sign)
{
	struct birth_row *row = &w->rows.data[birth->row];

	row->bytes.y += sign * room_in(birth->chunk_bytes);
	row->count.y += sign;
}

void windows_large(struct windows *w, const struct told_large *told)
{
	struct large_birth birth = {
		.time_ns = told->time_ns, .chunk_bytes = told->chunk_bytes, .tid = told->tid,
		.window = w->open ? w->number : 0,
	};
	struct large_births *large = &w->large;

	if (!large->above || told->chunk_bytes <= large->above)
		return;
	windows_exact_row_of(w, told->stack_id, &birth.row);
	count_birth(w, &birth, 1);
	if (large->births.len < BIRTHS_MAX)
		large_birth_vec_push(&large->births, birth);
	else
		large->too_many = true;
}

/* The thread's last birth, if it is of @chunk_bytes, or of such as need a mapping of that size. */
static struct large_birth *last_of(struct windows *w, uint32_t tid, uint64_t bytes, bool mapping)
{
	struct large_birth_vec *births = &w->large.births;

	for (size_t i = births->len; i-- > 0 && births->len - i <= LOOK_BACK;) {
		struct large_birth *birth = &births->data[i];
		uint64_t mapped = (birth->chunk_bytes + CHUNK_HEAD + PAGE - 1) & -PAGE;

		if (birth->tid == tid)
			return (mapping ? mapped : birth->chunk_bytes) == bytes ? birth : NULL;
	}
	return NULL;
}

static void drop(struct windows *w, struct large_birth *birth)
{
	struct large_birth *end = w->large.births.data + --w->large.births.len;

	memmove(birth, birth + 1, (size_t)(end - birth) * sizeof(*birth));
}

void windows_large_mapped(struct windows *w, uint32_t tid, uint64_t bytes)
{
	struct large_birth *birth = last_of(w, tid, bytes, true);

	if (!birth)
		return;
	count_birth(w, birth, -1);
	drop(w, birth);
}

void large_forget(struct windows *w, uint32_t tid, uint64_t size)
{
	struct large_birth *birth = last_of(w, tid, w->chunk_bytes(size), false);

	if (!birth)
		return;
	count_birth(w, birth, -1);
	drop(w, birth);
}

bool large_take(struct windows *w, uint32_t tid, uint64_t addr, uint64_t size, uint64_t now_ns)
{
	struct large_birth *birth = last_of(w, tid, w->chunk_bytes(size), false);

	/* One from before the window is another block's. */
	if (!birth || birth->window != w->number)
		return false;
	w->rows.data[birth->row].bytes.y += (double)size - room_in(birth->chunk_bytes);
	follow_exact(w, &(struct exact_block){
		.addr = addr, .size = size, .row = birth->row,
		.since_ns = now_ns, .born_ns = now_ns,
	});
	drop(w, birth);
	return true;
}

/* --- walks --- */

static int by_block(const void *a, const void *b)
{
	const struct large_chunk *x = a, *y = b;

	return (x->block > y->block) - (x->block < y->block);
}

static int by_size(const void *a, const void *b)
{
	const struct large_birth *const *x = a, *const *y = b;
	uint64_t p = (*x)->chunk_bytes, q = (*y)->chunk_bytes;

	/* Of the same size in the order of their births. */
	return p != q ? (p > q) - (p < q) : (*x > *y) - (*x < *y);
}

/* Births of one size between two walks. */
struct candidates { struct large_birth **first; size_t count; };

static size_t first_of_size(struct large_birth **births, size_t count, uint64_t bytes)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (births[middle]->chunk_bytes >= bytes)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static struct candidates of_size(struct large_birth **births, size_t count, uint64_t bytes)
{
	size_t first = first_of_size(births, count, bytes);

	return (struct candidates){
		births + first, first_of_size(births, count, bytes + 1) - first };
}

double large_share(const struct birth_row *row)
{
	return (row->large_met + 0.5) / (row->large_settled + 1);
}

static double draw(struct windows *w)
{
	w->large.random = w->large.random * 6364136223846793005u + 1442695040888963407u;
	return (double)(w->large.random >> 11) / (double)(1ull << 53);
}

/*
 * Which of them the chunk is. Of several stacks one is drawn, by how often a birth of
 * each was met again until now; of a stack's births it is the last. How likely it is another
 * stack's in @doubt_ret. NULL: all are others.
 */
static struct large_birth *choose(struct windows *w, const struct candidates *all,
				  double *doubt_ret)
{
	double sum = 0, of_row = 0, at;
	struct large_birth *chosen = NULL;

	for (size_t i = 0; i < all->count; i++)
		if (!all->first[i]->met)
			sum += large_share(&w->rows.data[all->first[i]->row]);
	at = draw(w) * sum;
	for (size_t i = 0; i < all->count && !chosen; i++) {
		if (all->first[i]->met)
			continue;
		at -= large_share(&w->rows.data[all->first[i]->row]);
		if (at < 0)
			chosen = all->first[i];
	}
	for (size_t i = 0; chosen && i < all->count; i++) {
		struct large_birth *birth = all->first[i];

		if (birth->met || birth->row != chosen->row)
			continue;
		of_row += large_share(&w->rows.data[birth->row]);
		chosen = birth;
	}
	*doubt_ret = sum > 0 && of_row < sum ? 1 - of_row / sum : 0;
	return chosen;
}

/* A block that was followed there has been given more room, or less: no birth tells of that. */
static void follow_resized(struct windows *w, const struct large_chunk *chunk, uint64_t now_ns)
{
	uint32_t row = map64_get(&w->large.gone, chunk->block);

	if (!row || row == NOBODYS)
		return;
	follow_exact(w, &(struct exact_block){
		.addr = chunk->block, .size = chunk->bytes - CHUNK_HEAD,
		.chunk_bytes = chunk->bytes, .row = row,
		.since_ns = now_ns, .born_ns = now_ns,
	});
}

static void join(struct windows *w, const struct large_chunk *chunk, struct large_birth **births,
		 size_t count, uint64_t now_ns)
{
	struct candidates fitting = of_size(births, count, chunk->bytes);
	struct large_birth *birth;
	double doubt;

	birth = choose(w, &fitting, &doubt);
	if (!birth) {
		fitting = of_size(births, count, chunk->bytes - TOO_SMALL);
		birth = choose(w, &fitting, &doubt);
	}
	if (!birth) {
		follow_resized(w, chunk, now_ns);
		return;
	}
	birth->met = true;
	w->rows.data[birth->row].large_bytes += room_in(birth->chunk_bytes);
	follow_exact(w, &(struct exact_block){
		.addr = chunk->block, .size = birth->chunk_bytes - CHUNK_HEAD,
		.chunk_bytes = chunk->bytes, .row = birth->row,
		.since_ns = now_ns, .born_ns = birth->time_ns, .doubt = doubt,
	});
}

/* Whether the last walk has met it, and nothing was heard of its end since. */
static bool was_there(const struct windows *w, const struct large_chunk *chunk)
{
	const struct large_chunk_vec *before = &w->large.before;
	const struct large_chunk *found = before->len ?
		bsearch(chunk, before->data, before->len, sizeof(*chunk), by_block) : NULL;

	return found && found->bytes == chunk->bytes && !map64_get(&w->large.gone, chunk->block);
}

/* Births that the walk could have met have been, or they have ended; others wait on. */
static void settle(struct windows *w, uint64_t begun_ns)
{
	struct large_birth_vec *births = &w->large.births;
	size_t kept = 0;

	vec_for_each(birth, births) {
		struct birth_row *row = &w->rows.data[birth->row];

		if (!birth->met && birth->time_ns + CLOCK_NS > begun_ns) {
			births->data[kept++] = *birth;
			continue;
		}
		row->large_settled++;
		row->large_met += birth->met;
	}
	births->len = kept;
}

static void join_all(struct windows *w, const struct large_chunk_vec *chunks, uint64_t now_ns)
{
	struct large_birth_vec *births = &w->large.births;
	struct large_birth **sorted __cleanup_free = xcalloc(births->len + 1, sizeof(*sorted));

	for (size_t i = 0; i < births->len; i++)
		sorted[i] = &births->data[i];
	qsort(sorted, births->len, sizeof(*sorted), by_size);
	vec_for_each(chunk, chunks)
		if (!follow_meets(w, chunk->block, chunk->bytes, now_ns) && !was_there(w, chunk))
			join(w, chunk, sorted, births->len, now_ns);
}

void windows_meet_large(struct windows *w, struct large_chunk_vec *chunks, uint64_t begun_ns,
			uint64_t now_ns)
{
	struct large_births *large = &w->large;

	if (!large->listed)
		return;
	large->too_many |= chunks->len >= LARGE_CHUNKS_MAX;
	if (chunks->len)
		qsort(chunks->data, chunks->len, sizeof(chunks->data[0]), by_block);
	if (large->walked)
		join_all(w, chunks, now_ns);
	settle(w, begun_ns);
	large_chunk_vec_deinit(&large->before);
	large->before = *chunks;
	*chunks = (struct large_chunk_vec){ 0 };
	large->walked = !large->too_many;
	map64_deinit(&large->gone);
	large->gone = (struct map64){ 0 };
}

void large_note_end(struct windows *w, const struct follow *block)
{
	if (w->large.listed && w->chunk_bytes(block->size) > w->large.listed)
		map64_set(&w->large.gone, block->f.addr, block->exact ? block->row : NOBODYS);
}

void large_deinit(struct windows *w)
{
	large_birth_vec_deinit(&w->large.births);
	large_chunk_vec_deinit(&w->large.before);
	map64_deinit(&w->large.gone);
}
