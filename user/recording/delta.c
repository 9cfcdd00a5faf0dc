// SPDX-License-Identifier: GPL-2.0-or-later
/* What changed from one moment to the next; see delta.h. */
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "model/fields.h"
#include "recording/delta.h"

#define VARINT_MAX 10			/* bytes */
#define UNPACKED_MAX (256u << 20)	/* of one moment, so that a bomb is none */
#define SLOPE_UNIT 1.0			/* bytes a second */
#define RATIO_UNIT 0.001
#define AGE_UNIT 0.001			/* seconds */

/* A differing slope, ratio or age is written when it differs by this much. */
#define SLOPE_NOTICED 0.01		/* of itself */
#define RATIO_NOTICED 0.02

/* Metrics as whole numbers, and back. */

/* Doubles of a damaged file may be anything. */
static int64_t to_units(double value, double unit)
{
	double n = value / unit;

	return fabs(n) < 0x1p62 ? llrint(n) : 0;
}

static int64_t to_number(enum metric_unit unit, double value, double now_s)
{
	switch (unit) {
	case UNIT_SECONDS:
		return value > 0 ? to_units(now_s - value, AGE_UNIT) + 1 : 0;
	case UNIT_RATIO:
		return to_units(value, RATIO_UNIT);
	default:
		return to_units(value, SLOPE_UNIT);
	}
}

static double from_number(enum metric_unit unit, int64_t n, double now_s)
{
	switch (unit) {
	case UNIT_SECONDS:
		return n ? fmax(now_s - (double)(n - 1) * AGE_UNIT, AGE_UNIT) : 0;
	case UNIT_RATIO:
		return (double)n * RATIO_UNIT;
	default:
		return (double)n * SLOPE_UNIT;
	}
}

static int64_t integer(enum metric_unit unit, int64_t value, double now_s)
{
	return value;
}

static int64_t back_integer(enum metric_unit unit, int64_t n, double now_s)
{
	return n;
}

/* Sums of a damaged file may overflow: then they wrap. */
static int64_t add(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t subtract(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

static void to_numbers(const struct metrics *m, double now_s, int64_t n[DELTA_FIELDS_COUNT])
{
#define X(name, type, unit, header, help)					\
	n[DELTA_##name] = _Generic((type)0, double: to_number, int64_t: integer) \
		(unit, m->name, now_s);
	METRICS(X)
#undef X
#define X(name, unit) n[DELTA_##name##_error] = to_number(unit, m->name##_error, now_s);
	ESTIMATED_METRICS(X)
#undef X
	n[DELTA_free_bytes] = subtract(add(m->live_bytes, m->free_bytes), m->alloc_bytes);
	n[DELTA_free_count] = subtract(add(m->live_count, m->free_count), m->alloc_count);
}

/* Whether a difference from @old to @new is worth writing. */

static bool noticed(enum metric_unit unit, double old, double new)
{
	double differ = fabs(new - old);

	switch (unit) {
	case UNIT_SECONDS:
		return differ >= AGE_UNIT || (old > 0) != (new > 0);
	case UNIT_RATIO:
		return differ >= RATIO_NOTICED;
	default:
		return differ >= SLOPE_UNIT &&
		       differ > SLOPE_NOTICED * fmax(fabs(old), fabs(new));
	}
}

static bool noticed_integer(enum metric_unit unit, int64_t old, int64_t new)
{
	return old != new;
}

/* The metrics that @state comes to by itself when the integers are those of @m. */
static struct metrics expected(const struct delta_state *state, const struct metrics *m,
			       double now_s, bool aging)
{
	struct metrics e = state->m;

	e.live_count = m->live_count;
	if (aging)
		metrics_age(&e, state->at_s, now_s);
	e.live_count = state->m.live_count;
	return e;
}

bool delta_state_tells(const struct delta_state *state, const struct metrics *m,
		       double now_s, bool aging, bool exactly)
{
	struct metrics e = expected(state, m, now_s, aging);

	if (!state->present)
		return false;
	if (exactly)
		return !memcmp(&e, m, sizeof(e));
#define X(name, type, unit, header, help)					\
	if (_Generic((type)0, double: noticed, int64_t: noticed_integer)	\
	    (unit, e.name, m->name))						\
		return false;
	METRICS(X)
#undef X
#define X(name, unit)								\
	if (noticed(unit, e.name##_error, m->name##_error))			\
		return false;
	ESTIMATED_METRICS(X)
#undef X
	return true;
}

/* From the numbers @old to @m; doubles only where they differ noticeably from @e. */
static void differ(const int64_t old[DELTA_FIELDS_COUNT], const struct metrics *e,
		   const struct metrics *m, double now_s, int64_t d[DELTA_FIELDS_COUNT])
{
	int64_t new[DELTA_FIELDS_COUNT];

	to_numbers(m, now_s, new);
#define X(name, type, unit, header, help)					\
	d[DELTA_##name] = subtract(new[DELTA_##name], old[DELTA_##name]);	\
	if (_Generic((type)0, double: true, int64_t: false) &&			\
	    !noticed(unit, (double)e->name, (double)m->name))			\
		d[DELTA_##name] = 0;
	METRICS(X)
#undef X
#define X(name, unit)								\
	d[DELTA_##name##_error] = noticed(unit, e->name##_error, m->name##_error) ?	\
		subtract(new[DELTA_##name##_error], old[DELTA_##name##_error]) : 0;
	ESTIMATED_METRICS(X)
#undef X
}

struct delta_change delta_between(const struct delta_state *state, const struct metrics *m,
				  double now_s, bool aging)
{
	static const int64_t zeros[DELTA_FIELDS_COUNT];
	static const struct metrics nothing;
	struct metrics e = expected(state, m, now_s, aging);
	struct delta_change change = { 0 };
	int64_t old[DELTA_FIELDS_COUNT];

	to_numbers(&state->m, state->at_s, old);
	differ(old, &e, m, now_s, change.d);
	/* Blocks of a target that just ended age no more, though born when they were. */
	if (!state->present || (!change.d[DELTA_oldest_live_s] &&
				noticed(UNIT_SECONDS, e.oldest_live_s, m->oldest_live_s))) {
		change.flags = DELTA_FROM_ZERO;
		differ(zeros, &nothing, m, now_s, change.d);
	}
	return change;
}

bool delta_change_is_empty(const struct delta_change *change)
{
	for (int i = 0; i < DELTA_FIELDS_COUNT; i++)
		if (change->d[i])
			return false;
	return !change->flags;
}

void delta_apply(struct delta_state *state, const struct delta_change *change, double now_s)
{
	int64_t n[DELTA_FIELDS_COUNT];
	struct metrics *m = &state->m;

	if (change->flags & (DELTA_FROM_ZERO | DELTA_GONE))
		*state = (struct delta_state){ .at_s = now_s };
	state->present = !(change->flags & DELTA_GONE);
	to_numbers(m, state->at_s, n);
	for (int i = 0; i < DELTA_FIELDS_COUNT; i++)
		n[i] = add(n[i], change->d[i]);
	/* Ages stand as they were at at_s, which moves only with them. */
	if (change->d[DELTA_oldest_live_s])
		state->at_s = now_s;
#define X(name, type, unit, header, help)					\
	if (change->d[DELTA_##name])						\
		m->name = _Generic((type)0, double: from_number, int64_t: back_integer) \
			(unit, n[DELTA_##name], now_s);
	METRICS(X)
#undef X
#define X(name, unit)								\
	if (change->d[DELTA_##name##_error])					\
		m->name##_error = from_number(unit, n[DELTA_##name##_error], now_s);
	ESTIMATED_METRICS(X)
#undef X
	m->free_bytes = add(n[DELTA_free_bytes], subtract(m->alloc_bytes, m->live_bytes));
	m->free_count = add(n[DELTA_free_count], subtract(m->alloc_count, m->live_count));
}

void delta_join_change(struct delta_change *first, const struct delta_change *second)
{
	if (second->flags) {
		*first = *second;
		return;
	}
	for (int i = 0; i < DELTA_FIELDS_COUNT; i++)
		first->d[i] = add(first->d[i], second->d[i]);
}

/* Bytes */

static void put_varint(struct strbuf *sb, uint64_t value)
{
	char bytes[VARINT_MAX];
	size_t len = 0;

	for (; value > 0x7f; value >>= 7)
		bytes[len++] = (char)(value | 0x80);
	bytes[len++] = (char)value;
	strbuf_add(sb, bytes, len);
}

static void put_signed(struct strbuf *sb, int64_t value)
{
	put_varint(sb, (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

static void put_change(struct strbuf *sb, const struct delta_change *change, int64_t previous)
{
	uint64_t mask = 0;

	for (int i = 0; i < DELTA_FIELDS_COUNT; i++)
		mask |= (uint64_t)(change->d[i] != 0) << i;
	put_varint(sb, (uint64_t)(change->stack - previous));
	put_varint(sb, mask << 2 | change->flags);
	for (int i = 0; i < DELTA_FIELDS_COUNT; i++)
		if (change->d[i])
			put_signed(sb, change->d[i]);
}

void delta_pack(const struct delta *delta, struct strbuf *ret)
{
	struct strbuf plain __cleanup_strbuf = { 0 };
	int64_t previous = 0;
	uLongf size;
	void *packed __cleanup_free = NULL;

	vec_for_each(change, delta) {
		put_change(&plain, change, previous);
		previous = change->stack;
	}
	size = compressBound(plain.len);
	packed = xmalloc(size);
	/* Fails only without memory, which the others' allocations have told by then. */
	if (compress2(packed, &size, (const Bytef *)strbuf_str(&plain), plain.len,
		      Z_BEST_SPEED) != Z_OK)
		abort();
	put_varint(ret, plain.len);
	strbuf_add(ret, packed, size);
}

struct bytes {
	const unsigned char *p, *end;
};

static bool get_varint(struct bytes *b, uint64_t *ret)
{
	*ret = 0;
	for (int shift = 0; shift < 64 && b->p < b->end; shift += 7) {
		*ret |= (uint64_t)(*b->p & 0x7f) << shift;
		if (!(*b->p++ & 0x80))
			return true;
	}
	return false;
}

static bool get_signed(struct bytes *b, int64_t *ret)
{
	uint64_t value;

	if (!get_varint(b, &value))
		return false;
	*ret = (int64_t)(value >> 1 ^ (value & 1 ? UINT64_MAX : 0));
	return true;
}

static bool get_change(struct bytes *b, int64_t previous, struct delta_change *ret)
{
	uint64_t gap, head;

	*ret = (struct delta_change){ 0 };
	if (!get_varint(b, &gap) || !gap || gap > UINT32_MAX || !get_varint(b, &head) ||
	    head >> 2 >> DELTA_FIELDS_COUNT)
		return false;
	ret->stack = previous + (int64_t)gap;
	ret->flags = head & (DELTA_FROM_ZERO | DELTA_GONE);
	for (int i = 0; i < DELTA_FIELDS_COUNT; i++)
		if (head >> 2 & 1ull << i && !get_signed(b, &ret->d[i]))
			return false;
	return true;
}

bool delta_unpack(const void *data, size_t size,
		  bool (*each)(void *arg, const struct delta_change *change), void *arg)
{
	struct bytes packed = { data, (const unsigned char *)data + size }, plain;
	void *memory __cleanup_free = NULL;
	struct delta_change change = { 0 };
	uint64_t want;
	uLongf got;

	if (!size || !get_varint(&packed, &want) || want > UNPACKED_MAX)
		return false;
	got = want;
	memory = xmalloc(want + 1);
	if (uncompress(memory, &got, packed.p, (uLong)(packed.end - packed.p)) != Z_OK ||
	    got != want)
		return false;
	plain = (struct bytes){ memory, (unsigned char *)memory + got };
	while (plain.p < plain.end)
		if (!get_change(&plain, change.stack, &change) || !each(arg, &change))
			return false;
	return true;
}
