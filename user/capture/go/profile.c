// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading runtime.mbuckets; see profile.h, and mprof.go of the runtime. */
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "capture/go/profile.h"
#include "capture/go/runtime.h"
#include "capture/go/stack.h"
#include "model/estimate.h"
#include "symbol/go/binary.h"

#define MEM_PROFILE 1		/* bucket.typ */
#define STACK_MAX 4096		/* words; GODEBUG=profstackdepth may ask for 1024 */
#define BUCKETS_MAX (1u << 20)
#define TRIES 4
#define CYCLES 4		/* of a memRecord: the published one and three to come */

struct bucket_head {
	uint64_t next, all_next, type, hash, size, stack_words;
};

struct counts { uint64_t allocs, frees; };

DEFINE_VEC(counts_vec, struct counts);
DEFINE_VEC(bucket_iovec_vec, struct iovec);

struct reading {
	const struct go_runtime *go;
	struct go_profile *profile;
	struct counts_vec counts;	/* CYCLES for each bucket */
};

static bool peek(const struct go_runtime *go, uint64_t address, void *buf, size_t size)
{
	struct iovec local = { buf, size };
	struct iovec remote = { (void *)(uintptr_t)address, size };

	return process_vm_readv((pid_t)go_runtime_pid(go), &local, 1, &remote, 1, 0) ==
	       (ssize_t)size;
}

/* --- buckets --- */

static uint32_t row_of(struct go_profile *profile, const struct go_runtime *go,
		       const uint64_t *pcs, uint32_t count)
{
	uint32_t skipped = go_stack_trim(go, GO_STACK_PROFILE, pcs, count);
	uint64_t id = go_stack_id(pcs + skipped, count - skipped, GO_STACK_PROFILE);
	uint32_t row = map64_get(&profile->by_stack, id);

	if (row)
		return row - 1;
	go_profile_row_vec_push(&profile->rows, (struct go_profile_row){
		.stack_id = id,
		.first = (uint32_t)profile->pcs.len,
		.count = count - skipped,
	});
	for (uint32_t i = skipped; i < count; i++)
		go_pc_vec_push(&profile->pcs, pcs[i]);
	map64_set(&profile->by_stack, id, (uint32_t)profile->rows.len);
	return (uint32_t)profile->rows.len - 1;
}

/* Returns the address of the bucket after it, or 1 if it cannot be read. */
static uint64_t add_bucket(struct reading *r, uint64_t address)
{
	uint64_t pcs[STACK_MAX];
	struct bucket_head head;

	if (!peek(r->go, address, &head, sizeof(head)) || head.type != MEM_PROFILE ||
	    head.stack_words > STACK_MAX || !head.size ||
	    !peek(r->go, address + sizeof(head), pcs, head.stack_words * sizeof(*pcs)))
		return 1;
	go_bucket_vec_push(&r->profile->buckets, (struct go_bucket){
		.address = address,
		.size = head.size,
		.row = row_of(r->profile, r->go, pcs, (uint32_t)head.stack_words),
		.stack_words = (uint32_t)head.stack_words,
	});
	return head.all_next;
}

/* New ones stand in front of those that are known. */
static bool add_new_buckets(struct reading *r)
{
	struct go_profile *profile = r->profile;
	uint64_t known = profile->buckets.len ? profile->buckets.data[0].address : 0, at;
	size_t before = profile->buckets.len;
	uint64_t list = go_runtime_binary(r->go)->points.mbuckets + go_runtime_bias(r->go);
	struct go_bucket first;

	if (!peek(r->go, list, &at, sizeof(at)))
		return false;
	while (at != known && at > 1 && profile->buckets.len < BUCKETS_MAX)
		at = add_bucket(r, at);
	if (at != known) {
		profile->buckets.len = before;
		return false;
	}
	/* The list's head is known by being the first here. */
	if (before && profile->buckets.len > before) {
		first = profile->buckets.data[0];
		profile->buckets.data[0] = profile->buckets.data[before];
		profile->buckets.data[before] = first;
	}
	return true;
}

/* --- counts --- */

static uint64_t record_address(const struct go_bucket *bucket)
{
	return bucket->address + sizeof(struct bucket_head) + 8ull * bucket->stack_words;
}

static bool fetch(const struct go_runtime *go, const struct bucket_iovec_vec *local,
		  const struct bucket_iovec_vec *remote)
{
	for (size_t i = 0; i < local->len; i += IOV_MAX) {
		size_t n = local->len - i < IOV_MAX ? local->len - i : IOV_MAX;

		if (process_vm_readv((pid_t)go_runtime_pid(go), local->data + i, n,
				     remote->data + i, n, 0) !=
		    (ssize_t)(n * sizeof(struct counts)))
			return false;
	}
	return true;
}

/* The counts of all cycles of all buckets. */
static bool read_counts(struct reading *r)
{
	__cleanup(bucket_iovec_vec_deinit) struct bucket_iovec_vec local = { 0 }, remote = { 0 };
	const struct go_bucket_vec *buckets = &r->profile->buckets;
	uint64_t cycle_size = (uint64_t)go_runtime_layout(r->go)->bucket_cycle_size;

	r->counts.len = 0;
	counts_vec_reserve(&r->counts, buckets->len * CYCLES);
	vec_for_each(bucket, buckets) {
		for (uint64_t i = 0; i < CYCLES; i++) {
			uint64_t at = record_address(bucket) + i * cycle_size;

			bucket_iovec_vec_push(&local, (struct iovec){
				counts_vec_append(&r->counts), sizeof(struct counts) });
			bucket_iovec_vec_push(&remote, (struct iovec){
				(void *)(uintptr_t)at, sizeof(struct counts) });
		}
	}
	return fetch(r->go, &local, &remote);
}

static bool same_published(const struct counts_vec *a, const struct counts_vec *b)
{
	for (size_t i = 0; i < a->len; i += CYCLES)
		if (memcmp(&a->data[i], &b->data[i], sizeof(*a->data)))
			return false;
	return true;
}

/* Twice the same: no cycle was published while it was read. */
static bool read_whole_counts(struct reading *r)
{
	for (int i = 0; i < TRIES; i++) {
		struct counts_vec first = { 0 };
		bool same;

		if (!read_counts(r))
			return false;
		first = r->counts;
		r->counts = (struct counts_vec){ 0 };
		same = read_counts(r) && same_published(&first, &r->counts);
		counts_vec_deinit(&first);
		if (same)
			return true;
	}
	return false;
}

/* --- estimates --- */

/* What one row's or all samples add up to. */
struct sum {
	double allocs, frees, alloc_bytes, free_bytes;
	struct spread spread;
};

static void sum_add(struct sum *sum, const struct go_bucket *bucket, struct counts counts,
		    int64_t rate)
{
	double size = (double)bucket->size;
	double p = rate > 1 ? -expm1(-size / (double)rate) : 1;
	double allocs = (double)counts.allocs, live = (double)(counts.allocs - counts.frees);
	double variance = (1 - p) / (p * p);

	sum->allocs += allocs / p;
	sum->frees += (double)counts.frees / p;
	sum->alloc_bytes += allocs / p * size;
	sum->free_bytes += (double)counts.frees / p * size;
	sum->spread.alloc_count += allocs * variance;
	sum->spread.live_count += live * variance;
	sum->spread.alloc_bytes += allocs * variance * size * size;
	sum->spread.live_bytes += live * variance * size * size;
	sum->spread.heaviest_count = fmax(sum->spread.heaviest_count, sqrt(variance));
	sum->spread.heaviest_bytes = fmax(sum->spread.heaviest_bytes, sqrt(variance) * size);
}

static struct metrics sum_metrics(const struct sum *sum)
{
	const struct spread *s = &sum->spread;
	struct metrics m = {
		.alloc_bytes = llround(sum->alloc_bytes),
		.alloc_count = llround(sum->allocs),
		.free_bytes = llround(sum->free_bytes),
		.free_count = llround(sum->frees),
	};

	m.live_bytes = m.alloc_bytes - m.free_bytes;
	m.live_count = m.alloc_count - m.free_count;
#define ERROR(metric, variance, heaviest) \
	m.metric##_error = estimate_error((double)m.metric, variance, s->heaviest)
	ERROR(live_bytes, s->live_bytes, heaviest_bytes);
	ERROR(live_count, s->live_count, heaviest_count);
	ERROR(alloc_bytes, s->alloc_bytes, heaviest_bytes);
	ERROR(alloc_count, s->alloc_count, heaviest_count);
	ERROR(free_bytes, s->alloc_bytes - s->live_bytes, heaviest_bytes);
	ERROR(free_count, s->alloc_count - s->live_count, heaviest_count);
#undef ERROR
	return m;
}

/* Before the first collection nothing is published: what is to come counts then, as in pprof. */
static bool is_published(const struct counts_vec *counts)
{
	for (size_t i = 0; i < counts->len; i += CYCLES)
		if (counts->data[i].allocs)
			return true;
	return false;
}

/* @now with the peak that @before has; or, if this is one, its own. */
static struct metrics with_peak(struct metrics now, const struct metrics *before, bool is_peak)
{
	now.peak_live_bytes = is_peak ? now.live_bytes : before->peak_live_bytes;
	now.peak_live_bytes_error =
		is_peak ? now.live_bytes_error : before->peak_live_bytes_error;
	return now;
}

/* Peaks are of the reading in which most was live. */
static void set_metrics(struct go_profile *profile, const struct sum *sums,
			const struct sum *total)
{
	struct metrics now = sum_metrics(total);
	bool is_peak = now.live_bytes >= profile->total.peak_live_bytes;

	profile->total = with_peak(now, &profile->total, is_peak);
	for (size_t i = 0; i < profile->rows.len; i++) {
		struct metrics *m = &profile->rows.data[i].m;

		*m = with_peak(sum_metrics(&sums[i]), m, is_peak);
	}
}

static void estimate(struct reading *r)
{
	struct go_profile *profile = r->profile;
	__cleanup_free struct sum *sums = xcalloc(profile->rows.len + 1, sizeof(*sums));
	struct sum *total = &sums[profile->rows.len];
	bool published = is_published(&r->counts);

	for (size_t i = 0; i < profile->buckets.len; i++) {
		const struct go_bucket *bucket = &profile->buckets.data[i];
		struct counts counts = r->counts.data[i * CYCLES];

		for (int k = 1; k < CYCLES && !published; k++) {
			counts.allocs += r->counts.data[i * CYCLES + k].allocs;
			counts.frees += r->counts.data[i * CYCLES + k].frees;
		}
		if (counts.frees > counts.allocs)
			continue;
		sum_add(&sums[bucket->row], bucket, counts, profile->rate);
		sum_add(total, bucket, counts, profile->rate);
	}
	set_metrics(profile, sums, total);
	/* What is published is of the collection before the last, unless that was forced. */
	profile->as_of_ns = published ? go_runtime_collected_ns(r->go, 1) : 0;
	if (published && !profile->as_of_ns)
		profile->as_of_ns = go_runtime_collected_ns(r->go, 0);
}

bool go_profile_read(const struct go_runtime *go, struct go_profile *profile)
{
	const struct go_points *points = &go_runtime_binary(go)->points;
	struct reading r = { .go = go, .profile = profile };
	int64_t rate = 0;
	bool whole;

	if (!points->mbuckets || !points->profile_rate ||
	    !peek(go, points->profile_rate + go_runtime_bias(go), &rate, sizeof(rate)))
		return false;
	if (rate <= 0) {
		profile->rate = 0;
		return true;
	}
	whole = add_new_buckets(&r) && read_whole_counts(&r);
	if (whole) {
		profile->rate = rate;
		estimate(&r);
	}
	counts_vec_deinit(&r.counts);
	return whole;
}

void go_profile_deinit(struct go_profile *profile)
{
	go_profile_row_vec_deinit(&profile->rows);
	go_pc_vec_deinit(&profile->pcs);
	go_bucket_vec_deinit(&profile->buckets);
	map64_deinit(&profile->by_stack);
}
