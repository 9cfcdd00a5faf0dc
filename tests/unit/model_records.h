/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records for the tests of the model, as short as a story is told:
 *
 *	m_alloc(T1, 0xa000, 100, S1); m_free(T2, 0xa000); row = m_row(S1, MEMORY_HEAP);
 *
 * Time moves on by one millisecond with each record.
 */
#ifndef HEAPSONDE_TESTS_MODEL_RECORDS_H
#define HEAPSONDE_TESTS_MODEL_RECORDS_H

#include "model/sink.h"
#include "tests/unit/test.h"

#define PID 1000
#define MS 1000000ull
#define SECOND 1000000000ull

enum { T1 = 1001, T2, T3 };
enum { S1 = 0x5151, S2 = 0x5252, S3 = 0x5353 };

static struct model *m;
static uint64_t m_now;
static uint32_t m_tgid = PID;

static inline void m_begin(void)
{
	model_destroy(m);
	m = model_create();
	m_now = 5 * SECOND;
	m_tgid = PID;
}

static inline struct ev_header m_header(uint16_t kind, uint32_t tid)
{
	m_now += MS;
	return (struct ev_header){ .kind = kind, .tgid = m_tgid, .tid = tid, .time_ns = m_now };
}

static inline void m_sample(uint32_t tid, uint64_t addr, uint64_t size, uint64_t stack,
			    uint64_t weight)
{
	struct ev_alloc ev = { m_header(EV_ALLOC, tid), addr, size, stack, weight };

	model_feed(m, &ev, sizeof(ev));
}

static inline void m_alloc(uint32_t tid, uint64_t addr, uint64_t size, uint64_t stack)
{
	m_sample(tid, addr, size, stack, size);
}

static inline void m_free(uint32_t tid, uint64_t addr)
{
	struct ev_free ev = { m_header(EV_FREE, tid), addr };

	model_feed(m, &ev, sizeof(ev));
}

/* Told a moment later; @last: as its thread's last block. */
static inline void m_held(uint32_t tid, uint64_t addr, uint64_t size, uint64_t stack, bool last)
{
	struct ev_alloc ev = { m_header(last ? EV_HELD : EV_HELD_LATER, tid), addr, size, stack,
			       size };

	model_feed(m, &ev, sizeof(ev));
}

static inline void m_pairs(uint32_t tid, uint64_t size, uint64_t stack, uint32_t count,
			   uint32_t temporary)
{
	struct ev_pairs ev = { m_header(EV_PAIRS, tid), size, stack, count, temporary };

	model_feed(m, &ev, sizeof(ev));
}

static inline void m_free_as(enum event_kind kind, uint32_t tid, uint64_t addr)
{
	struct ev_free ev = { m_header(kind, tid), addr };

	model_feed(m, &ev, sizeof(ev));
}

static inline void m_begin_realloc(uint32_t tid, uint64_t addr)
{
	struct ev_free ev = { m_header(EV_REALLOC_BEGIN, tid), addr };

	model_feed(m, &ev, sizeof(ev));
}

static inline void m_end_realloc(uint32_t tid, uint64_t old, uint64_t addr, uint64_t size,
				 uint64_t stack)
{
	struct ev_realloc ev = { { m_header(EV_REALLOC, tid), addr, size, stack, size }, old };

	model_feed(m, &ev, sizeof(ev));
}

static inline void m_realloc(uint32_t tid, uint64_t old, uint64_t addr, uint64_t size,
			     uint64_t stack)
{
	m_begin_realloc(tid, old);
	m_end_realloc(tid, old, addr, size, stack);
}

/* Says @count frames and sends @sent of them. */
static inline void m_stack(uint64_t id, uint32_t status, uint32_t count, const uint64_t *pcs,
			   size_t sent)
{
	size_t size = sizeof(struct ev_stack) + sent * sizeof(*pcs);
	struct ev_stack *ev = calloc(1, size);

	ev->h = m_header(EV_STACK, T1);
	ev->stack_id = id;
	ev->status = status;
	ev->count = count;
	if (sent)
		memcpy(ev->pcs, pcs, sent * sizeof(*pcs));
	model_feed(m, ev, size);
	free(ev);
}

static inline void m_region(uint16_t kind, uint64_t addr, uint64_t size, uint64_t stack, bool brk)
{
	struct ev_map ev = {
		.h = m_header(kind, T1), .addr = addr, .size = size, .stack_id = stack,
		.is_brk = brk,
	};

	model_feed(m, &ev, sizeof(ev));
}

static inline void m_map(uint64_t addr, uint64_t size, uint64_t stack)
{
	m_region(EV_MAP, addr, size, stack, false);
}

static inline void m_unmap(uint64_t addr, uint64_t size)
{
	m_region(EV_UNMAP, addr, size, 0, false);
}

static inline void m_process(uint16_t kind, const char *comm, uint32_t child, int exit_code)
{
	struct ev_process ev = { m_header(kind, T1), child, exit_code, 0, { 0 } };

	strncpy(ev.comm, comm, sizeof(ev.comm) - 1);
	model_feed(m, &ev, sizeof(ev));
}

static inline struct model_totals m_totals(void)
{
	struct model_totals totals;

	model_rows(m, m_now, MODEL_OLDEST, NULL, &totals);
	return totals;
}

/* The row of that image; all zero if there is none. */
static inline struct model_row m_row_of(uint32_t image, uint64_t stack, enum memory_kind kind)
{
	struct model_row_vec rows = { 0 };
	struct model_row row = { 0 };

	model_rows(m, m_now, MODEL_OLDEST, &rows, NULL);
	vec_for_each(it, &rows) {
		if (it->image == image && it->stack_id == stack && it->kind == kind)
			row = *it;
	}
	model_row_vec_deinit(&rows);
	return row;
}

static inline struct metrics m_heap(uint64_t stack)
{
	return m_row_of(0, stack, MEMORY_HEAP).m;
}

#endif
