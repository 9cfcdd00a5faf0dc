// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading the ring: what the kernel side tells, to the model and to those who follow. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/privileges.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"

#define READER_POLL_MS 20	/* the ring is never left alone longer */
#define READER_WARY_MS 5	/* nor this, where what waits there is part of a budget */
#define SLICE_RECORDS 65536	/* fed under one lock, so that others get it */

void session_keep_stack(struct session *s, const struct ev_stack *ev, size_t size)
{
	uint32_t count = ev->count;

	if (size < sizeof(*ev) + count * sizeof(uint64_t))
		return;
	news_vec_push(&s->news, (struct news){ .kind = EV_STACK, .stack = {
		.tgid = ev->h.tgid,
		.id = ev->stack_id,
		.count = count,
		.pcs = memcpy(xmalloc(count * sizeof(uint64_t)), ev->pcs,
			      count * sizeof(uint64_t)),
	} });
}

#define PIECES_MAX 4096		/* more belong to stacks whose end was dropped */

static void keep_piece(struct session *s, const struct ev_stack_memory *ev, size_t size)
{
	if (size < sizeof(*ev) + ev->size)
		return;
	if (s->pieces.len >= PIECES_MAX) {
		vec_for_each(piece, &s->pieces)
			free(piece->bytes);
		s->pieces.len = 0;
	}
	stack_piece_vec_push(&s->pieces, (struct stack_piece){
		.stack_id = ev->stack_id,
		.addr = ev->addr,
		.size = ev->size,
		.bytes = memcpy(xmalloc(ev->size + 1), ev->bytes, ev->size),
	});
}

/* The pieces go to their stack; those of other threads stay. */
static void keep_walk(struct session *s, const struct ev_unfinished *ev)
{
	struct left_walk walk = { .begin = *ev };
	size_t kept = 0;

	vec_for_each(piece, &s->pieces) {
		if (piece->stack_id == ev->stack_id)
			stack_piece_vec_push(&walk.pieces, *piece);
		else
			s->pieces.data[kept++] = *piece;
	}
	s->pieces.len = kept;
	news_vec_push(&s->news, (struct news){ .kind = EV_UNFINISHED, .walk = walk });
}

/* What is not, or not only, the model's. */
static void keep_news(struct session *s, const void *data, size_t size)
{
	const struct ev_header *h = data;

	switch (h->kind) {
	case EV_STACK:
		session_keep_stack(s, data, size);
		break;
	case EV_STACK_MEMORY:
		keep_piece(s, data, size);
		break;
	case EV_UNFINISHED:
		keep_walk(s, data);
		s->urgent = true;
		break;
	case EV_EXEC:
		if (s->windowed)
			governor_forget(s->governor);
		/* fallthrough */
	case EV_LOADED:
	case EV_UNLOADING:
	case EV_FORK:
	case EV_OOM_VICTIM:
		s->urgent = true;
		/* fallthrough */
	case EV_EXIT:
		news_vec_push(&s->news, (struct news){
			.kind = h->kind, .process = *(const struct ev_process *)data });
		break;
	}
}

static bool is_models(uint16_t kind)
{
	return kind != EV_LOADED && kind != EV_UNLOADING && kind != EV_STACK_MEMORY &&
	       kind != EV_UNFINISHED && kind != EV_OOM_VICTIM && kind != EV_FOCUS &&
	       kind != EV_LARGE;
}

static int on_record(void *arg, void *data, size_t size)
{
	struct session *s = arg;
	const struct ev_header *h = data;

	if (s->frozen)
		return 0;
	if (h->kind >= EV_GO_STACK && h->kind <= EV_GO_SWEPT)
		session_take_go_record(s, h, size);
	else if (s->windowed && windows_takes(h->kind))
		governor_feed(s->governor, data, size);
	else if (is_models(h->kind))
		model_feed(s->model, data, size);
	if (s->windowed && h->kind == EV_MEMORY)
		governor_feed_call(s->governor, data, size);
	if (h->kind == EV_LARGE) {
		s->large.hits++;
		if (s->windowed)
			governor_feed_large(s->governor, data, size);
	}
	if (h->kind == EV_FOCUS && size >= sizeof(struct ev_alloc))
		focus_note(&s->focus, data);
	if (h->kind < EVENT_KINDS_COUNT)
		s->records[h->kind]++;
	if (h->kind == EV_PAIRS)
		s->pairs += ((const struct ev_pairs *)data)->count;
	keep_news(s, data, size);
	/* A negative result ends this round of the library's loop, nothing more. */
	return ++s->slice % SLICE_RECORDS ? 0 : -EAGAIN;
}

/* Feeds what is in the ring now; a target that never pauses cannot hold us here. */
void session_drain(struct session *s)
{
	bool urgent;
	int ret;

	do {
		pthread_mutex_lock(&s->lock);
		ret = ring_buffer__consume(s->ring);
		urgent = s->urgent;
		s->urgent = false;
		pthread_mutex_unlock(&s->lock);
		if (urgent)
			eventfd_write(s->wake_fd, 1);
	} while (ret == -EAGAIN && !s->reader_stop);
}

void session_settle(struct session *s)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	if (s->skel->rodata->cfg_hold)
		bpf_prog_test_run_opts(bpf_program__fd(s->skel->progs.held_tell_all), &opts);
	session_drain(s);
}

static void *reader_main(void *arg)
{
	struct session *s = arg;
	struct epoll_event event;

	privileges_reduce(0);
	while (!s->reader_stop) {
		bool wary = s->warden.armed && s->settings.max_share > 0;

		epoll_wait(ring_buffer__epoll_fd(s->ring), &event, 1,
			   wary ? READER_WARY_MS : READER_POLL_MS);
		session_drain(s);
	}
	return NULL;
}

struct error *session_start_reader(struct session *s)
{
	sigset_t all, before;
	int ret;

	s->ring = ring_buffer__new(bpf_map__fd(s->skel->maps.events), on_record, s, NULL);
	if (!s->ring)
		return error_errno(errno, "mapping the ring buffer");
	/* Signals are the caller's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	ret = pthread_create(&s->reader, NULL, reader_main, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret)
		return error_errno(ret, "starting the reader thread");
	s->reader_started = true;
	return NULL;
}
