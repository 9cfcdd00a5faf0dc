// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * When the probe stands where a Go program's processors take new spans; part of
 * a session, see session_private.h.
 *
 * What a hit costs is the trap, and few hits are samples: so a program that takes
 * many spans, for seconds on end, is seen only part of the time, in windows that
 * begin at random. Samples of them stand for the time between as well. Bursts are
 * seen whole: of them a window may see nothing.
 *
 *	|  ...[window].....  |  [window].........  |	[] = share of a period
 */
#include <math.h>
#include <sys/random.h>

#include "capture/session_private.h"

#define SPAN_BYTES 8192		/* most spans have one page */
#define SPANS_PER_S 2500	/* one or two microseconds each, in which others run cold */
#define LASTING_S 2.0		/* no burst is longer */
#define PACE_SPAN_S 0.1
#define SHARE_MIN (1.0 / 16)
#define PERIOD_S 0.8		/* to set and to remove a probe takes us some milliseconds */

static double bytes_in_spans(const struct go_runtime *go)
{
	uint64_t bytes[GO_SIZE_CLASSES];
	double sum = 0;

	go_runtime_allocated(go, bytes);
	for (int i = 1; i < GO_SIZE_CLASSES; i++)
		sum += (double)bytes[i];
	return sum;
}

static double random_share(void)
{
	uint32_t random = 0;

	return getrandom(&random, sizeof(random), 0) < 0 ? 0 : (double)random / UINT32_MAX;
}

static void set_share(struct go_turns *turns, double now_s, double spans_per_s)
{
	if (spans_per_s <= SPANS_PER_S)
		turns->calm_s = now_s;
	turns->share = 1;
	if (now_s - turns->calm_s >= LASTING_S)
		turns->share = fmax(SPANS_PER_S / spans_per_s, SHARE_MIN);
}

void session_pace_go_turns(struct session *s, const struct image *image, struct go_heap *heap)
{
	struct go_turns *turns = &heap->turns;
	double now_s = session_watched_s(s), span_s = now_s - turns->seen_s, bytes;

	if (span_s < PACE_SPAN_S)
		return;
	bytes = bytes_in_spans(image->go);
	set_share(turns, now_s, (bytes - turns->seen_bytes) / SPAN_BYTES / span_s);
	turns->seen_s = now_s;
	turns->seen_bytes = bytes;
}

static void set_probe(struct session *s, const struct image *image, struct go_heap *heap, bool set)
{
	struct attachment *att = &session_watched(s, image->pid)->go_refill;

	if (set == heap->turns.set)
		return;
	if (!set)
		attachment_move(&s->retired, att);	/* a thread waits for its end */
	else if (!session_attach_go(s, image->go, att,
				    go_runtime_binary(image->go)->points.refill,
				    s->programs.go_refill))
		return;		/* at the next turn */
	heap->turns.set = set;
}

bool session_begin_go_turns(struct session *s, const struct image *image,
			    struct go_heap *heap, double up_s)
{
	double now_s = session_watched_s(s);

	heap->turns = (struct go_turns){
		.share = 1, .seen_s = now_s - up_s, .calm_s = now_s - up_s,
	};
	session_pace_go_turns(s, image, heap);
	if (heap->turns.share >= 1)
		set_probe(s, image, heap, true);
	return heap->turns.set || heap->turns.share < 1;
}

/* True if samples are what is taken, and their probes can be reached. */
static bool takes_turns(const struct image *image, const struct go_heap *heap)
{
	return !image->ended && image->heap_watched && heap && !heap->exact;
}

/* Whoever comes late opens the window late, and as long as it was to be. */
static double take_turn(struct session *s, const struct image *image, struct go_heap *heap,
			double now_s)
{
	struct go_turns *turns = &heap->turns;

	if (turns->share >= 1) {
		set_probe(s, image, heap, true);
		turns->period_s = now_s;
		return HUGE_VAL;
	}
	if (now_s >= turns->period_s) {
		set_probe(s, image, heap, false);
		turns->opens_s = now_s + random_share() * (1 - turns->share) * PERIOD_S;
		turns->period_s = now_s + PERIOD_S;
		turns->shuts_s = 0;
	}
	if (!turns->shuts_s && now_s >= turns->opens_s) {
		set_probe(s, image, heap, true);
		turns->shuts_s = session_watched_s(s) + turns->share * PERIOD_S;
	} else if (turns->shuts_s && now_s >= turns->shuts_s) {
		set_probe(s, image, heap, false);
	}
	if (!turns->shuts_s)
		return turns->opens_s;
	return turns->set ? turns->shuts_s : turns->period_s;
}

double session_turn_go(struct session *s, double now_s)
{
	double next_s = HUGE_VAL;

	vec_for_each(image, &s->images) {
		struct go_heap *heap = session_go_heap(s, image->pid);

		if (takes_turns(image, heap))
			next_s = fmin(next_s, take_turn(s, image, heap, now_s));
	}
	return next_s;
}
