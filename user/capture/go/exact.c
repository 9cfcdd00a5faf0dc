// SPDX-License-Identifier: GPL-2.0-or-later
/* Go blocks that are known one by one; see exact.h. */
#include <string.h>

#include "capture/go/exact.h"
#include "model/sink.h"

#define WORDS (GO_SPAN_OBJECTS / 64)

void go_exact_deinit(struct go_exact *exact)
{
	go_span_vec_deinit(&exact->spans);
	map64_deinit(&exact->by_start);
}

/* Of the blocks of @span, those of @left live on. */
static void keep(struct go_span *span, const uint64_t left[WORDS], struct model *model,
		 const struct ev_header *h)
{
	struct ev_free ev = { .h = *h };

	ev.h.kind = EV_FREE_LATER;
	for (int i = 0; i < WORDS; i++) {
		for (uint64_t dead = span->live[i] & ~left[i]; dead; dead &= dead - 1) {
			unsigned int index = i * 64 + __builtin_ctzll(dead);

			ev.addr = span->start + index * span->size;
			model_feed(model, &ev, sizeof(ev));
		}
		span->live[i] &= left[i];
	}
}

/* With room for blocks of @ev's size; others there have died, and nobody told. */
static struct go_span *span_of(struct go_exact *exact, struct model *model,
			       const struct ev_go_alloc *ev)
{
	static const uint64_t none[WORDS];
	uint32_t known = map64_get(&exact->by_start, ev->span_start);
	struct go_span *span;

	if (!known) {
		go_span_vec_push(&exact->spans, (struct go_span){
			.start = ev->span_start, .size = ev->size });
		map64_set(&exact->by_start, ev->span_start, (uint32_t)exact->spans.len);
		return &exact->spans.data[exact->spans.len - 1];
	}
	span = &exact->spans.data[known - 1];
	if (span->size != ev->size) {
		keep(span, none, model, &ev->h);
		span->size = ev->size;
	}
	return span;
}

void go_exact_born(struct go_exact *exact, struct model *model, const struct ev_go_alloc *ev,
		   uint64_t stack_id)
{
	struct ev_alloc alloc = {
		.h = ev->h, .addr = ev->addr, .size = ev->size, .weight = ev->size,
		.stack_id = stack_id,
	};
	uint64_t index = ev->size ? (ev->addr - ev->span_start) / ev->size : GO_SPAN_OBJECTS;
	struct go_span *span;

	if (index >= GO_SPAN_OBJECTS)
		return;
	span = span_of(exact, model, ev);
	span->live[index / 64] |= 1ull << (index % 64);
	alloc.h.kind = EV_ALLOC;
	model_feed(model, &alloc, sizeof(alloc));
}

void go_exact_swept(struct go_exact *exact, struct model *model, const struct ev_go_swept *ev,
		    size_t record_size)
{
	uint32_t known = map64_get(&exact->by_start, ev->span_start);
	size_t bytes = (ev->nelems + 63) / 64 * 8;
	uint64_t left[WORDS] = { 0 };

	if (!known || bytes > sizeof(left) ||
	    record_size < offsetof(struct ev_go_swept, bits) + bytes)
		return;
	memcpy(left, ev->bits, bytes);
	/* Of another size: nothing of what was known can have stayed. */
	if (exact->spans.data[known - 1].size != ev->size)
		memset(left, 0, sizeof(left));
	keep(&exact->spans.data[known - 1], left, model, &ev->h);
}
