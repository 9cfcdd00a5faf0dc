// SPDX-License-Identifier: GPL-2.0-or-later
/* What has become of blocks seen in windows; see window_polls.h. */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "base/procfs.h"
#include "base/strbuf.h"
#include "capture/ledger/glibc_heap.h"
#include "capture/cost/window_jemalloc.h"
#include "capture/cost/window_musl.h"
#include "capture/cost/window_polls_private.h"
#include "model/content.h"
#include "model/map64.h"

#define HEADER 16ull
#define LARGE_BYTES (64u << 10)
#define READINGS 3		/* of a heap that grows while it is read */
#define CONTROL_WORDS 4
#define TOP_ALWAYS (256 << 10)	/* as much lies there in any heap */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* --- the heap as a whole --- */

struct chunk_seen { uint64_t block, bytes; };

DEFINE_VEC(chunk_seen_vec, struct chunk_seen);

struct heap_look {
	uint32_t pid;
	struct heap_census *census;
	struct poll_evidence *evidence;
	bool collect;
	struct chunk_seen_vec mapped;		/* by themselves */
	struct chunk_seen_vec large, small;	/* in use; a fair sample of the small ones ... */
	uint64_t small_seen, draw;		/* ... of so many */
	struct map64 cached;
	const struct followed_vec *followed;
	struct map64 block_at, control_at;	/* of those: address -> index + 1 */
	bool *in_use;				/* of each */
	uint64_t lists_above;			/* 0: none */
	struct large_chunk_vec *large_list;
};

static struct map64 *at_of(struct heap_look *look, const struct followed *f)
{
	return f->control ? &look->control_at : &look->block_at;
}

static void note_use(struct heap_look *look, const struct map64 *at, uint64_t block,
		     uint64_t bytes, bool in_use)
{
	uint32_t i = map64_get(at, block);

	if (i && (look->followed->data[i - 1].head & CHUNK_SIZE_MASK) == bytes)
		look->in_use[i - 1] = in_use;
}

/* Sampling without knowing how many there are (Vitter's algorithm R, 1985). */
static void collect(struct heap_look *look, uint64_t block, uint64_t bytes)
{
	const struct chunk_seen seen = { block, bytes };
	uint64_t place;

	if (bytes >= LARGE_BYTES) {
		chunk_seen_vec_push(&look->large, seen);
		return;
	}
	look->small_seen++;
	if (look->small.len < OLDER_MAX) {
		chunk_seen_vec_push(&look->small, seen);
		return;
	}
	look->draw = look->draw * 6364136223846793005u + 1442695040888963407u;
	place = (look->draw >> 33) % look->small_seen;
	if (place < look->small.len)
		look->small.data[place] = seen;
}

static void on_in_use(void *arg, uint64_t block, uint64_t bytes, bool mapped,
		      const struct pages *pages)
{
	struct heap_look *look = arg;

	if (mapped)
		chunk_seen_vec_push(&look->mapped, (struct chunk_seen){ block, bytes });
	else
		look->census->bytes[window_class(bytes)] += (double)bytes;
	note_use(look, &look->block_at, block, bytes, true);
	note_use(look, &look->control_at, block, bytes, true);
	if (look->collect)
		collect(look, block, bytes);
	if (!mapped && look->lists_above && bytes > look->lists_above &&
	    look->large_list->len < LARGE_CHUNKS_MAX)
		large_chunk_vec_push(look->large_list, (struct large_chunk){ block, bytes });
}

static void on_cached(void *arg, uint64_t block, uint64_t bytes)
{
	struct heap_look *look = arg;

	look->census->bytes[window_class(bytes)] -= (double)bytes;
	note_use(look, &look->block_at, block, bytes, false);
	note_use(look, &look->control_at, block, bytes, false);
	if (look->collect)
		map64_set(&look->cached, block, 1);
}

static void on_tcache(void *arg, uint64_t block)
{
	struct heap_look *look = arg;

	if (look->evidence->key.kind == TCACHE_KEY_UNKNOWN)
		tcache_key_read(look->pid, block, &look->evidence->key);
}

/*
 * Whether the walk may have taken a stale size for the end of the heap: what is
 * free at the end is in memory, and much beside what is in use. A heap that has
 * just shrunk looks the same for a while, and is not read then.
 */
static bool may_have_jumped(const struct glibc_heap_census *census)
{
	int64_t held = census->use[CHUNK_IN_USE].bytes + census->use[CHUNK_MAPPED].bytes;
	int64_t top = census->use[CHUNK_TOP].resident;

	return top > TOP_ALWAYS && top > held / 4;
}

static bool read_heap(struct heap_look *look)
{
	const struct glibc_heap_watcher watcher = {
		.in_use = on_in_use, .cached = on_cached, .tcache = on_tcache, .arg = look,
	};
	__cleanup(smaps_entry_vec_deinit) struct smaps_entry_vec maps = { 0 };
	struct strbuf text __cleanup_strbuf = { 0 };
	__cleanup_free int64_t *parts = NULL;
	struct glibc_heap_census census;

	memset(look->census, 0, sizeof(*look->census));
	if (procfs_read(look->pid, "smaps", &text) || !text.len)
		return false;
	smaps_parse(text.data, &maps);
	if (!maps.len)
		return false;
	parts = xcalloc(maps.len, sizeof(*parts));
	if (!glibc_heap_read(look->pid, &maps, parts, &watcher, &census) || !census.heaps)
		return false;
	return !census.unknown_resident && !may_have_jumped(&census);
}

static void follow_all(struct heap_look *look, const struct chunk_seen_vec *chunks,
		       double weight, struct windows *windows)
{
	uint64_t now = now_ns();

	vec_for_each(chunk, chunks)
		if (!map64_get(&look->cached, chunk->block))
			windows_add_older(windows, chunk->block, chunk->bytes, weight, now);
}

static void follow_older(struct heap_look *look, struct windows *windows)
{
	double weight = look->small.len ?
		(double)look->small_seen / (double)look->small.len : 1;

	follow_all(look, &look->large, 1, windows);
	follow_all(look, &look->small, weight, windows);
}

/* Those whose chunk was never read are none that the walk could know again. */
static void begin_look(struct heap_look *look)
{
	look->in_use = xcalloc(look->followed->len + 1, sizeof(*look->in_use));
	vec_for_each(f, look->followed)
		if (f->head)
			map64_set(at_of(look, f), f->addr,
				  (uint32_t)(f - look->followed->data) + 1);
}

static void end_look(struct heap_look *look)
{
	map64_deinit(&look->cached);
	map64_deinit(&look->block_at);
	map64_deinit(&look->control_at);
	chunk_seen_vec_deinit(&look->mapped);
	chunk_seen_vec_deinit(&look->large);
	chunk_seen_vec_deinit(&look->small);
	free(look->in_use);
}

static void count_mapped(struct heap_look *look, struct windows *windows)
{
	vec_for_each(chunk, &look->mapped)
		if (windows_counts_mapped(windows, chunk->block))
			look->census->bytes[window_class(chunk->bytes)] += (double)chunk->bytes;
}

static void tell_walk(struct heap_look *look, struct windows *windows, pthread_mutex_t *lock)
{
	uint64_t now = now_ns();

	pthread_mutex_lock(lock);
	vec_for_each(f, look->followed)
		if (f->head)
			windows_note_walk(windows, f, look->in_use[f - look->followed->data], now);
	if (look->collect)
		follow_older(look, windows);
	count_mapped(look, windows);
	pthread_mutex_unlock(lock);
}

static bool read_glibc(uint32_t pid, struct windows *windows, pthread_mutex_t *lock,
		       struct poll_evidence *evidence, bool first, struct heap_census *ret,
		       struct large_chunk_vec *large_ret)
{
	__cleanup(followed_vec_deinit) struct followed_vec followed = { 0 };
	uint64_t lists_above;
	bool whole = false;

	pthread_mutex_lock(lock);
	windows_followed(windows, &followed);
	lists_above = windows_lists_large(windows);
	pthread_mutex_unlock(lock);
	for (int i = 0; i < READINGS && !whole; i++) {
		struct heap_look look = {
			.pid = pid, .census = ret, .evidence = evidence, .collect = first,
			.draw = now_ns(), .followed = &followed,
			.lists_above = lists_above, .large_list = large_ret,
		};

		large_ret->len = 0;
		begin_look(&look);
		whole = read_heap(&look);
		if (whole)
			tell_walk(&look, windows, lock);
		end_look(&look);
	}
	return whole;
}

bool polls_read_heap(uint32_t pid, struct windows *windows, pthread_mutex_t *lock,
		     struct poll_evidence *evidence, bool first, struct heap_census *ret,
		     struct large_chunk_vec *large_ret)
{
	switch (evidence->allocator) {
	case POLL_GLIBC:
		return read_glibc(pid, windows, lock, evidence, first, ret, large_ret);
	case POLL_MUSL:
		return musl_polls_read_heap(pid, windows, lock, evidence, first, ret);
	case POLL_JEMALLOC:
		return jemalloc_polls_read_heap(pid, windows, lock, evidence, first, ret);
	case POLL_ANY:
		break;
	}
	return false;
}

/* --- contents --- */

/* How many words of it are looked at. Of a control's size nothing is known. */
static int words_of(const struct followed *f)
{
	return f->control ? CONTROL_WORDS : content_words(f->size);
}

/* --- glibc's chunks --- */

struct head_reader { uint32_t pid; };

static bool read_head(void *arg, uint64_t chunk, uint64_t *ret)
{
	const struct head_reader *reader = arg;
	struct iovec local = { ret, sizeof(*ret) };
	struct iovec remote = { (void *)(uintptr_t)(chunk + 8), sizeof(*ret) };

	return process_vm_readv((pid_t)reader->pid, &local, 1, &remote, 1, 0) == sizeof(*ret);
}

#define HEAD_WORDS 2

/* One block, read: its chunk's head, and as much of its contents as is looked at. */
struct looked {
	uint64_t words[HEAD_WORDS + CONTENT_WORDS];
	uint64_t next_head;
};

static struct chunk_view view_of(const struct looked *looked)
{
	struct chunk_view view;

	memcpy(&view, looked->words, sizeof(view));
	return view;
}

enum looked_parts { LOOKED_NOTHING, LOOKED_CHUNK, LOOKED_BOTH };

/* Where the chunk behind begins; its head is asked for at once, if the size is known. */
static uint64_t next_chunk(const struct followed *f)
{
	uint64_t size = f->head ? f->head & CHUNK_SIZE_MASK : window_chunk_bytes(f->size);

	return f->addr - HEADER + size;
}

static size_t looked_bytes(const struct followed *f)
{
	size_t bytes = 8 * (HEAD_WORDS + (size_t)words_of(f));

	return f->control || bytes < sizeof(struct chunk_view) ? sizeof(struct chunk_view) : bytes;
}

/*
 * Reads @count blocks, one after the other until one of them cannot be read
 * whole: how many could be is returned, how far the next one in @part_ret.
 * Below 0: the process is gone.
 */
static int read_batch(uint32_t pid, const struct followed *all, int count, struct looked *looked,
		      enum looked_parts *part_ret)
{
	struct iovec local[2 * BATCH], remote[2 * BATCH];
	ssize_t len;
	int done = 0;

	for (int i = 0; i < count; i++) {
		local[2 * i] = (struct iovec){ looked[i].words, looked_bytes(&all[i]) };
		remote[2 * i] = (struct iovec){ (void *)(uintptr_t)(all[i].addr - HEADER),
						looked_bytes(&all[i]) };
		local[2 * i + 1] = (struct iovec){ &looked[i].next_head, 8 };
		remote[2 * i + 1] = (struct iovec){
			(void *)(uintptr_t)(next_chunk(&all[i]) + 8), 8 };
	}
	len = process_vm_readv((pid_t)pid, local, 2 * count, remote, 2 * count, 0);
	if (len < 0 && errno != EFAULT)
		return -1;
	for (; done < count && len >= (ssize_t)looked_bytes(&all[done]) + 8; done++)
		len -= (ssize_t)looked_bytes(&all[done]) + 8;
	*part_ret = done < count && len >= (ssize_t)looked_bytes(&all[done]) ? LOOKED_CHUNK
									   : LOOKED_NOTHING;
	return done;
}

/* A block is as long as was asked for when it is first read, or it has ended before. */
static bool begins_ended(const struct followed *f, const struct chunk_view *view)
{
	return !f->control && !chunk_fits_request(view->head, f->size);
}

static bool has_content(const struct followed *f)
{
	return words_of(f) >= CONTENT_WORDS_MIN;
}

static uint64_t print_of(const struct followed *f, const struct looked *looked)
{
	return content_print(&looked->words[HEAD_WORDS], words_of(f));
}

/* What is not compared has no look. */
static void judge_look(struct poll *poll, const struct followed *f, const struct looked *looked)
{
	struct followed now = *f;

	if (f->look == LOOKS_UNKNOWN)
		return;
	now.look = (uint8_t)content_look(print_of(f, looked), f->print, words_of(f));
	if (now.look != f->look)
		followed_vec_push(&poll->other_look, now);
}

static void judge(struct poll *poll, const struct followed *f, const struct looked *looked,
		  enum looked_parts parts)
{
	struct head_reader head_reader = { poll->pid };
	const struct chunk_reader reader = { read_head, &head_reader };
	struct chunk_before before = { f->head, f->word0 };
	const struct chunk_view view = view_of(looked);
	struct followed first = *f;

	/* Then the view is of no meaning. */
	if (parts == LOOKED_NOTHING) {
		followed_vec_push(&poll->ended, *f);
		return;
	}
	if (!f->head) {
		before = (struct chunk_before){ view.head, view.words[0] };
		first.head = before.head;
		first.word0 = before.word0;
		/* The chunk behind may be another one than was read. */
		if (next_chunk(&first) != next_chunk(f))
			parts = LOOKED_CHUNK;
	}
	if (!f->control && has_content(f) && f->look == LOOKS_UNKNOWN) {
		first.print = print_of(f, looked);
		first.look = LOOKS_SAME;
	}
	if (first.head != f->head || first.look != f->look)
		followed_vec_push(&poll->first, first);
	if ((!f->head && begins_ended(f, &view)) ||
	    chunk_has_ended(f->addr, &before, &view,
			    parts == LOOKED_BOTH ? &looked->next_head : NULL,
			    &poll->evidence->key, &reader))
		polls_end(poll, f, &first);
	else
		judge_look(poll, f, looked);
}

/* False when the process is gone. */
static bool look_at(struct poll *poll, const struct followed *all, size_t count)
{
	struct looked looked[BATCH];
	enum looked_parts part;

	for (size_t at = 0; at < count;) {
		int want = count - at < BATCH ? (int)(count - at) : BATCH;
		int done = read_batch(poll->pid, all + at, want, looked, &part);

		if (done < 0)
			return false;
		for (int i = 0; i < done; i++)
			judge(poll, &all[at + i], &looked[i], LOOKED_BOTH);
		if (done < want) {
			judge(poll, &all[at + done], &looked[done], part);
			done++;
		}
		at += (size_t)done;
	}
	return true;
}

static bool read_print(uint32_t pid, const struct followed *f, uint64_t *ret)
{
	int count = words_of(f);
	uint64_t words[CONTENT_WORDS];
	struct iovec local = { words, (size_t)count * 8 };
	struct iovec remote = { (void *)(uintptr_t)f->addr, (size_t)count * 8 };

	if (process_vm_readv((pid_t)pid, &local, 1, &remote, 1, 0) != (ssize_t)local.iov_len)
		return false;
	*ret = content_print(words, count);
	return true;
}

/* It could not be read: with its memory it has ended. False when the process is gone. */
static bool judge_unread(struct poll *poll, const struct followed *f)
{
	if (errno != EFAULT)
		return false;
	followed_vec_push(&poll->ended, *f);
	return true;
}

void polls_end(struct poll *poll, const struct followed *before, const struct followed *now)
{
	if (before->head || !before->late)
		followed_vec_push(&poll->ended, *now);
}

bool polls_take_content(const struct poll *poll, struct followed *f)
{
	return !has_content(f) || read_print(poll->pid, f, &f->print) || errno == EFAULT;
}

bool polls_judge_content(struct poll *poll, const struct followed *f)
{
	int count = words_of(f);
	uint64_t print;

	if (!has_content(f))
		return true;
	if (!read_print(poll->pid, f, &print))
		return judge_unread(poll, f);
	if (content_look(print, f->print, count) == LOOKS_OTHER)
		polls_end(poll, f, f);
	return true;
}

/* False when the process is gone. */
static bool judge_content(struct poll *poll, const struct followed *f)
{
	struct followed first = *f;

	if (f->head)
		return polls_judge_content(poll, f);
	if (!has_content(f))
		return true;
	if (!read_print(poll->pid, f, &first.print))
		return judge_unread(poll, f);
	first.head = CONTENT_READ;
	followed_vec_push(&poll->first, first);
	return true;
}

static bool look_at_contents(struct poll *poll, const struct followed *all, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!judge_content(poll, &all[i]))
			return false;
	return true;
}

static void tell(const struct poll *poll, struct windows *windows, pthread_mutex_t *lock)
{
	uint64_t now = now_ns();

	pthread_mutex_lock(lock);
	vec_for_each(f, &poll->first)
		windows_note_first(windows, f);
	vec_for_each(f, &poll->other_look)
		windows_note_look(windows, f);
	vec_for_each(f, &poll->ended)
		windows_note_end(windows, f, now);
	pthread_mutex_unlock(lock);
}

static void keep_new(struct followed_vec *all)
{
	size_t kept = 0;

	vec_for_each(f, all)
		if (!f->head)
			all->data[kept++] = *f;
	all->len = kept;
}

static bool look(struct poll *poll, const struct followed_vec *all)
{
	switch (poll->evidence->allocator) {
	case POLL_GLIBC:
		return look_at(poll, all->data, all->len);
	case POLL_MUSL:
		return musl_polls_look(poll, all->data, all->len);
	case POLL_JEMALLOC:
		return jemalloc_polls_look(poll, all->data, all->len);
	case POLL_ANY:
		break;
	}
	return look_at_contents(poll, all->data, all->len);
}

size_t polls_look(uint32_t pid, struct windows *windows, pthread_mutex_t *lock,
		  const struct poll_evidence *evidence, uint64_t since_ns, bool only_new)
{
	__cleanup(followed_vec_deinit) struct followed_vec all = { 0 };
	struct poll poll = { .pid = pid, .evidence = evidence };

	pthread_mutex_lock(lock);
	windows_followed_since(windows, since_ns, &all);
	pthread_mutex_unlock(lock);
	if (only_new)
		keep_new(&all);
	if (look(&poll, &all))
		tell(&poll, windows, lock);
	followed_vec_deinit(&poll.first);
	followed_vec_deinit(&poll.ended);
	followed_vec_deinit(&poll.other_look);
	return all.len;
}

/* --- blocks with mappings of their own --- */

/* Its size stays the old one for a moment after mremap(). */
static enum mapped_look look_at_head(uint32_t pid, const struct mapped_block *block)
{
	uint64_t head;
	struct iovec local = { &head, sizeof(head) };
	struct iovec remote = { (void *)(uintptr_t)(block->start + 8), sizeof(head) };

	if (process_vm_readv((pid_t)pid, &local, 1, &remote, 1, 0) != sizeof(head))
		return errno == EFAULT ? MAPPED_IS_GONE : MAPPED_IS_EMPTY;
	return !head ? MAPPED_IS_EMPTY :
	       head & CHUNK_IS_MAPPED ? MAPPED_IS_CHUNK : MAPPED_IS_OTHER;
}

void polls_look_at_mapped(uint32_t pid, struct windows *windows, pthread_mutex_t *lock)
{
	__cleanup(mapped_block_vec_deinit) struct mapped_block_vec all = { 0 };
	__cleanup_free enum mapped_look *looks = NULL;

	pthread_mutex_lock(lock);
	windows_mapped(windows, &all);
	pthread_mutex_unlock(lock);
	looks = xcalloc(all.len + 1, sizeof(*looks));
	for (size_t i = 0; i < all.len; i++)
		looks[i] = look_at_head(pid, &all.data[i]);
	pthread_mutex_lock(lock);
	for (size_t i = 0; i < all.len; i++)
		windows_note_mapped(windows, &all.data[i], looks[i]);
	pthread_mutex_unlock(lock);
}
