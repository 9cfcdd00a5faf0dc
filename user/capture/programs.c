// SPDX-License-Identifier: GPL-2.0-or-later
/* The choice of BPF programs; see programs.h. */
#include <bpf/libbpf.h>

#include "capture/bpf_syscall.h"
#include "capture/features.h"
#include "capture/programs.h"
#include "heapsonde.skel.h"

static void name_programs(struct heapsonde_bpf *skel, enum attach_method method, bool guarded,
			  struct attach_programs *ret)
{
	*ret = (struct attach_programs){
		.texts = skel->maps.texts,
		.allocator_texts = skel->maps.allocator_texts,
		.variables = skel->maps.pool_variables,
		.operands = skel->maps.report_operands,
	};
	ret->free = guarded ? skel->progs.alloc_free : skel->progs.alloc_free_plain;
	ret->report = guarded ? skel->progs.alloc_report : skel->progs.alloc_report_plain;
	ret->entry = guarded ? skel->progs.alloc_entry : skel->progs.alloc_entry_plain;
	if (method == ATTACH_SESSION)
		ret->session = skel->progs.alloc_session;
	else
		ret->returns = guarded ? skel->progs.alloc_return : skel->progs.alloc_return_plain;
}

static void name_go_programs(struct heapsonde_bpf *skel, bool guarded, struct attach_programs *ret)
{
	ret->go_refill = guarded ? skel->progs.go_refill : skel->progs.go_refill_plain;
	ret->go_large = guarded ? skel->progs.go_large : skel->progs.go_large_plain;
	ret->go_sweep = guarded ? skel->progs.go_sweep : skel->progs.go_sweep_plain;
	ret->go_birth = guarded ? skel->progs.go_birth : skel->progs.go_birth_plain;
	ret->go_swept = guarded ? skel->progs.go_swept : skel->progs.go_swept_plain;
}

static void load_program(struct bpf_program *program, uint32_t attach_type)
{
	if (!program)
		return;
	bpf_program__set_autoload(program, true);
	/* Newer than the distribution's enum. */
	bpf_program__set_expected_attach_type(program, (enum bpf_attach_type)attach_type);
}

struct bpf_program *programs_behind_calls(struct heapsonde_bpf *skel, bool guarded)
{
	return guarded ? skel->progs.alloc_return : skel->progs.alloc_return_plain;
}

struct bpf_program *programs_large(struct heapsonde_bpf *skel, bool guarded)
{
	return guarded ? skel->progs.alloc_large : skel->progs.alloc_large_plain;
}

void programs_choose(struct heapsonde_bpf *skel, enum attach_method method, bool guarded,
		     unsigned int sources, struct attach_programs *ret)
{
	uint32_t multi = method == ATTACH_SINGLE ? 0 : ATTACH_TYPE_UPROBE_MULTI;
	struct bpf_program *program;

	skel->rodata->cfg_guarded = guarded;
	name_programs(skel, method, guarded, ret);
	if (!(sources & SOURCE_REPORTS)) {
		ret->report = NULL;
		bpf_map__set_max_entries(skel->maps.report_operands, 1);
	}
	if (sources & SOURCE_GO)
		name_go_programs(skel, guarded, ret);
	bpf_object__for_each_program(program, skel->obj)
		if (bpf_program__type(program) == BPF_PROG_TYPE_KPROBE ||
		    bpf_program__type(program) == BPF_PROG_TYPE_TRACING)
			bpf_program__set_autoload(program, false);
	bpf_program__set_autoload(skel->progs.memory_fault, false);
	bpf_program__set_autoload(skel->progs.memory_fault_plain, false);
	load_program(ret->free, multi);
	load_program(ret->entry, multi);
	load_program(ret->report, multi);
	load_program(ret->returns, multi);
	if (sources & SOURCE_FOCUS)
		load_program(programs_behind_calls(skel, guarded), multi);
	if (sources & SOURCE_LARGE)
		load_program(programs_large(skel, guarded), multi);
	load_program(ret->go_refill, multi);
	load_program(ret->go_large, multi);
	load_program(ret->go_sweep, multi);
	load_program(ret->go_birth, multi);
	load_program(ret->go_swept, multi);
	load_program(ret->session, ATTACH_TYPE_UPROBE_SESSION);
	bpf_program__set_autoload(skel->progs.held_tell_all, guarded);
	load_program(skel->progs.loader_changed, 0);
}

static void add_program(struct growth_programs *to, struct bpf_program *program,
			const char *tracepoint)
{
	bpf_program__set_autoload(program, true);
	to->programs[to->count++] = (struct growth_program){ program, tracepoint };
}

#define GUARDED(name) (features->preempt_guard ? skel->progs.name : skel->progs.name##_plain)
#define ADD(name) add_program(ret, GUARDED(name), NULL)

void programs_choose_growth(struct heapsonde_bpf *skel, const struct features *features,
			    struct growth_programs *ret)
{
	*ret = (struct growth_programs){ .calls = CALLS_AT_LIBRARY };
	if (!features)
		return;
	if (features->call_functions) {
		ret->calls = CALLS_AT_FUNCTIONS;
#define X(call, name) ADD(memory_##name);
		MEMORY_CALLS(X)
#undef X
	} else if (features->call_tracepoint) {
		ret->calls = CALLS_AT_TRACEPOINT;
		ADD(memory_any_call);
	}
	if (features->fault_tracepoints) {
		add_program(ret, GUARDED(memory_fault), "page_fault_user");
		add_program(ret, GUARDED(memory_fault), "page_fault_kernel");
	}
	if (features->reclaim_tracepoints) {
		add_program(ret, skel->progs.memory_direct_reclaim, NULL);
		add_program(ret, skel->progs.memory_cgroup_reclaim, NULL);
	}
}
