// SPDX-License-Identifier: GPL-2.0-or-later
/* Instructions and variables of Go's allocator; see points.h. */
#include <string.h>

#include "base/cleanup.h"
#include "symbol/go/code.h"
#include "symbol/go/module.h"
#include "symbol/go/points.h"

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
	X(SWEEP_SPAN, "runtime.(*sweepLocked).sweep")		\
	X(REFILL_BITS, "runtime.(*mspan).refillAllocCache")	\
	X(CROSSCALL, CROSSCALL_NAME)

enum function {
#define X(symbol, name) symbol,
	FUNCTIONS(X)
#undef X
	FUNCTIONS_COUNT
};

/* Two functions may have one name: the linker's bridge between calling conventions. */
#define BARRIERS_MAX 2

struct barriers {
	uint64_t entries[BARRIERS_MAX];
	size_t count;
};

struct search {
	const struct go_module *module;
	struct go_range functions[FUNCTIONS_COUNT];
	struct barriers barriers;		/* runtime.publicationBarrier */
};

static bool body_read_range(const struct search *s, const struct go_range *range,
			    struct go_code *ret)
{
	return go_code_read(s->module, range->start, range->end - range->start, BODY_MAX, ret);
}

static bool body_read(const struct search *s, enum function function, struct go_code *ret)
{
	return body_read_range(s, &s->functions[function], ret);
}

/* The first instruction of @code, from @from on, that calls @callee; 0. */
static uint64_t find_call(const struct search *s, const struct go_code *code, uint64_t from,
			  enum function callee)
{
	uint64_t entry = s->functions[callee].start;

	for (size_t i = from > code->pc ? from - code->pc : 0; entry && i < code->size;
	     i += go_code_step(code))
		if (go_code_call(code, i) == entry)
			return code->pc + i;
	return 0;
}

static uint64_t first_call(const struct search *s, enum function function, enum function callee)
{
	struct go_code code __cleanup(go_code_deinit);

	return body_read(s, function, &code) ? find_call(s, &code, 0, callee) : 0;
}

static uint64_t call_after_refill(const struct search *s)
{
	struct go_code code __cleanup(go_code_deinit);
	uint64_t refill;

	if (!body_read(s, NEXT_FREE, &code))
		return 0;
	refill = find_call(s, &code, 0, REFILL);
	return refill ? find_call(s, &code, refill, NEXT_FREE_INDEX) : 0;
}

/* The variable that @function loads first; 0. */
static uint64_t first_load(const struct search *s, enum function function)
{
	struct go_code code __cleanup(go_code_deinit);

	if (!body_read(s, function, &code))
		return 0;
	for (size_t i = 0; i < code.size; i += go_code_step(&code)) {
		unsigned int words;
		uint64_t address = go_code_load(&code, i, &words);

		if (address >= s->module->data && address < s->module->data_end)
			return address;
	}
	return 0;
}

/* --- births --- */

/*
 * On x86-64 only: elsewhere the barrier is no call. Behind it comes
 * "mov slot(%rsp), %reg", and soon after it, with reg as the base, a load of
 * what lies at the offset of mspan.freeindex, which is the same in all versions.
 */
#define FREE_INDEX 48
#define BEHIND_CALL 96		/* bytes that may lie between the call and that */
#define LOAD_AFTER 8

struct stack_load {
	unsigned int reg;
	uint32_t slot;
	size_t size;		/* of the instruction */
};

/* rsp as the base is said by a second byte, 0x24; the slot has one byte or four. */
static bool is_stack_load(const uint8_t *p, struct stack_load *ret)
{
	bool wide = (p[2] & 0xc0) == 0x80;
	int32_t slot = (int8_t)p[4];

	if ((p[0] & ~4) != 0x48 || p[1] != 0x8b || p[3] != 0x24 || (p[2] & 7) != 4 ||
	    !(wide || (p[2] & 0xc0) == 0x40))
		return false;
	if (wide)
		memcpy(&slot, p + 4, sizeof(slot));
	*ret = (struct stack_load){
		.reg = (p[2] >> 3 & 7) | (p[0] & 4) << 1,
		.slot = (uint32_t)slot,
		.size = wide ? 8 : 5,
	};
	return slot >= 0;
}

/* "movzwl FREE_INDEX(%reg)" or "mov", whatever it is loaded into. */
static bool loads_free_index(const uint8_t *p, unsigned int reg)
{
	bool rex = (p[0] & 0xf0) == 0x40;
	const uint8_t *op = p + rex;
	unsigned int base_high = rex ? (p[0] & 1) << 3 : 0;

	if (op[0] == 0x0f && op[1] == 0xb7)
		op++;
	else if (op[0] != 0x8b)
		return false;
	return (op[1] & 0xc0) == 0x40 && ((op[1] & 7) | base_high) == reg && op[2] == FREE_INDEX;
}

/* Where the span is kept over the call that ends at @p; false if nothing says so. */
static bool find_span_slot(const uint8_t *p, const uint8_t *end, uint32_t *ret)
{
	struct stack_load load;

	if (end - p > BEHIND_CALL)
		end = p + BEHIND_CALL;
	for (; end - p >= 8 + LOAD_AFTER + 5; p++) {
		if (!is_stack_load(p, &load))
			continue;
		for (size_t i = 0; i < LOAD_AFTER; i++) {
			if (loads_free_index(p + load.size + i, load.reg)) {
				*ret = load.slot;
				return true;
			}
		}
	}
	return false;
}

static bool calls_barrier(const struct barriers *barriers, const struct go_code *code, size_t at)
{
	uint64_t callee = go_code_call(code, at);

	for (size_t i = 0; i < barriers->count; i++)
		if (barriers->entries[i] == callee)
			return true;
	return false;
}

/*
 * The second call that some functions have, when they clear a large object
 * late, has no span behind it.
 */
static bool find_births_in(const struct search *s, const struct go_range *function,
			   struct go_birth_vec *ret)
{
	struct go_code code __cleanup(go_code_deinit);
	size_t before = ret->len;
	bool calls = false;
	uint32_t slot;

	if (!body_read_range(s, function, &code))
		return false;
	for (size_t i = 0; i + 5 <= code.size; i += go_code_step(&code)) {
		if (!calls_barrier(&s->barriers, &code, i))
			continue;
		calls = true;
		if (find_span_slot(code.bytes + i + 5, code.bytes + code.size, &slot))
			go_birth_vec_push(ret, (struct go_birth){ code.pc + i, slot });
	}
	return !calls || ret->len > before;
}

/* One that is not understood would hide blocks: then there are none. */
static void find_births(const struct search *s, struct go_points *ret)
{
	vec_for_each(function, &ret->allocators) {
		if (!find_births_in(s, function, &ret->births)) {
			go_birth_vec_deinit(&ret->births);
			return;
		}
	}
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

static void find_functions(struct search *s, struct go_points *ret)
{
	const struct go_pclntab *table = &s->module->table;
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
		range.start = s->module->text + f.start;
		range.end = s->module->text + f.end;
		if (is_runtimes(f.name))
			add_range(&ret->runtime, range.start, range.end);
		else if (strncmp(f.name, CROSSCALL_NAME, sizeof(CROSSCALL_NAME) - 1))
			continue;
		for (int k = 0; k < FUNCTIONS_COUNT; k++)
			if (!strcmp(f.name, names[k]))
				s->functions[k] = range;
		if (!strncmp(f.name, "runtime.mallocgc", 16))
			go_range_vec_push(&ret->allocators, range);
		if (!strncmp(f.name, "runtime.publicationBarrier", 26) &&
		    s->barriers.count < BARRIERS_MAX)
			s->barriers.entries[s->barriers.count++] = range.start;
	}
}

void go_points_find(const struct go_module *module, struct go_points *ret)
{
	struct search s = { .module = module };

	*ret = (struct go_points){ 0 };
	find_functions(&s, ret);
	ret->refill = call_after_refill(&s);
	ret->large = first_call(&s, ALLOC_LARGE, PUSH);
	ret->sweep = first_call(&s, SWEEP, LOCK);
	ret->swept = first_call(&s, SWEEP_SPAN, REFILL_BITS);
	find_births(&s, ret);
	ret->mbuckets = first_load(&s, FLUSH_PROFILE);
	ret->profile_rate = first_load(&s, ALLOC_CACHE);
	ret->crosscall = s.functions[CROSSCALL];
}

void go_points_deinit(struct go_points *points)
{
	go_range_vec_deinit(&points->runtime);
	go_range_vec_deinit(&points->allocators);
	go_birth_vec_deinit(&points->births);
}

static bool lies_in(const struct go_range_vec *ranges, uint64_t vaddr)
{
	size_t low = 0, high = ranges->len;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (ranges->data[middle].end <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < ranges->len && ranges->data[low].start <= vaddr;
}

bool go_points_in_runtime(const struct go_points *points, uint64_t vaddr)
{
	return lies_in(&points->runtime, vaddr);
}

bool go_points_in_allocator(const struct go_points *points, uint64_t vaddr)
{
	return lies_in(&points->allocators, vaddr);
}
