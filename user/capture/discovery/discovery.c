// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The probe plan: between the address space, which knows what a target has
 * mapped, and attach. Reads files only; the target notices nothing.
 */
#include "capture/discovery/discovery.h"

#include <string.h>

#include "base/alloc.h"
#include "capture/discovery/candidate.h"
#include "capture/discovery/probe_site.h"
#include "capture/discovery/reports.h"
#include "symbol/jump.h"

/* More versions of one function than any library exports. */
#define MAX_ADDRESSES 8

/*
 * Whether the address has its probe already: by the name of an earlier row,
 * or by another version of this one.
 */
static bool is_alias(struct probe_plan *plan, const struct object_plan *op,
		     const struct allocator_function *function,
		     const struct object_symbol *symbol)
{
	vec_for_each(probe, &op->probes) {
		if (probe->symbol.vaddr != symbol->vaddr)
			continue;
		if (!probe_same_row(probe->function, function))
			notes_add(&plan->notes, "%s: %s is at the address of %s and is taken for "
				  "it", op->object->path, symbol->name, probe->symbol.name);
		return true;
	}
	return false;
}

static bool passes_on(const struct candidate *c, const struct allocator_function *function)
{
	return function->kind == PROBE_FREE &&
	       (c->wraps || function->group == GROUP_DESCRIBED);
}

static const struct allocator_function *row(const struct allocator_choice *choice, size_t func)
{
	if (func < allocator_functions_count)
		return &allocator_functions[func];
	return &choice->described.data[func - allocator_functions_count].function;
}

static void list_function(struct probe_plan *plan, struct object_plan *op,
			  const struct candidate *c, uint16_t func,
			  const struct object_symbol *symbol)
{
	const struct allocator_function *function = row(c->choice, func);
	bool returns = allocator_kind_returns(function->kind) || passes_on(c, function);
	bool by_exits = returns && (c->no_returns || allocator_function_throws(function));

	if (is_alias(plan, op, function, symbol))
		return;
	planned_probe_vec_push(&op->probes, (struct planned_probe){
		.function = function,
		.func = func,
		.symbol = *symbol,
		.returns = returns && !by_exits,
		.by_exits = by_exits,
	});
}

/* Where a described function is in the object: addresses of its symbol, or the one given. */
static size_t find_described(const struct candidate *c, const struct described_function *d,
			     struct object_symbol *ret)
{
	if (d->object && !candidate_is_object(c->object, d->object))
		return 0;
	if (!d->by_address)
		return candidate_find(c, d->function.symbol, ret, MAX_ADDRESSES);
	ret[0] = (struct object_symbol){ .vaddr = d->vaddr, .name = d->function.symbol };
	return 1;
}

static struct error *check_overlap(const struct object_plan *op,
				   const struct described_function *d, uint64_t vaddr)
{
	vec_for_each(probe, &op->probes)
		if (probe->symbol.vaddr == vaddr && !probe_same_row(probe->function, &d->function))
			return error_create(ERROR_USAGE,
					    "%s: %s is at the address of %s in %s, "
					    "which is described as something else", d->where,
					    d->function.symbol, probe->symbol.name,
					    op->object->path);
	return NULL;
}

/* Where the variable that names the pool is in the target. */
static struct error *bind_variable(const struct candidate *c,
				   const struct described_function *d,
				   struct planned_probe *probe)
{
	if (!jump_find_variable(c->object, d->variable, &probe->variable))
		return error_create(ERROR_USAGE, "%s: %s has no variable %s", d->where,
				    c->object->path, d->variable);
	probe->variable += c->bias;
	return NULL;
}

static struct error *list_described_at(struct probe_plan *plan, const struct candidate *c,
				       struct object_plan *op, size_t index,
				       const struct object_symbol *symbol)
{
	const struct described_function *d = &c->choice->described.data[index];
	struct error *err = check_overlap(op, d, symbol->vaddr);
	size_t before = op->probes.len;

	if (err)
		return err;
	list_function(plan, op, c, allocator_functions_count + index, symbol);
	if (d->variable && op->probes.len > before)
		err = bind_variable(c, d, &op->probes.data[before]);
	return err;
}

/* Lists what the user described, before anything else can be at its addresses. */
static struct error *list_described(struct probe_plan *plan, const struct candidate *c,
				    struct object_plan *op)
{
	const struct described_vec *described = &c->choice->described;

	for (size_t i = 0; i < described->len; i++) {
		const struct described_function *d = &described->data[i];
		struct object_symbol found[MAX_ADDRESSES];
		size_t count = find_described(c, d, found);

		for (size_t at = 0; at < count; at++) {
			struct error *err = list_described_at(plan, c, op, i, &found[at]);

			if (err)
				return err;
		}
		if (count > 1)
			notes_add(&plan->notes, "%s: %s stands for %zu functions, each is probed",
				 c->object->path, d->function.symbol, count);
	}
	return NULL;
}

/* Lists the functions of the table that the object has, each address once. */
static void list_functions(struct probe_plan *plan, const struct candidate *c,
			   struct object_plan *op, const char *prefix)
{
	bool active[GROUPS_COUNT];

	for (int group = 0; group < GROUPS_COUNT; group++)
		active[group] = candidate_is_active(c, group, prefix);
	for (size_t func = 0; func < allocator_functions_count; func++) {
		const struct allocator_function *f = &allocator_functions[func];
		struct object_symbol found[MAX_ADDRESSES];
		size_t count;

		if (!active[f->group] ||
		    (*prefix && allocator_groups[f->group].where != PREFIXED))
			continue;
		count = candidate_find_row(c, f, prefix, found, MAX_ADDRESSES);
		for (size_t i = 0; i < count; i++)
			list_function(plan, op, c, func, &found[i]);
	}
}

static void mark_described(struct probe_plan *plan, const struct planned_probe *probe)
{
	if (probe->function->group == GROUP_DESCRIBED)
		plan->described[probe->func - allocator_functions_count] = true;
}

static void planned_probe_deinit(struct planned_probe *probe)
{
	offset_vec_deinit(&probe->exits);
	offset_vec_deinit(&probe->tails);
}

/* Stubs may jump to each other, so all are found before one is dropped. */
static struct error *plan_object(struct probe_plan *plan, const struct candidate *c,
				 struct object_plan *op)
{
	struct planned_probe_vec kept = { 0 };
	struct error *err = list_described(plan, c, op);
	bool reports;

	for (size_t p = 0; candidate_prefix(c->choice, p) && !err; p++)
		list_functions(plan, c, op, candidate_prefix(c->choice, p));
	for (size_t i = 0; i < op->probes.len && !err; i++) {
		struct planned_probe *probe = &op->probes.data[i];
		bool good = false;

		if (probe_is_stub(c, op, probe))
			mark_described(plan, probe);
		else
			err = probe_complete(&plan->notes, c, op, probe, &good);
		if (good)
			mark_described(plan, probe);
		if (good)
			planned_probe_vec_push(&kept, *probe);
		else
			planned_probe_deinit(probe);
	}
	planned_probe_vec_deinit(&op->probes);
	op->probes = kept;
	if (err)
		return err;
	reports = reports_list(c, op, &plan->notes);
	if (reports && !op->allocator)
		op->allocator = REPORTS_NAME;
	plan->found |= reports || (c->has_heap && !c->left_out);
	plan->prefixed |= candidate_has_prefix(c);
	return NULL;
}

static void object_plan_deinit(struct object_plan *op)
{
	vec_for_each(probe, &op->probes)
		planned_probe_deinit(probe);
	planned_probe_vec_deinit(&op->probes);
}

static struct error *plan_candidates(struct probe_plan *plan,
				     const struct candidate_vec *candidates)
{
	vec_for_each(c, candidates) {
		struct object_plan op = {
			.object = c->object,
			.bias = c->bias,
			.allocator = c->allocator ?: c->has_heap ? "an allocator" : NULL,
			.c_library = c->c_library,
		};
		struct error *err = plan_object(plan, c, &op);

		if (err || !op.probes.len)
			object_plan_deinit(&op);
		else
			object_plan_vec_push(&plan->objects, op);
		if (err)
			return err;
	}
	return NULL;
}

static bool has_kind(const struct probe_plan *plan, enum probe_kind first, enum probe_kind last)
{
	vec_for_each(op, &plan->objects)
		vec_for_each(probe, &op->probes)
			if (probe->function->kind >= first && probe->function->kind <= last)
				return true;
	return false;
}

bool probe_plan_has_heap(const struct probe_plan *plan)
{
	return has_kind(plan, PROBE_ALLOC, PROBE_RESIZE);
}

bool probe_plan_has_reports(const struct probe_plan *plan)
{
	return has_kind(plan, PROBE_REPORT_ALLOC, PROBE_REPORT_FREE);
}

void probe_plan_deinit(struct probe_plan *plan)
{
	vec_for_each(op, &plan->objects)
		object_plan_deinit(op);
	object_plan_vec_deinit(&plan->objects);
	notes_deinit(&plan->notes);
	free(plan->described);
	plan->described = NULL;
}

/* Why a described function has no probe. */
static const char *reason_for(const struct probe_plan *plan, const struct described_function *d)
{
	vec_for_each(note, &plan->notes)
		if (strstr(*note, d->function.symbol) && strstr(*note, "is not probed"))
			return *note;
	return NULL;
}

static struct error *missing(const struct probe_plan *plan, const struct described_function *d)
{
	const char *reason = reason_for(plan, d);

	if (reason)
		return error_create(ERROR_USAGE, "%s: %s", d->where, reason);
	return error_create(ERROR_USAGE, "%s: %s%s%s is nowhere in the target (a stripped file "
			    "has no local symbols: give an address)", d->where,
			    d->function.symbol, d->object ? "@" : "", d->object ?: "");
}

struct error *probe_plan_check(const struct probe_plan *plan,
			       const struct allocator_choice *choice)
{
	const struct described_function *absent = NULL;
	bool any = false;

	if (choice && choice->library && !plan->found)
		return error_create(ERROR_USAGE, "--allocator-lib: no allocator in the target is "
				    "in '%s': 'heapsonde doctor -p' lists those it has",
				    choice->library);
	if (choice && choice->only && !plan->found)
		return error_create(ERROR_USAGE, "--allocator: %s is not in the target: 'heapsonde "
				    "doctor -p' lists the allocators it has", choice->only);
	for (size_t i = 0; choice && i < choice->described.len; i++) {
		const struct described_function *d = &choice->described.data[i];

		if (!plan->described[i] && !d->ready_made)
			return missing(plan, d);
		any |= plan->described[i];
		if (!plan->described[i])
			absent = d;
	}
	return absent && !any ? missing(plan, absent) : NULL;
}

struct error *probe_plan_init(struct probe_plan *plan, const struct address_space *as,
			      const struct allocator_choice *choice, bool return_probes)
{
	static const struct allocator_choice none;
	__cleanup(candidates_deinit) struct candidate_vec candidates = { 0 };
	struct error *err;

	if (!choice)
		choice = &none;
	*plan = (struct probe_plan){
		.described = xcalloc(choice->described.len + 1, sizeof(bool)),
	};
	candidates_init(&candidates, as, choice, &plan->notes);
	plan->has_go = candidates_have_go(as);
	plan->return_probes = return_probes && !plan->has_go;
	candidates_forbid_returns(&candidates, plan->has_go, return_probes);
	err = plan_candidates(plan, &candidates);
	if (err)
		probe_plan_deinit(plan);
	return err;
}
