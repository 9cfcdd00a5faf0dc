// SPDX-License-Identifier: GPL-2.0-or-later
/* Samples of a Go heap, calibrated; see live.h. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/vec.h"
#include "bpf/go.h"
#include "capture/go/exact.h"
#include "capture/go/live.h"
#include "capture/go/stack.h"
#include "model/map64.h"
#include "model/sink.h"

#define MEAN_MIN 4096
#define SAMPLES_WANTED (GO_SAMPLES / 4)	/* of a heap that is as large as it gets */
#define SAMPLES_PER_S 500	/* a few microseconds each */
#define PACE_SPAN_S 0.1
#define LOOK_MAX_NS 500000		/* the world may stand still so much longer ... */
#define LOOK_TIMES_MAX 8		/* ... for which so many times fewer samples are taken */
#define ADMITTED 1.1	/* times what was: it need not be told again */
#define REACH 3.7	/* times a missed sample's weight: how far an interval goes around none */
#define FILLED 0.7	/* of the samples' spans, when no collection has emptied them */

/* A record that waits, as the model will get it. Of an EV_FREE_LATER no more is set. */
struct waiting {
	struct ev_alloc ev;
	uint32_t class;
	bool weighed;		/* it is known what of its span's room was used */
	double times;		/* what the kernel side says it stands for */
};

/* A call path, as far as it takes blocks of one size class. */
struct path {
	struct ev_alloc block;	/* one of them, its weight a missed one's */
	double given;		/* bytes that the model was told of */
};

DEFINE_VEC(waiting_vec, struct waiting);
DEFINE_VEC(path_vec, struct path);
DEFINE_VEC(stack_id_vec, uint64_t);
DEFINE_VEC(stack_record_vec, struct ev_stack *);

struct go_live {
	const struct go_runtime *go;
	uint32_t max_depth;
	struct waiting_vec waiting;
	struct map64 waiting_at;		/* address -> index of the last sample there + 1 */
	uint64_t begun[GO_SIZE_CLASSES];	/* bytes allocated before */
	double given[GO_SIZE_CLASSES];		/* bytes that the model was told of since */
	bool missed[GO_SIZE_CLASSES];		/* not each block was a sample */
	double means, means_count;		/* since the last pace */
	double bytes, bytes_means;		/* allocated; the sum of each byte's mean */
	struct map64 sampled_paths;		/* stack and class -> index of paths + 1 */
	struct path_vec paths;
	struct map64 trimmed;			/* the kernel side's id -> index of ids + 1 */
	struct stack_id_vec ids;
	struct stack_record_vec stacks;		/* not fetched yet */
	double share;				/* of the time that spans are seen taken */
	struct go_sweeps sweeps;
	struct go_exact exact;
	int64_t births;
	unsigned int look_times;		/* the mean is so many times what is wanted */
	uint32_t looked_at;			/* samples, at the last collection */
	double bytes_per_s;			/* what the program allocates ... */
	double paced_s;				/* ... as of then, */
	int64_t paced_bytes;			/* when it had allocated so much */
};

struct go_live *go_live_create(const struct go_runtime *go, double bytes_per_s,
			       uint32_t max_depth)
{
	struct go_live *live = xcalloc(1, sizeof(*live));

	live->go = go;
	live->max_depth = max_depth;
	live->share = 1;
	live->look_times = 1;
	live->bytes_per_s = bytes_per_s;
	go_runtime_allocated(go, live->begun);
	return live;
}

void go_live_destroy(struct go_live *live)
{
	if (!live)
		return;
	vec_for_each(stack, &live->stacks)
		free(*stack);
	stack_record_vec_deinit(&live->stacks);
	stack_id_vec_deinit(&live->ids);
	map64_deinit(&live->trimmed);
	waiting_vec_deinit(&live->waiting);
	map64_deinit(&live->waiting_at);
	path_vec_deinit(&live->paths);
	map64_deinit(&live->sampled_paths);
	go_exact_deinit(&live->exact);
	free(live);
}

/* --- records in --- */

/* Class 0 is that of large objects. */
static uint32_t class_of(uint64_t size)
{
	uint32_t low = 1, high = GO_SIZE_CLASSES - 1;

	if (size > go_class_sizes[high])
		return 0;
	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (go_class_sizes[middle] < size)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void take_stack(struct go_live *live, const struct ev_stack *ev, size_t size)
{
	uint32_t count = ev->count, skipped;
	uint64_t pcs[MAX_DEPTH];
	struct ev_stack *out;

	if (count > MAX_DEPTH || size < sizeof(*ev) + count * sizeof(ev->pcs[0]) ||
	    map64_get(&live->trimmed, ev->stack_id))
		return;
	memcpy(pcs, ev->pcs, count * sizeof(*pcs));
	skipped = go_stack_trim(live->go, GO_STACK_SAMPLE, pcs, count);
	out = xcalloc(1, sizeof(*out) + count * sizeof(out->pcs[0]));
	*out = *ev;
	out->h.kind = EV_STACK;
	out->count = count - skipped;
	if (out->count > live->max_depth) {
		out->count = live->max_depth;
		out->status = UNWIND_TRUNCATED;
	}
	memcpy(out->pcs, pcs + skipped, out->count * sizeof(out->pcs[0]));
	out->stack_id = go_stack_id(pcs + skipped, out->count, GO_STACK_SAMPLE);
	stack_id_vec_push(&live->ids, out->stack_id);
	map64_set(&live->trimmed, ev->stack_id, (uint32_t)live->ids.len);
	stack_record_vec_push(&live->stacks, out);
}

struct ev_stack *go_live_next_stack(struct go_live *live, size_t *size_ret)
{
	struct ev_stack *stack;

	if (!live->stacks.len)
		return NULL;
	stack = live->stacks.data[--live->stacks.len];
	*size_ret = sizeof(*stack) + stack->count * sizeof(stack->pcs[0]);
	return stack;
}

/* What the model knows the kernel side's stack as. */
static uint64_t trimmed_id(const struct go_live *live, uint64_t id)
{
	uint32_t known = map64_get(&live->trimmed, id);

	return known ? live->ids.data[known - 1] : id;
}

static uint64_t stands_for(const struct waiting *waiting, uint64_t weight)
{
	return (uint64_t)((double)weight * waiting->times);
}

static void take_sample(struct go_live *live, const struct ev_go_alloc *ev)
{
	struct waiting *waiting = waiting_vec_append(&live->waiting);

	*waiting = (struct waiting){ { ev->h, ev->addr, ev->size, 0, ev->weight },
				     class_of(ev->size), ev->weight <= ev->size, 1 };
	/* Large objects are always seen. */
	if (waiting->class)
		waiting->times = 1 / live->share;
	waiting->ev.weight = stands_for(waiting, ev->weight);
	waiting->ev.h.kind = EV_ALLOC;
	waiting->ev.stack_id = trimmed_id(live, ev->stack_id);
	map64_set(&live->waiting_at, ev->addr, (uint32_t)live->waiting.len);
}

/* These do not wait. */
static void take_birth(struct go_live *live, struct model *model, const struct ev_go_alloc *ev)
{
	live->births++;
	live->given[class_of(ev->size)] += (double)ev->size;
	go_exact_born(&live->exact, model, ev, trimmed_id(live, ev->stack_id));
}

static void take_look(struct go_live *live, const struct ev_go_look *ev)
{
	uint32_t at = map64_get(&live->waiting_at, ev->addr);
	struct waiting *waiting;

	if (at) {
		waiting = &live->waiting.data[at - 1];
		waiting->ev.weight = stands_for(waiting, ev->weight);
		waiting->weighed = true;
	}
	if (!ev->dead)
		return;
	map64_remove(&live->waiting_at, ev->addr);
	waiting = waiting_vec_append(&live->waiting);
	*waiting = (struct waiting){ .ev = { .h = ev->h, .addr = ev->addr } };
	waiting->ev.h.kind = EV_FREE_LATER;
}

/*
 * Fewer new samples; the old ones go as their objects do. One look may be long for
 * another reason, on a busy machine, and of most heaps each second has dozens: what
 * is done is undone as soon.
 */
static void keep_looks_short(struct go_live *live, const struct ev_go_sweep *ev)
{
	bool more = ev->checked > live->looked_at;

	live->looked_at = ev->checked;
	if (ev->took_ns > LOOK_MAX_NS && more && live->look_times < LOOK_TIMES_MAX)
		live->look_times *= 2;
	else if (ev->took_ns < LOOK_MAX_NS / 2 && live->look_times > 1)
		live->look_times /= 2;
}

static void take_sweep(struct go_live *live, const struct ev_go_sweep *ev)
{
	int64_t took = (int64_t)ev->took_ns;

	go_live_note_mean(live, ev->mean);
	live->sweeps.count++;
	live->sweeps.checked += ev->checked;
	live->sweeps.dead += ev->dead;
	live->sweeps.took_ns += took;
	if (took > live->sweeps.longest_ns)
		live->sweeps.longest_ns = took;
	keep_looks_short(live, ev);
}

void go_live_take(struct go_live *live, struct model *model, const struct ev_header *record,
		  size_t size)
{
	const void *data = record;

	switch (record->kind) {
	case EV_GO_STACK:
		take_stack(live, data, size);
		break;
	case EV_GO_ALLOC:
		take_sample(live, data);
		break;
	case EV_GO_LOOK:
		take_look(live, data);
		break;
	case EV_GO_SWEEP:
		take_sweep(live, data);
		break;
	case EV_GO_BIRTH:
		take_birth(live, model, data);
		break;
	case EV_GO_SWEPT:
		go_exact_swept(&live->exact, model, data, size);
		break;
	}
}

/* --- records out --- */

/* Of the samples of a size class that wait, bytes by their weights. */
struct class_sum {
	double weighed, open;	/* what they stand for is known; is at most this */
	double exact;		/* they stand for themselves only */
	double unseen;		/* allocated, and no sample waits to stand for it */
	double weighed_factor, open_factor;	/* to correct them by; < 0: let them wait */
};

static bool is_exact(const struct waiting *waiting)
{
	return waiting->ev.weight <= waiting->ev.size;
}

static void sum_waiting(const struct go_live *live, struct class_sum sums[GO_SIZE_CLASSES])
{
	vec_for_each(waiting, &live->waiting) {
		struct class_sum *sum = &sums[waiting->class];
		double weight = (double)waiting->ev.weight;

		if (waiting->ev.h.kind != EV_ALLOC)
			continue;
		if (is_exact(waiting))
			sum->exact += weight;
		else if (waiting->weighed)
			sum->weighed += weight;
		else
			sum->open += weight;
	}
}

/* @left: bytes that were allocated and that samples are to stand for. */
static void find_factor(struct class_sum *sum, double left, enum go_settle which)
{
	double all = sum->weighed + sum->open;

	sum->weighed_factor = sum->open_factor = 1;
	if (which == GO_SETTLE_ENDED)
		return;
	left = fmax(left, 0);
	sum->unseen = all ? 0 : left;
	if (!all)
		return;
	if (left >= all) {
		sum->weighed_factor = sum->open_factor = left / all;
		return;
	}
	/* Rather than what is known, what is not was less than it could be. */
	if (sum->weighed)
		sum->weighed_factor = fmin(1, left / sum->weighed);
	if (sum->open)
		sum->open_factor = (left - sum->weighed_factor * sum->weighed) / sum->open;
	if (which == GO_SETTLE_DUE && sum->open_factor < FILLED)
		sum->open_factor = -1;
}

static void find_factors(struct go_live *live, enum go_settle which,
			 struct class_sum sums[GO_SIZE_CLASSES])
{
	uint64_t now[GO_SIZE_CLASSES];

	go_runtime_allocated(live->go, now);
	for (int i = 0; i < GO_SIZE_CLASSES; i++) {
		double left = (double)(now[i] - live->begun[i]) - live->given[i] - sums[i].exact;

		find_factor(&sums[i], left, which);
		live->missed[i] |= left > 0;
	}
}

static struct path *path_of(struct go_live *live, const struct waiting *waiting)
{
	uint64_t key = waiting->ev.stack_id ^ waiting->class * 0x9e3779b97f4a7c15;
	uint32_t known = map64_get(&live->sampled_paths, key);
	struct path *path;

	if (known)
		return &live->paths.data[known - 1];
	path = path_vec_append(&live->paths);
	*path = (struct path){ .block = waiting->ev };
	path->block.weight = 0;
	map64_set(&live->sampled_paths, key, (uint32_t)live->paths.len);
	return path;
}

static void feed_sample(struct go_live *live, struct model *model, const struct waiting *waiting,
			double factor)
{
	struct path *path = path_of(live, waiting);
	struct ev_alloc ev = waiting->ev;

	if (!is_exact(waiting)) {
		double weight = (double)ev.weight * factor;

		ev.weight = weight > (double)ev.size ? (uint64_t)weight : ev.size;
	}
	path->given += (double)ev.weight;
	live->given[waiting->class] += (double)ev.weight;
	model_feed(model, &ev, sizeof(ev));
}

static void feed_death(struct model *model, const struct waiting *waiting)
{
	struct ev_free ev = { .h = waiting->ev.h, .addr = waiting->ev.addr };

	model_feed(model, &ev, sizeof(ev));
}

static void admit(struct model *model, struct path *path, double weight)
{
	const struct ev_alloc *block = &path->block;

	if (weight <= ADMITTED * (double)(block->weight > block->size ? block->weight :
									block->size))
		return;
	path->block.weight = (uint64_t)weight;
	model_may_miss(model, &path->block);
}

/*
 * A path whose samples were taken while they were close together looks better known
 * than it is, if more was allocated while they were not. All is known of it
 * if the books say so, or if samples were closer together than such blocks are large.
 */
static void admit_missed(struct go_live *live, struct model *model)
{
	double mean = live->bytes > 0 ? live->bytes_means / live->bytes : 0;

	vec_for_each(path, &live->paths)
		if (live->missed[class_of(path->block.size)])
			admit(model, path, mean);
}

/* Whether they live is not known either: of that, samples say all that is said. */
static void feed_unseen(struct model *model, const struct path *path, double bytes)
{
	const struct ev_alloc *block = &path->block;
	struct ev_pairs ev = {
		block->h, block->size, block->stack_id,
		(uint32_t)fmin(round(bytes / (double)block->size), UINT32_MAX), 0,
	};

	ev.h.kind = EV_PAIRS;
	if (ev.count)
		model_feed(model, &ev, sizeof(ev));
}

/*
 * What was allocated in a class after its last sample is known, but not by whom: as
 * likely as not by those who did so before, in the same proportions. It is much where
 * samples are rare in the end, or where no window opened any more.
 */
static void divide_unseen(struct go_live *live, struct model *model,
			  const struct class_sum sums[GO_SIZE_CLASSES])
{
	double given[GO_SIZE_CLASSES] = { 0 };

	vec_for_each(path, &live->paths)
		given[class_of(path->block.size)] += path->given;
	vec_for_each(path, &live->paths) {
		uint32_t class = class_of(path->block.size);
		double unseen = sums[class].unseen;

		if (unseen <= 0)
			continue;
		admit(model, path, unseen / REACH);
		feed_unseen(model, path, unseen * path->given / given[class]);
		live->given[class] += unseen * path->given / given[class];
	}
}

void go_live_settle(struct go_live *live, struct model *model, enum go_settle which)
{
	struct class_sum sums[GO_SIZE_CLASSES] = { 0 };
	size_t len = 0;

	sum_waiting(live, sums);
	find_factors(live, which, sums);
	map64_deinit(&live->waiting_at);
	live->waiting_at = (struct map64){ 0 };
	vec_for_each(waiting, &live->waiting) {
		const struct class_sum *sum = &sums[waiting->class];
		double factor = waiting->weighed ? sum->weighed_factor : sum->open_factor;

		/* Only of weighed samples deaths are told. */
		if (waiting->ev.h.kind == EV_FREE_LATER) {
			feed_death(model, waiting);
		} else if (factor < 0 && !is_exact(waiting)) {
			live->waiting.data[len++] = *waiting;
			map64_set(&live->waiting_at, waiting->ev.addr, (uint32_t)len);
		} else {
			feed_sample(live, model, waiting, factor);
		}
	}
	live->waiting.len = len;
	if (which == GO_SETTLE_ALL)
		divide_unseen(live, model, sums);
	admit_missed(live, model);
}

const struct go_sweeps *go_live_sweeps(const struct go_live *live)
{
	return &live->sweeps;
}

int64_t go_live_births(const struct go_live *live)
{
	return live->births;
}

void go_live_set_share(struct go_live *live, double share)
{
	live->share = share;
}

void go_live_note_mean(struct go_live *live, uint64_t mean)
{
	live->means += (double)mean;
	live->means_count++;
}

/* The mean of the means that there were while so much was allocated. */
static void weigh_mean(struct go_live *live, double bytes)
{
	if (bytes <= 0 || !live->means_count)
		return;
	live->bytes += bytes;
	live->bytes_means += bytes * live->means / live->means_count;
	live->means = live->means_count = 0;
}

void go_live_pace(struct go_live *live, const struct runtime_figures *f, double t_s)
{
	double span = t_s - live->paced_s;

	if (live->paced_bytes && span < PACE_SPAN_S)
		return;
	if (live->paced_bytes) {
		live->bytes_per_s = (double)(f->TotalAlloc - live->paced_bytes) / span;
		weigh_mean(live, (double)(f->TotalAlloc - live->paced_bytes));
	}
	live->paced_bytes = f->TotalAlloc;
	live->paced_s = t_s;
}

uint64_t go_live_mean(const struct go_live *live, const struct runtime_figures *f)
{
	double mean = live->look_times * fmax(MEAN_MIN, fmax((double)f->NextGC / SAMPLES_WANTED,
							     live->bytes_per_s / SAMPLES_PER_S));

	return mean < (double)GO_MEAN_MAX ? (uint64_t)mean : GO_MEAN_MAX;
}
