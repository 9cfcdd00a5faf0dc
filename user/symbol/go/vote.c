// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading receivers and slices off the runtime's code; see vote.h. */
#include <string.h>

#include "base/vec.h"
#include "symbol/go/code.h"
#include "symbol/go/vote.h"

#define BODY_MAX (1u << 20)	/* the runtime's longest function has 20 KiB */
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

static void count_calls(struct election *e, const struct go_code *code)
{
	for (size_t i = 0; i < code->size; i += go_code_step(code)) {
		uint64_t callee = go_code_call(code, i);
		const struct method *method = callee ? find_method(e, callee) : NULL;
		uint64_t address = method ? go_code_argument(code, i) : 0;

		if (is_data(e->go, address))
			vote(&e->candidates[method->variable], address);
	}
}

/* One vote a function for each address that is read together with the word behind it. */
static void count_slices(struct election *e, const struct go_code *code)
{
	struct candidate_vec loads = { 0 };

	for (size_t i = 0; i < code->size; i += go_code_step(code)) {
		unsigned int words;
		uint64_t address = go_code_load(code, i, &words);

		for (unsigned int k = 0; is_data(e->go, address) && k < words; k++)
			vote(&loads, address + k * 8);
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

static void count_function(struct election *e, const struct go_module *module,
			   const struct go_function *f, const char *name)
{
	struct go_code code __cleanup(go_code_deinit);

	if (!go_code_read(module, module->text + f->start, f->end - f->start, BODY_MAX, &code))
		return;
	count_calls(e, &code);
	if (reads_all_ps(name))
		count_slices(e, &code);
}

static void find_methods(struct election *e, const struct go_module *module)
{
	struct go_function f;

	for (size_t i = 0; i < module->table.count; i++) {
		if (!go_pclntab_function(&module->table, i, &f) || !runtime_name(&f))
			continue;
		add_method(e, runtime_name(&f), module->text + f.start);
	}
}

void go_vote(const struct go_module *module, struct go_binary *go)
{
	struct election e = { .go = go };
	struct go_function f;

	find_methods(&e, module);
	for (size_t i = 0; i < module->table.count; i++)
		if (go_pclntab_function(&module->table, i, &f) && runtime_name(&f))
			count_function(&e, module, &f, runtime_name(&f));
	for (int i = 0; i < GO_VARIABLES_COUNT; i++) {
		go->variables[i] = winner(&e.candidates[i]);
		candidate_vec_deinit(&e.candidates[i]);
	}
	method_vec_deinit(&e.methods);
}
