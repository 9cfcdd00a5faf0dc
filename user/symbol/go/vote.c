// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading receivers off the runtime's code; see vote.h. No disassembler: Go's
 * compiler writes a call of a method of a global as
 *
 *	48 8d 05 <disp32>	lea variable(%rip), %rax
 *	...			other arguments, at most 24 bytes
 *	e8 <rel32>		call method
 *
 * and bytes that only look like it do not agree on an address.
 */
#include <string.h>

#include "base/vec.h"
#include "symbol/go/vote.h"
#include "symbol/object.h"

#define BODY_MAX (1u << 20)	/* the runtime's longest function has 20 KiB */
#define LEA_REACH 24		/* bytes before the call */
#define VOTES_MIN 3

static const struct { enum go_variable variable; const char *method; } methods[] = {
	{ GO_MHEAP, "(*mheap).init" },
	{ GO_MHEAP, "(*mheap).alloc" },
	{ GO_MHEAP, "(*mheap).allocSpan" },
	{ GO_MHEAP, "(*mheap).allocManual" },
	{ GO_MHEAP, "(*mheap).freeManual" },
	{ GO_MHEAP, "(*mheap).freeSpan" },
	{ GO_MHEAP, "(*mheap).reclaim" },
	{ GO_MHEAP, "(*mheap).nextSpanForSweep" },
	{ GO_MEMSTATS, "(*consistentHeapStats).acquire" },
	{ GO_MEMSTATS, "(*consistentHeapStats).release" },
	{ GO_MEMSTATS, "(*consistentHeapStats).unsafeRead" },
};

/* All methods of this one count. */
#define CONTROLLER_METHOD "(*gcControllerState)."

/* Who looks at all Ps reads the slice's pointer and length. */
static const char *const p_readers[] = {
	"stopTheWorldWithSema", "startTheWorldWithSema", "procresize", "retake", "forEachP",
	"forEachPInternal", "checkdead", "stealWork", "checkRunqsNoP", "checkTimersNoP",
	"findRunnable", "schedtrace", "flushallmcaches", "gcBgMarkStartWorkers",
	"freezetheworld", "checkIdleGCNoP", "gcMarkTermination", "allGsSnapshot",
};

struct method { uint64_t entry; enum go_variable variable; };
struct candidate { uint64_t address; unsigned int votes; };

DEFINE_VEC(method_vec, struct method);
DEFINE_VEC(candidate_vec, struct candidate);

struct election {
	const struct go_binary *go;
	struct method_vec methods;
	struct candidate_vec candidates[GO_VARIABLES_COUNT];
};

static bool is_data(const struct go_binary *go, uint64_t address)
{
	return address >= go->data && address < go->data_end;
}

static void vote(struct candidate_vec *candidates, uint64_t address)
{
	vec_for_each(c, candidates) {
		if (c->address == address) {
			c->votes++;
			return;
		}
	}
	candidate_vec_push(candidates, (struct candidate){ address, 1 });
}

/* The address with the most votes, if no other has half as many. */
static uint64_t winner(const struct candidate_vec *candidates)
{
	struct candidate first = { 0 }, second = { 0 };

	vec_for_each(c, candidates) {
		if (c->votes > first.votes) {
			second = first;
			first = *c;
		} else if (c->votes > second.votes) {
			second = *c;
		}
	}
	return first.votes >= VOTES_MIN && first.votes > 2 * second.votes ? first.address : 0;
}

/* The name behind "runtime.", or NULL. */
static const char *runtime_name(const struct go_function *f)
{
	static const char prefix[] = "runtime.";

	return strncmp(f->name, prefix, sizeof(prefix) - 1) ? NULL : f->name + sizeof(prefix) - 1;
}

static void add_method(struct election *e, const char *name, uint64_t entry)
{
	if (!strncmp(name, CONTROLLER_METHOD, sizeof(CONTROLLER_METHOD) - 1))
		method_vec_push(&e->methods, (struct method){ entry, GO_CONTROLLER });
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (!strcmp(name, methods[i].method))
			method_vec_push(&e->methods,
					(struct method){ entry, methods[i].variable });
}

static const struct method *find_method(const struct election *e, uint64_t entry)
{
	vec_for_each(m, &e->methods)
		if (m->entry == entry)
			return m;
	return NULL;
}

static uint64_t relative(uint64_t next, const uint8_t *disp)
{
	int32_t d;

	memcpy(&d, disp, sizeof(d));
	return next + (uint64_t)(int64_t)d;
}

/* What the last such lea before @call loads; 0. */
static uint64_t receiver(const uint8_t *code, size_t call, uint64_t pc)
{
	size_t first = call > LEA_REACH ? call - LEA_REACH : 0;

	for (size_t i = call; i-- > first;)
		if (call - i >= 7 && code[i] == 0x48 && code[i + 1] == 0x8d && code[i + 2] == 0x05)
			return relative(pc + i + 7, code + i + 3);
	return 0;
}

static void count_calls(struct election *e, const uint8_t *code, size_t size, uint64_t pc)
{
	for (size_t i = 0; i + 5 <= size; i++) {
		const struct method *method;
		uint64_t address;

		if (code[i] != 0xe8)
			continue;
		method = find_method(e, relative(pc + i + 5, code + i + 1));
		if (!method)
			continue;
		address = receiver(code, i, pc);
		if (is_data(e->go, address))
			vote(&e->candidates[method->variable], address);
	}
}

/* REX.W mov disp(%rip), %reg */
static bool is_load(const uint8_t *p)
{
	return (p[0] & ~4) == 0x48 && p[1] == 0x8b && (p[2] & 0xc7) == 0x05;
}

/* One vote a function for each address that is read together with the word behind it. */
static void count_slices(struct election *e, const uint8_t *code, size_t size, uint64_t pc)
{
	struct candidate_vec loads = { 0 };

	for (size_t i = 0; i + 7 <= size; i++) {
		uint64_t address = is_load(code + i) ? relative(pc + i + 7, code + i + 3) : 0;

		if (is_data(e->go, address))
			vote(&loads, address);
	}
	vec_for_each(a, &loads)
		vec_for_each(b, &loads)
			if (b->address == a->address + 8)
				vote(&e->candidates[GO_ALLP], a->address);
	candidate_vec_deinit(&loads);
}

static bool reads_all_ps(const char *name)
{
	for (size_t i = 0; i < sizeof(p_readers) / sizeof(p_readers[0]); i++) {
		size_t len = strlen(p_readers[i]);

		/* Their closures too. */
		if (!strncmp(name, p_readers[i], len) && (!name[len] || name[len] == '.'))
			return true;
	}
	return false;
}

static void count_function(struct election *e, const struct object *obj,
			   const struct go_function *f, const char *name)
{
	uint64_t size = f->end - f->start, pc = e->go->text + f->start;
	__cleanup_free uint8_t *code = size <= BODY_MAX ? xmalloc(size) : NULL;

	if (!code || object_read(obj, pc, code, size) != size)
		return;
	count_calls(e, code, size, pc);
	if (reads_all_ps(name))
		count_slices(e, code, size, pc);
}

static void find_methods(struct election *e, const struct go_pclntab *table)
{
	struct go_function f;

	for (size_t i = 0; i < table->count; i++) {
		if (!go_pclntab_function(table, i, &f) || !runtime_name(&f))
			continue;
		add_method(e, runtime_name(&f), e->go->text + f.start);
	}
}

void go_vote(const struct object *obj, const struct go_pclntab *table, struct go_binary *go)
{
	struct election e = { .go = go };
	struct go_function f;

	find_methods(&e, table);
	for (size_t i = 0; i < table->count; i++)
		if (go_pclntab_function(table, i, &f) && runtime_name(&f))
			count_function(&e, obj, &f, runtime_name(&f));
	for (int i = 0; i < GO_VARIABLES_COUNT; i++) {
		go->variables[i] = winner(&e.candidates[i]);
		candidate_vec_deinit(&e.candidates[i]);
	}
	method_vec_deinit(&e.methods);
}
