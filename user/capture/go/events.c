// SPDX-License-Identifier: GPL-2.0-or-later
/* A Go runtime's events, from its books; see events.h. */
#include <inttypes.h>
#include <time.h>

#include "base/format.h"
#include "base/strbuf.h"
#include "capture/go/events.h"
#include "capture/go/runtime.h"

#define NS_PER_S 1000000000ull
#define HELD_STEP (64 << 10)	/* smaller changes of the heap wait for more */
#define IDLE_SLACK (1 << 20)	/* FreeOSMemory leaves nothing idle; allocations since may */

struct telling {
	const struct go_runtime *go;
	const struct runtime_figures *now;
	struct go_pulse *pulse;
	uint64_t now_ns;	/* monotonic */
	go_event_fn *fn;
	void *ctx;
};

static void tell(const struct telling *t, enum reclaim_kind kind, uint64_t time_ns, int64_t bytes,
		 const char *detail)
{
	struct reclaim_event event = {
		.kind = kind, .tgid = go_runtime_pid(t->go), .time_ns = time_ns,
		.bytes = bytes, .detail = detail,
	};

	t->fn(t->ctx, &event);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* The collections themselves have no number of their own, so that some of several stay some. */
static void add_cause(struct strbuf *sb, int64_t forced, int64_t count)
{
	if (!forced)
		strbuf_addstr(sb, "automatic");
	else if (forced >= count)
		strbuf_addstr(sb, "forced by the program");
	else
		strbuf_addf(sb, "%" PRId64 " of %" PRId64 " forced by the program", forced, count);
}

static void tell_collections(const struct telling *t)
{
	int64_t count = t->now->NumGC - t->pulse->collections;
	int64_t forced = t->now->NumForcedGC - t->pulse->forced;
	uint64_t behind = clock_ns(CLOCK_REALTIME) - t->now_ns;

	for (int64_t back = count; back-- > 0;) {
		uint64_t end_ns = back < GO_PAUSES ?
				  go_runtime_collected_ns(t->go, (unsigned int)back) : 0;
		struct strbuf detail __cleanup_strbuf = { 0 };

		/* The ring holds so many; of more, it is only known that they were. */
		if (end_ns <= behind)
			continue;
		add_cause(&detail, forced, count);
		strbuf_addf(&detail, ", stopped the world for %.2g ms",
			    (double)go_runtime_pause_ns(t->go, (unsigned int)back) / 1e6);
		tell(t, RECLAIM_GC, end_ns - behind, -1, strbuf_str(&detail));
	}
}

/* A forced collection, and nothing idle that is not given back: nothing else does that. */
static bool is_free_os_memory(const struct telling *t, int64_t given_bytes)
{
	int64_t idle = t->now->HeapIdle - t->now->HeapReleased;

	return t->now->NumForcedGC > t->pulse->forced && idle <= given_bytes / 4 + IDLE_SLACK;
}

static int64_t held_bytes(const struct runtime_figures *f)
{
	return f->HeapSys - f->HeapReleased;
}

static void tell_heap(const struct telling *t)
{
	int64_t given = t->pulse->held_bytes - held_bytes(t->now);

	if (given > -HELD_STEP && given < HELD_STEP)
		return;
	if (given < 0)
		tell(t, RECLAIM_GO_GROWTH, t->now_ns, -given, NULL);
	else
		tell(t, is_free_os_memory(t, given) ? RECLAIM_GO_FREE : RECLAIM_GO_SCAVENGE,
		     t->now_ns, given, NULL);
	t->pulse->held_bytes -= given;
}

static void add_percent(struct strbuf *sb, int64_t gogc)
{
	if (gogc < 0)
		strbuf_addstr(sb, "off");
	else
		strbuf_addf(sb, "%" PRId64, gogc);
}

static void add_limit(struct strbuf *sb, int64_t limit)
{
	char buf[FORMAT_MAX];

	strbuf_addstr(sb, limit == RUNTIME_NO_LIMIT ? "none" : format_bytes(limit, buf));
}

static void tell_knob(const struct telling *t, enum reclaim_kind kind, int64_t before, int64_t now,
		      void (*add)(struct strbuf *sb, int64_t value))
{
	struct strbuf detail __cleanup_strbuf = { 0 };

	if (before == now)
		return;
	strbuf_addstr(&detail, "from ");
	add(&detail, before);
	strbuf_addstr(&detail, " to ");
	add(&detail, now);
	tell(t, kind, t->now_ns, -1, strbuf_str(&detail));
}

void go_events_tell(const struct go_runtime *go, const struct runtime_figures *now,
		    struct go_pulse *pulse, go_event_fn *fn, void *ctx)
{
	struct telling t = { go, now, pulse, clock_ns(CLOCK_MONOTONIC), fn, ctx };

	if (!pulse->known)
		pulse->held_bytes = held_bytes(now);
	else {
		tell_knob(&t, RECLAIM_GO_PERCENT, pulse->gogc, now->GOGC, add_percent);
		tell_knob(&t, RECLAIM_GO_LIMIT, pulse->limit, now->MemoryLimit, add_limit);
		tell_collections(&t);
		tell_heap(&t);
	}
	pulse->known = true;
	pulse->collections = now->NumGC;
	pulse->forced = now->NumForcedGC;
	pulse->gogc = now->GOGC;
	pulse->limit = now->MemoryLimit;
}
