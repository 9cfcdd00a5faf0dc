/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Go's allocator, sampled where it is slow anyway: a span of objects is taken
 * into a processor's cache (go_refill), or a large object gets a span of its own
 * (go_large). The object that comes next is a sample and stands for all that
 * the span has room for. When the collector has marked what is live
 * (go_sweep), before it empties the caches, the spans tell how much of that room
 * was used, and the mark bits which samples are dead.
 *
 * symbol/go/points.h says where the probes are; all are calls, which are
 * emulated. There are no return probes: they would end a Go program, which
 * moves its stacks. Nothing is keyed by thread: goroutines move.
 *
 * At the sweep the world stands still, so that nothing changes what is read,
 * and every watched object costs the target time: two reads each. Between the
 * start of the allocation and its end there is no point where the world could
 * be stopped, so that a sample is marked or dead when it is looked at.
 *
 * What alloc.bpf.c says of preemption and of stacks holds here too.
 */
#ifndef HEAPSONDE_GO_BPF_H
#define HEAPSONDE_GO_BPF_H

#include "bpf/go.h"
#include "bpf/maps.bpf.h"
#include "bpf/stack.bpf.h"

#define PAGE_SHIFT 13		/* of Go's own pages */
#define PAGES_PER_ARENA 8192
#define ARENA_SHIFT 26
#define ARENAS (1ull << 22)
#define INLINE_OBJECT_MAX 512
#define INLINE_MARKS 64		/* from here to the end of the span, which is a page */

#define CLAIM_TRIES 24	/* half of the places are taken: all fail once in ten million times */
#define ALLOC_BITS_MAX 1024	/* objects in a span */
#define RUNTIME_FRAMES 8	/* at the leaf, that user space cuts off */
#define GO_SEEN_BUCKETS 1024
#define GO_WINDOW_WORDS 128	/* a power of two: of a stack, copied at once */

#if defined(__TARGET_ARCH_x86)
#define GO_ARGUMENT_1(ctx) ((ctx)->ax)
#define GO_ARGUMENT_2(ctx) ((ctx)->bx)
#else
#define GO_ARGUMENT_1(ctx) PT_REGS_PARM1(ctx)
#define GO_ARGUMENT_2(ctx) PT_REGS_PARM2(ctx)
#endif

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);		/* tgid */
	__type(value, struct go_target);
} go_targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GO_SAMPLES);
	__type(key, __u32);
	__type(value, struct go_sample);
} go_samples SEC(".maps");

/* Stacks whose frames already travelled, as in stack.bpf.h. */
struct go_seen {
	__u64 ids[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GO_SEEN_BUCKETS);
	__type(key, __u32);
	__type(value, struct go_seen);
} go_stacks_seen SEC(".maps");

struct go_thread {
	__u32 tgid, tid;
	__u64 pc, sp, bp;	/* where the stack is walked from: right behind a call */
	__u64 crosscall, crosscall_bytes;	/* struct go_target's */
	bool from_c;		/* the walk came to where C called Go */
	__u32 key;		/* of the sample in go_samples */
	__u32 taken;		/* objects of the span that are allocated */
	__u64 weight;		/* bytes that it stands for */
	__u64 room;		/* of the span: bytes that are still to be allocated */
	__u64 addr, size;	/* of the object */
	__u64 span_addr, span_start;
	__u32 index;
	__u32 nelems;
	__u8 span[GO_SPAN_BYTES];
	__u64 window_addr;	/* of the piece of stack whose copy that is */
	__u64 window[GO_WINDOW_WORDS];
	struct ev_go_swept swept;
	struct ev_stack record;
	__u64 pcs[MAX_DEPTH];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct go_thread);
} go_threads SEC(".maps");

static __always_inline void go_header(struct ev_header *h, enum event_kind kind, __u32 tgid)
{
	h->kind = kind;
	h->tgid = tgid;
	h->func = 0;
	h->tid = (__u32)bpf_get_current_pid_tgid();
	h->cpu = bpf_get_smp_processor_id();
	h->time_ns = bpf_ktime_get_ns();
}

/* --- the span --- */

static __always_inline __u64 span_word(const struct go_thread *t, __u16 offset)
{
	return *(const __u64 *)(t->span + (offset & (GO_SPAN_BYTES - 8)));
}

static __always_inline __u16 span_half(const struct go_thread *t, __u16 offset)
{
	return *(const __u16 *)(t->span + (offset & (GO_SPAN_BYTES - 2)));
}

static __always_inline __u32 span_count(const struct go_thread *t, const struct go_target *g,
					__u16 offset)
{
	return g->wide ? span_word(t, offset) : span_half(t, offset);
}

static __noinline bool go_read_span(struct go_thread *t, const struct go_target *g, __u64 span)
{
	if (bpf_probe_read_user(t->span, GO_SPAN_READ, (const void *)span)) {
		count(COUNT_READ_FAULT);
		return false;
	}
	t->span_addr = span;
	t->size = span_word(t, g->span_elemsize);
	t->nelems = span_count(t, g, g->span_nelems);
	return true;
}

static __always_inline __u32 lowest_bit(__u64 x)
{
	__u32 n = 0;

#pragma unroll
	for (__u32 shift = 32; shift; shift >>= 1) {
		if (!(x & ((1ull << shift) - 1))) {
			n += shift;
			x >>= shift;
		}
	}
	return n;
}

/* Which object of the span will be allocated next, as (*mspan).nextFreeIndex has it. */
static __noinline __u32 go_next_free(struct go_thread *t, const struct go_target *g)
{
	__u64 cache = span_word(t, g->span_alloc_cache);
	__u32 index = span_count(t, g, g->span_free_index);

	for (int i = 0; i < ALLOC_BITS_MAX / 64 && !cache; i++) {
		__u64 bits = span_word(t, g->span_alloc_bits);

		index = (index + 64) & ~63u;
		if (index >= t->nelems ||
		    bpf_probe_read_user(&cache, sizeof(cache), (const void *)(bits + index / 8)))
			return t->nelems;
		cache = ~cache;
	}
	return cache ? index + lowest_bit(cache) : t->nelems;
}

/*
 * How many samples there are. The more, the fewer are taken: a heap may grow
 * faster than user space looks. Not static: see tick of record.bpf.h.
 */
__u32 go_samples_used;

/* None stands from here on: every collection looks at all before, while the world is stopped. */
__u32 go_samples_end;

static __always_inline __u64 go_mean(__u64 wanted)
{
	__u64 mean = wanted << (go_samples_used / (GO_SAMPLES / 8) & 7);

	return mean < GO_MEAN_MAX ? mean : GO_MEAN_MAX;
}

/* True once in @of / @chances times. */
static __always_inline bool go_chance(__u64 chances, __u64 of)
{
	return (bpf_get_prandom_u32() * of >> 32) < chances;
}

/*
 * What most hits have to do is to draw that they are no samples, before anything
 * of the span is read: spans with more room than this are drawn as if that were all.
 */
#define GO_GLANCE_ROOM 16384

/* The mean, if a span is worth a second look; 0. */
static __always_inline __u64 go_glance(const struct go_target *g)
{
	__u64 mean = go_mean(g->refill_mean);

	return mean <= GO_GLANCE_ROOM || go_chance(GO_GLANCE_ROOM, mean) ? mean : 0;
}

/* Bytes that this sample of a glance stands for; 0: it is none. */
static __always_inline __u64 go_draw(const struct go_thread *t, __u64 mean)
{
	__u64 glance = mean < GO_GLANCE_ROOM ? mean : GO_GLANCE_ROOM;

	if (t->size < cfg_min_size || t->size > cfg_max_size)
		return 0;
	if (t->room >= glance)
		return t->room * mean / glance;
	return go_chance(t->room, glance) ? mean : 0;
}

/* --- watching an object --- */

/* Where the object's mark bit is if its span keeps marks itself (Green Tea); 0. */
static __noinline __u64 go_inline_mark(const struct go_thread *t, const struct go_target *g)
{
	__u64 page = t->addr >> PAGE_SHIFT, arena = 0;
#if defined(__TARGET_ARCH_x86)
	__u64 number = (t->addr - 0xffff800000000000) >> ARENA_SHIFT;
#else
	__u64 number = t->addr >> ARENA_SHIFT;
#endif
	__u8 bits = 0;

	if (!g->arena_inline_marks || t->size > INLINE_OBJECT_MAX || number >= ARENAS)
		return 0;
	if (bpf_probe_read_user(&arena, sizeof(arena), (const void *)(g->arenas + 8 * number)) ||
	    bpf_probe_read_user(&bits, sizeof(bits), (const void *)(arena + g->arena_inline_marks +
						 page % PAGES_PER_ARENA / 8)))
		return 0;
	if (!(bits >> (page & 7) & 1))
		return 0;
	return ((page + 1) << PAGE_SHIFT) - INLINE_MARKS + t->index / 8;
}

static __noinline int go_raise_end(__u32 end)
{
	for (int i = 0; i < CLAIM_TRIES; i++) {
		__u32 now = go_samples_end;

		if (now >= end || __sync_val_compare_and_swap(&go_samples_end, now, end) == now)
			return 0;
	}
	return 0;
}

/* Among the first, twice as many as are used: t->key. */
static __noinline bool go_claim(struct go_thread *t)
{
	__u32 range = 2 * go_samples_used + CLAIM_TRIES;

	for (int i = 0; i < CLAIM_TRIES; i++) {
		__u32 key = bpf_get_prandom_u32() % range % GO_SAMPLES;
		struct go_sample *sample = bpf_map_lookup_elem(&go_samples, &key);

		if (!sample || sample->owner ||
		    __sync_val_compare_and_swap(&sample->owner, 0, t->tgid))
			continue;
		__sync_fetch_and_add(&go_samples_used, 1);
		go_raise_end(key + 1);
		t->key = key;
		return true;
	}
	count(COUNT_NO_SAMPLE_ROOM);
	return false;
}

static __always_inline void go_release(struct go_sample *sample)
{
	sample->addr = 0;
	barrier();
	sample->owner = 0;
	__sync_fetch_and_add(&go_samples_used, -1);
}

/* What was claimed goes back. */
static __noinline int go_drop(struct go_thread *t)
{
	struct go_sample *sample = bpf_map_lookup_elem(&go_samples, &t->key);

	if (sample)
		go_release(sample);
	return 0;
}

static __noinline int go_fill(struct go_thread *t, const struct go_target *g)
{
	struct go_sample *sample = bpf_map_lookup_elem(&go_samples, &t->key);

	if (!sample)
		return 0;
	sample->span = t->span_addr;
	sample->index = t->index;
	sample->inline_mark = go_inline_mark(t, g);
	sample->weight = t->weight;
	sample->taken = t->taken;
	sample->room = t->nelems - t->taken;
	sample->used = t->weight <= t->size;
	sample->dead = 0;
	barrier();
	sample->addr = t->addr;
	return 0;
}

/* --- the stack --- */

struct frame { __u64 bp, ra; };

#define NO_WINDOW (~0ull)	/* far from any address */

/* One read of a piece of stack costs little more than one of a frame. */
static __always_inline bool go_read_frame(struct go_thread *t, __u64 bp, struct frame *ret)
{
	__u64 word = (bp - t->window_addr) / 8;

	if (bp & 7)
		return false;
	if (word >= GO_WINDOW_WORDS - 1) {
		/* Where the stack's memory ends within it, frame by frame. */
		t->window_addr = NO_WINDOW;
		if (bpf_probe_read_user(t->window, sizeof(t->window), (const void *)bp))
			return !bpf_probe_read_user(ret, sizeof(*ret), (const void *)bp);
		t->window_addr = bp;
		word = 0;
	}
	ret->bp = t->window[word & (GO_WINDOW_WORDS - 1)];
	ret->ra = t->window[(word + 1) & (GO_WINDOW_WORDS - 1)];
	return true;
}

/*
 * Go code keeps frame pointers; the outermost frame's is 0. C code keeps none, so
 * that the walk ends where C called Go.
 */
static __noinline __u64 go_walk(struct go_thread *t)
{
	__u32 depth = cfg_max_depth + RUNTIME_FRAMES, n = 0;
	__u32 status = UNWIND_TRUNCATED;
	__u64 bp = t->bp, hash = 0;
	struct frame frame;

	t->from_c = false;
	t->window_addr = NO_WINDOW;
	for (__u32 i = 0; i < MAX_DEPTH && i < depth; i++) {
		if (!go_read_frame(t, bp, &frame)) {
			status = UNWIND_READ_FAULT;
			break;
		}
		bp = frame.bp;
		t->from_c |= frame.ra - t->crosscall < t->crosscall_bytes;
		if (frame.ra) {
			t->pcs[i] = frame.ra;
			n = i + 1;
			hash = (hash ^ frame.ra) * 0x9e3779b97f4a7c15;
			hash ^= hash >> 32;
		}
		if (!frame.ra || !bp || t->from_c) {
			status = UNWIND_COMPLETE;
			break;
		}
	}
	t->record.count = n;
	t->record.status = status;
	return hash | 1;
}

/* The same through C, by its tables. NULL: they are not all there, or in use. */
static __always_inline struct unwind_state *go_walk_tables(struct go_thread *t)
{
	struct thread_state *thread = thread_state(BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct unwind_state *u = thread ? &thread->unwind : NULL;
	__u32 depth = cfg_max_depth + RUNTIME_FRAMES;

	if (!u || !unwind_enter(u, t->pc, t->sp, t->bp, 0))
		return NULL;
	if (cfg_guarded)
		unwind_stack(u, UNWIND_AT_RETURN, t->tgid, depth);
	else
		unwind_stack_global(u, UNWIND_AT_RETURN, t->tgid, depth);
	return u->unfinished ? NULL : u;
}

/* @record is followed by its frames. */
static __noinline int go_emit_stack(struct ev_stack *record, __u32 tgid, struct go_seen *seen,
				   __u64 id)
{
	__u32 n = record->count;

	if (n > MAX_DEPTH)
		n = MAX_DEPTH;
	go_header(&record->h, EV_GO_STACK, tgid);
	record->stack_id = id;
	if (bpf_ringbuf_output(&events, record, sizeof(*record) + n * 8, BPF_RB_NO_WAKEUP)) {
		count(COUNT_DROP_STACK);
		return 0;
	}
	seen->ids[id >> 55 & 7] = id;
	return 0;
}

/* Where to note that the frames of a stack have travelled; NULL if they have. */
static __noinline struct go_seen *go_unseen(__u64 id)
{
	__u32 key = id >> 40 & (GO_SEEN_BUCKETS - 1);
	struct go_seen *seen = bpf_map_lookup_elem(&go_stacks_seen, &key);

	if (!seen)
		return NULL;
#pragma unroll
	for (int i = 0; i < 8; i++)
		if (seen->ids[i] == id)
			return NULL;
	return seen;
}

/*
 * The stack of the sample that was taken. Not deeper in the call chain than this:
 * the verifier has eight levels, of which a walk by tables needs most.
 */
static __always_inline __u64 go_capture(struct go_thread *t)
{
	__u64 id = go_walk(t);
	struct unwind_state *u = t->from_c ? go_walk_tables(t) : NULL;
	struct go_seen *seen;

	if (u)
		id = u->hash | 1;
	seen = go_unseen(id);
	if (seen && u)
		go_emit_stack(&u->record, t->tgid, seen, id);
	else if (seen)
		go_emit_stack(&t->record, t->tgid, seen, id);
	return id;
}

/* --- the probes --- */

/* The object at t->index of the span just read is the next. */
static __noinline bool go_take_sample(struct go_thread *t, const struct go_target *g,
				      __u64 weight)
{
	if (!weight || t->index >= t->nelems || !go_claim(t))
		return false;
	t->weight = weight;
	t->addr = span_word(t, g->span_start) + t->index * t->size;
	go_fill(t, g);
	t->crosscall = g->crosscall;
	t->crosscall_bytes = g->crosscall_bytes;
	return true;
}

/*
 * Tells user space of the object at t->addr and where it is allocated. Not within
 * what found it, for the reason that go_capture() has.
 */
static __noinline bool go_tell(enum event_kind kind)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct go_thread *t = bpf_task_storage_get(&go_threads, task, NULL, 0);
	struct ev_go_alloc *ev;
	__u64 id;

	if (!t)
		return false;
	id = go_capture(t);
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev) {
		count(COUNT_DROP_ALLOC);
		if (kind == EV_GO_ALLOC)
			go_drop(t);
		return false;
	}
	go_header(&ev->h, kind, t->tgid);
	ev->addr = t->addr;
	ev->size = t->size;
	ev->stack_id = id;
	ev->weight = kind == EV_GO_ALLOC ? t->weight : t->span_start;
	bpf_ringbuf_submit(ev, BPF_RB_NO_WAKEUP);
	return true;
}

static __always_inline struct go_thread *go_enter(struct pt_regs *ctx, __u32 tgid)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct go_thread *t = bpf_task_storage_get(&go_threads, task, NULL,
						   BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!t) {
		count(COUNT_NO_THREAD_STATE);
		return NULL;
	}
	t->tgid = tgid;
	/* The call that the probe stands on: its caller's frame is what a return finds. */
	t->pc = PT_REGS_IP(ctx) + 1;
	t->sp = PT_REGS_SP(ctx);
	t->bp = PT_REGS_FP(ctx);
	return t;
}

static __noinline bool go_sample_refill(struct pt_regs *ctx)
{
	__u32 tgid = bpf_get_attach_cookie(ctx);
	struct go_target *g = bpf_map_lookup_elem(&go_targets, &tgid);
	__u64 mean = g ? go_glance(g) : 0;
	struct go_thread *t = mean ? go_enter(ctx, tgid) : NULL;

	if (!t || !go_read_span(t, g, GO_ARGUMENT_1(ctx)))
		return false;
	t->taken = span_half(t, g->span_alloc_count);
	t->room = (t->nelems - t->taken) * t->size;
	t->index = go_next_free(t, g);
	return go_take_sample(t, g, go_draw(t, mean));
}

static __noinline bool go_sample_large(struct pt_regs *ctx)
{
	__u32 tgid = bpf_get_attach_cookie(ctx);
	struct go_target *g = bpf_map_lookup_elem(&go_targets, &tgid);
	struct go_thread *t = g ? go_enter(ctx, tgid) : NULL;
	__u64 mean = g ? go_mean(g->mean) : 0;

	if (!t || !go_read_span(t, g, GO_ARGUMENT_2(ctx)))
		return false;
	t->room = t->size;
	t->taken = 0;
	t->index = 0;
	if (t->size < cfg_min_size || t->size > cfg_max_size)
		return false;
	if (t->room >= mean || go_chance(t->room, mean))
		return go_take_sample(t, g, t->room > mean ? t->room : mean);
	return false;
}

static __always_inline bool go_on_refill(struct pt_regs *ctx)
{
	return go_sample_refill(ctx) && go_tell(EV_GO_ALLOC);
}

static __always_inline bool go_on_large(struct pt_regs *ctx)
{
	return go_sample_large(ctx) && go_tell(EV_GO_ALLOC);
}

struct sweep {
	__u32 tgid;
	__u16 mark_bits, alloc_count;	/* offsets in a span */
	__u32 checked, dead;
};

static __always_inline bool go_is_marked(const struct go_sample *sample, const struct sweep *sweep)
{
	__u64 at = sample->inline_mark, bits = 0;
	__u8 byte = 0;

	if (!at) {
		if (bpf_probe_read_user(&bits, sizeof(bits),
					(const void *)(sample->span + sweep->mark_bits)))
			return true;
		at = bits + sample->index / 8;
	}
	/* What cannot be read is taken for live. */
	if (bpf_probe_read_user(&byte, sizeof(byte), (const void *)at))
		return true;
	return byte >> (sample->index & 7) & 1;
}

/*
 * No span is cached twice between two collections, so that all that was allocated
 * since the sample was, was in the room that it stands for.
 */
static __always_inline void go_weigh(struct go_sample *sample, const struct sweep *sweep)
{
	__u16 taken = 0, used;

	if (bpf_probe_read_user(&taken, sizeof(taken),
				(const void *)(sample->span + sweep->alloc_count)))
		return;
	used = taken - sample->taken;
	if (used && used < sample->room)
		sample->weight = sample->weight * used / sample->room;
}

/* The callback of bpf_for_each_map_elem(). */
static long go_check_sample(void *map, __u32 *key, struct go_sample *sample, struct sweep *sweep)
{
	struct ev_go_look *ev;
	bool first;

	if (*key >= go_samples_end)
		return 1;
	if (sample->owner != sweep->tgid || !sample->addr)
		return 0;
	sweep->checked++;
	first = !sample->used;
	if (first)
		go_weigh(sample, sweep);
	sample->used = 1;
	sample->dead |= !go_is_marked(sample, sweep);
	sweep->dead += sample->dead;
	if (!first && !sample->dead)
		return 0;
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev)
		return 0;	/* told when it is dead; of the dead after the next collection */
	go_header(&ev->h, EV_GO_LOOK, sweep->tgid);
	ev->addr = sample->addr;
	ev->weight = sample->weight;
	ev->dead = sample->dead;
	ev->pad = 0;
	bpf_ringbuf_submit(ev, BPF_RB_NO_WAKEUP);
	if (sample->dead)
		go_release(sample);
	return 0;
}

static __noinline bool go_on_sweep(struct pt_regs *ctx)
{
	struct sweep sweep = { .tgid = bpf_get_attach_cookie(ctx) };
	struct go_target *g = bpf_map_lookup_elem(&go_targets, &sweep.tgid);
	__u64 begun = bpf_ktime_get_ns(), mean;
	struct ev_go_sweep *ev;

	if (!g)
		return false;
	sweep.mark_bits = g->span_mark_bits;
	sweep.alloc_count = g->span_alloc_count;
	mean = go_mean(g->mean);
	bpf_for_each_map_elem(&go_samples, go_check_sample, &sweep, 0);
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev)
		return false;
	go_header(&ev->h, EV_GO_SWEEP, sweep.tgid);
	ev->mean = mean;
	ev->checked = sweep.checked;
	ev->dead = sweep.dead;
	ev->took_ns = bpf_ktime_get_ns() - begun;
	bpf_ringbuf_submit(ev, BPF_RB_NO_WAKEUP);
	return true;
}

#endif
