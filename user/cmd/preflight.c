// SPDX-License-Identifier: GPL-2.0-or-later
/* What watching a process would come to; see preflight.h. */
#include "cmd/preflight.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/format.h"
#include "base/strbuf.h"
#include "capture/target.h"

static const char *const names_of_hazards[] = {
#define X(kind, name) [kind] = name,
	HAZARDS(X)
#undef X
};

const char *hazard_name(enum hazard_kind kind)
{
	return names_of_hazards[kind];
}

static void __attribute__((format(printf, 3, 4)))
add_hazard(struct preflight *p, enum hazard_kind kind, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	hazard_vec_push(&p->hazards, (struct hazard){ kind, xvasprintf(fmt, args) });
	va_end(args);
}

static void count_probes(struct preflight *p, const struct probe_plan *plan)
{
	vec_for_each(object, &plan->objects) {
		vec_for_each(probe, &object->probes) {
			p->emulated += probe->placement.emulated;
			p->stepped += !probe->placement.emulated;
			p->returns += probe->returns;
			p->exits += probe->by_exits;
			p->awaited_frees += (probe->returns || probe->by_exits) &&
					    probe->function->kind == PROBE_FREE;
		}
	}
}

static const struct planned_probe *first_of(const struct object_plan *object,
					    enum probe_kind kind)
{
	vec_for_each(probe, &object->probes)
		if (probe->function->kind == kind)
			return probe;
	return NULL;
}

static double hit_ns(const struct planned_probe *probe, const struct price *price)
{
	double ns = probe->placement.emulated ? price->emulated_ns : price->stepped_ns;

	if (probe->returns)
		ns += price->return_ns;
	if (probe->by_exits)
		ns += price->stepped_ns;
	return ns;
}

/* Of the allocator that stands first: malloc's row is before all others. */
static double pair_ns(const struct probe_plan *plan, const struct price *price)
{
	vec_for_each(object, &plan->objects) {
		const struct planned_probe *alloc = first_of(object, PROBE_ALLOC);
		const struct planned_probe *end = first_of(object, PROBE_FREE);

		if (price && alloc && end)
			return hit_ns(alloc, price) + hit_ns(end, price);
	}
	return -1;
}

/* Looks at each mapped file once. */
static void look_at_files(struct preflight *p, const struct address_space *names)
{
	const struct object *last = NULL, *no_frames = NULL, *deleted = NULL;
	size_t deleted_count = 0;

	vec_for_each(m, address_space_mappings(names)) {
		if (!m->object || m->object == last)
			continue;
		last = m->object;
		if (object_has_call_frames(last)) {
			p->frames++;
		} else {
			p->no_frames++;
			no_frames = no_frames ?: last;
		}
		/* The vDSO is in a file of ours. */
		if (last->deleted && last->path[0] == '/') {
			deleted_count++;
			deleted = deleted ?: last;
		}
	}
	if (no_frames)
		add_hazard(p, HAZARD_FRAMES, "stacks through %s%s are led by frame pointers, and "
			   "marked guessed", no_frames->path,
			   p->no_frames > 1 ? " and others" : "");
	if (deleted)
		add_hazard(p, HAZARD_DELETED, "%s%s was deleted or replaced since it was mapped: "
			   "the mapped file itself is read", deleted->path,
			   deleted_count > 1 ? " (and others)" : "");
}

static void judge_probes(struct preflight *p, const struct probe_plan *plan)
{
	if (p->stepped)
		add_hazard(p, HAZARD_STEPPED, "%zu probes are single-stepped, ten times as dear a "
			   "hit: marked below", p->stepped);
	if (p->exits && plan->return_probes)
		add_hazard(p, HAZARD_THROWS, "%zu functions may throw: a return probe would end "
			   "the process, their return instructions are probed", p->exits);
	if (p->awaited_frees)
		add_hazard(p, HAZARD_PASSES_ON, "%zu frees may pass on to another: their returns "
			   "are probed, so that one call counts once", p->awaited_frees);
}

static void judge_process(struct preflight *p, uint32_t pid, const struct probe_plan *plan,
			  int seccomp)
{
	struct strbuf apart __cleanup_strbuf = { 0 };

	if (plan->has_go && plan->objects.len)
		add_hazard(p, HAZARD_GO, "Go's runtime moves stacks: no return probes, the return "
			   "instructions of C's functions are probed");
	else if (seccomp && !plan->return_probes)
		add_hazard(p, HAZARD_SECCOMP, "it is confined by seccomp, and this kernel ends "
			   "such a process at a probed return: return instructions are probed");
	target_namespaces(pid, &apart);
	if (apart.len)
		add_hazard(p, HAZARD_NAMESPACES, "it is in other namespaces (%s), as containers "
			   "are: its files are opened through /proc, its PID is the one here",
			   strbuf_str(&apart));
}

void preflight_init(struct preflight *p, uint32_t pid, const struct probe_plan *plan,
		    const struct address_space *names, int seccomp, const struct price *price)
{
	*p = (struct preflight){ .pair_ns = pair_ns(plan, price) };
	count_probes(p, plan);
	judge_process(p, pid, plan, seccomp);
	judge_probes(p, plan);
	look_at_files(p, names);
}

void preflight_deinit(struct preflight *p)
{
	vec_for_each(hazard, &p->hazards)
		free(hazard->text);
	hazard_vec_deinit(&p->hazards);
}
