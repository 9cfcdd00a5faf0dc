// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The stack walker without any probe: BPF_PROG_TEST_RUN runs walk_self() in
 * the caller's context, and it walks the caller's own stack from the registers
 * that were given. And with probes, whose registers are the walk's. See
 * unwind_self.c.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

struct unwind_state;

#ifdef UNWIND_GLOBAL_LOOP
static struct unwind_state *current_state(void);
#define UNWIND_STATE() current_state()
#endif
#include "bpf/unwind.bpf.h"
#include "tests/kernel/unwind_self.h"

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct unwind_state);
} states SEC(".maps");

#ifdef UNWIND_GLOBAL_LOOP
static __always_inline struct unwind_state *current_state(void)
{
	return bpf_task_storage_get(&states, bpf_get_current_task_btf(), NULL, 0);
}
#endif

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walk_result);
} result SEC(".maps");

struct raw_tp_args {
	__u64 args[5];		/* pc, sp, bp, tgid, depth */
};

#ifndef UNWIND_GLOBAL_LOOP
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;
#endif

static __noinline int walk(__u32 start, __u32 tgid, __u32 depth)
{
	struct unwind_state *s = bpf_task_storage_get(&states, bpf_get_current_task_btf(),
						      NULL, 0);
	__u32 zero = 0;
	struct walk_result *r = bpf_map_lookup_elem(&result, &zero);
	__u64 begin = bpf_ktime_get_ns();

	if (!s || !r)
		return 1;
#ifdef UNWIND_GLOBAL_LOOP
	unwind_stack_global(s, start, tgid, depth);
#else
	unwind_stack(s, start, tgid, depth);
#endif
	r->elapsed_ns = bpf_ktime_get_ns() - begin;
	r->walks++;
	r->count = s->record.count;
	r->status = s->record.status;
	bpf_probe_read_kernel(r->pcs, sizeof(r->pcs), s->pcs);
	return 0;
}

/* The task's state with the registers in it; false if it is in use. */
static __noinline int enter(__u64 pc, __u64 sp, __u64 bp, __u64 lr)
{
	struct unwind_state *s = bpf_task_storage_get(&states, bpf_get_current_task_btf(),
						      NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	return s && unwind_enter(s, pc, sp, bp, lr);
}

SEC("raw_tp/sys_enter")
int walk_self(struct raw_tp_args *ctx)
{
	if (!enter(ctx->args[0], ctx->args[1], ctx->args[2], 0))
		return 1;
	return walk(UNWIND_AT_RETURN, ctx->args[3], ctx->args[4]);
}

static __always_inline __u64 link_register(struct pt_regs *ctx)
{
#ifdef __TARGET_ARCH_arm64
	return PT_REGS_RET(ctx);
#else
	return 0;
#endif
}

/* As the product runs it: where the kernel can, with preemption disabled. */
static __always_inline int walk_probed(struct pt_regs *ctx, __u32 start)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (!enter(PT_REGS_IP(ctx), PT_REGS_SP(ctx), PT_REGS_FP(ctx), link_register(ctx)))
		return 0;
#ifndef UNWIND_GLOBAL_LOOP
	if (bpf_preempt_disable && bpf_preempt_enable) {
		bpf_preempt_disable();
		walk(start, tgid, MAX_DEPTH);
		bpf_preempt_enable();
		return 0;
	}
#endif
	walk(start, tgid, MAX_DEPTH);
	return 0;
}

SEC("uprobe")
int walk_entry(struct pt_regs *ctx)
{
	return walk_probed(ctx, UNWIND_AT_ENTRY);
}

SEC("uretprobe")
int walk_return(struct pt_regs *ctx)
{
	return walk_probed(ctx, UNWIND_AT_RETURN);
}

SEC("uretprobe")
int nothing(struct pt_regs *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
