// SPDX-License-Identifier: GPL-2.0-or-later
/* Instructions and variables of Go's allocator; see points.h. */
#include <string.h>

#include "base/cleanup.h"
#include "symbol/go/points.h"
#include "symbol/object.h"

#define BODY_MAX (64u << 10)

#define CROSSCALL_NAME "crosscall2"

/* X(symbol, name): functions that are looked into or called there. */
#define FUNCTIONS(X)						\
	X(NEXT_FREE, "runtime.(*mcache).nextFree")		\
	X(NEXT_FREE_INDEX, "runtime.(*mspan).nextFreeIndex")	\
	X(REFILL, "runtime.(*mcache).refill")			\
	X(ALLOC_LARGE, "runtime.(*mcache).allocLarge")		\
	X(PUSH, "runtime.(*spanSet).push")			\
	X(SWEEP, "runtime.gcSweep")				\
	X(LOCK, "runtime.lock2")				\
	X(FLUSH_PROFILE, "runtime.mProf_FlushLocked")		\
	X(ALLOC_CACHE, "runtime.allocmcache")			\
	X(CROSSCALL, CROSSCALL_NAME)

enum function {
#define X(symbol, name) symbol,
	FUNCTIONS(X)
#undef X
	FUNCTIONS_COUNT
};

struct search {
	const struct object *obj;
	const struct go_text *text;
	struct go_range functions[FUNCTIONS_COUNT];
};

struct body {
	uint64_t pc;
	uint8_t *code;
	size_t size;
};

static void body_deinit(struct body *body)
{
	free(body->code);
}

static bool body_read(const struct search *s, enum function function, struct body *ret)
{
	const struct go_range *range = &s->functions[function];

	*ret = (struct body){ .pc = range->start, .size = range->end - range->start };
	if (!ret->size || ret->size > BODY_MAX)
		return false;
	ret->code = xmalloc(ret->size);
	return object_read(s->obj, ret->pc, ret->code, ret->size) == ret->size;
}

static uint64_t relative(uint64_t next, const uint8_t *disp)
{
	int32_t d;

	memcpy(&d, disp, sizeof(d));
	return next + (uint64_t)(int64_t)d;
}

/* The first "e8 rel32" of @body, from @from on, that calls @callee; 0. */
static uint64_t find_call(const struct search *s, const struct body *body, uint64_t from,
			  enum function callee)
{
	uint64_t entry = s->functions[callee].start;

	for (size_t i = from > body->pc ? from - body->pc : 0; entry && i + 5 <= body->size; i++)
		if (body->code[i] == 0xe8 &&
		    relative(body->pc + i + 5, body->code + i + 1) == entry)
			return body->pc + i;
	return 0;
}

static uint64_t first_call(const struct search *s, enum function function, enum function callee)
{
	struct body body __cleanup(body_deinit);

	return body_read(s, function, &body) ? find_call(s, &body, 0, callee) : 0;
}

static uint64_t call_after_refill(const struct search *s)
{
	struct body body __cleanup(body_deinit);
	uint64_t refill;

	if (!body_read(s, NEXT_FREE, &body))
		return 0;
	refill = find_call(s, &body, 0, REFILL);
	return refill ? find_call(s, &body, refill, NEXT_FREE_INDEX) : 0;
}

/* The variable that the first "mov disp(%rip), %reg" of @function loads; 0. */
static uint64_t first_load(const struct search *s, enum function function)
{
	struct body body __cleanup(body_deinit);

	if (!body_read(s, function, &body))
		return 0;
	for (size_t i = 0; i + 7 <= body.size; i++) {
		const uint8_t *p = body.code + i;
		uint64_t address = relative(body.pc + i + 7, p + 3);

		if ((p[0] & ~4) == 0x48 && p[1] == 0x8b && (p[2] & 0xc7) == 0x05 &&
		    address >= s->text->data && address < s->text->data_end)
			return address;
	}
	return 0;
}

static void add_range(struct go_range_vec *ranges, uint64_t start, uint64_t end)
{
	struct go_range *last = ranges->len ? &ranges->data[ranges->len - 1] : NULL;

	if (last && last->end == start)
		last->end = end;
	else
		go_range_vec_push(ranges, (struct go_range){ start, end });
}

static bool is_runtimes(const char *name)
{
	return !strncmp(name, "runtime.", 8) || !strncmp(name, "internal/runtime/", 17);
}

static void find_functions(struct search *s, const struct go_pclntab *table,
			   struct go_points *ret)
{
	static const char *const names[FUNCTIONS_COUNT] = {
#define X(symbol, name) name,
		FUNCTIONS(X)
#undef X
	};
	struct go_function f;

	for (size_t i = 0; i < table->count; i++) {
		struct go_range range;

		if (!go_pclntab_function(table, i, &f))
			continue;
		range.start = s->text->start + f.start;
		range.end = s->text->start + f.end;
		if (is_runtimes(f.name))
			add_range(&ret->runtime, range.start, range.end);
		else if (strncmp(f.name, CROSSCALL_NAME, sizeof(CROSSCALL_NAME) - 1))
			continue;
		for (int k = 0; k < FUNCTIONS_COUNT; k++)
			if (!strcmp(f.name, names[k]))
				s->functions[k] = range;
	}
}

void go_points_find(const struct object *obj, const struct go_pclntab *table,
		    const struct go_text *text, struct go_points *ret)
{
	struct search s = { .obj = obj, .text = text };

	*ret = (struct go_points){ 0 };
	find_functions(&s, table, ret);
	ret->refill = call_after_refill(&s);
	ret->large = first_call(&s, ALLOC_LARGE, PUSH);
	ret->sweep = first_call(&s, SWEEP, LOCK);
	ret->mbuckets = first_load(&s, FLUSH_PROFILE);
	ret->profile_rate = first_load(&s, ALLOC_CACHE);
	ret->crosscall = s.functions[CROSSCALL];
}

void go_points_deinit(struct go_points *points)
{
	go_range_vec_deinit(&points->runtime);
}

bool go_points_in_runtime(const struct go_points *points, uint64_t vaddr)
{
	size_t low = 0, high = points->runtime.len;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (points->runtime.data[middle].end <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < points->runtime.len && points->runtime.data[low].start <= vaddr;
}
