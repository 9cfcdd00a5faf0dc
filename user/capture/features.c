// SPDX-License-Identifier: GPL-2.0-or-later
/* Feature detection; see features.h. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "capture/bpf_syscall.h"
#include "capture/discovery/confined.h"
#include "capture/features.h"
#include "symbol/object.h"
#include "symbol/symbolizer.h"

/* The place in this program where probes are tried on ourselves. Never called. */
void __attribute__((noinline, used)) heapsonde_probe_site(void);

void heapsonde_probe_site(void)
{
	__asm__ volatile("nop");
}

static int load_empty_program(uint32_t attach_type)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach_type);

	return bpf_prog_load(BPF_PROG_TYPE_KPROBE, "heapsonde_try", "GPL", insns,
			     sizeof(insns) / sizeof(insns[0]), &opts);
}

/* Where heapsonde_probe_site() is in our own file. */
static struct error *own_probe_site(uint64_t *offset_ret)
{
	__cleanup(address_space_destroyp) struct address_space *as = NULL;
	uint64_t site = (uintptr_t)heapsonde_probe_site;
	const struct mapping *map;
	struct error *err;

	as = address_space_create(getpid());
	err = address_space_refresh(as, NULL);
	if (err)
		return err;
	map = address_space_find(as, site);
	if (!map)
		return error_create(ERROR_NOT_FOUND, "own program text is not mapped from a file");
	*offset_ret = site - map->start + map->file_offset;
	return NULL;
}

static bool can_link(uint32_t attach_type, uint64_t site)
{
	const struct uprobe_multi multi = {
		.path = "/proc/self/exe", .offsets = &site, .count = 1, .pid = getpid(),
	};
	__cleanup_close int prog = load_empty_program(attach_type);
	__cleanup_close int link = -1;

	if (prog < 0)
		return false;
	link = uprobe_multi_link(prog, attach_type, &multi);
	return link >= 0;
}

static bool kernel_has_function(const struct btf *btf, const char *name)
{
	return btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;
}

/* Whether the tracepoint's first argument, behind its context, is a pointer. */
static bool tracepoint_has_pointer(const struct btf *btf, const char *typedef_name)
{
	int id = btf__find_by_name_kind(btf, typedef_name, BTF_KIND_TYPEDEF);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

	while (type && (btf_is_typedef(type) || btf_is_ptr(type)))
		type = btf__type_by_id(btf, type->type);
	if (!type || !btf_is_func_proto(type) || btf_vlen(type) < 2)
		return false;
	type = btf__type_by_id(btf, btf_params(type)[1].type);
	return type && btf_is_ptr(type);
}

static bool has_tracepoint(const struct btf *btf, const char *name)
{
	char type[64];

	snprintf(type, sizeof(type), "btf_trace_%s", name);
	return btf__find_by_name_kind(btf, type, BTF_KIND_TYPEDEF) > 0;
}

#ifdef __x86_64__
#define CALL_FUNCTION "__x64_sys_process_madvise"
#else
#define CALL_FUNCTION "__arm64_sys_process_madvise"
#endif

/*
 * Some kernels have the types and refuse the program, or have it and cannot
 * patch their functions: tried with the rarest of the calls.
 */
static bool can_follow_calls(const struct btf *btf)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int function = btf__find_by_name_kind(btf, CALL_FUNCTION, BTF_KIND_FUNC);
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FEXIT,
		    .attach_btf_id = function);
	__cleanup_close int prog = -1, link = -1;

	if (function <= 0)
		return false;
	prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "heapsonde_try", "GPL", insns,
			     sizeof(insns) / sizeof(insns[0]), &opts);
	if (prog < 0)
		return false;
	link = bpf_raw_tracepoint_open(NULL, prog);
	return link >= 0;
}

static void detect_growth(const struct btf *btf, struct features *ret)
{
	ret->call_functions = can_follow_calls(btf);
	ret->call_tracepoint = has_tracepoint(btf, "sys_exit");
	ret->fault_tracepoints = has_tracepoint(btf, "page_fault_user") &&
				 has_tracepoint(btf, "page_fault_kernel");
	ret->reclaim_tracepoints = has_tracepoint(btf, "mm_vmscan_direct_reclaim_end") &&
				   has_tracepoint(btf, "mm_vmscan_memcg_reclaim_end");
}

static bool can_call(enum bpf_func_id helper)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, helper, NULL) == 1;
}

/* Whether @name stands in the list of words @list, commas between. */
static bool is_listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!strncmp(at, name, len) && (!at[len] || at[len] == ','))
			return true;
	}
	return false;
}

static void take_for_absent(struct features *features, const char *list)
{
#define X(member, name, without) features->member &= !is_listed(list, #member);
	FEATURES(X)
#undef X
#define X(member, refused, why) features->hazards.member &= !is_listed(list, #member);
	HOST_HAZARDS(X)
#undef X
	/* The session's program has no twin that does without. */
	features->uprobe_session &= features->preempt_guard;
}

/* --- hazards ------------------------------------------------------------- */

/* A map of task storage, for an int each, whose type is @btf's first; or -errno. */
static int create_storage_map(struct btf *btf)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC,
		    .btf_key_type_id = 1, .btf_value_type_id = 1);

	if (!btf || btf__add_int(btf, "int", sizeof(int), BTF_INT_SIGNED) < 0 ||
	    btf__load_into_kernel(btf))
		return -EINVAL;
	opts.btf_fd = (uint32_t)btf__fd(btf);
	return bpf_map_create(BPF_MAP_TYPE_TASK_STORAGE, "heapsonde_try", sizeof(int),
			      sizeof(int), 0, &opts);
}

/*
 * Since f484f4a3e058 ("bpf: Replace bpf memory allocator with kmalloc_nolock() in local
 * storage", 6.19) storage comes from there alone, where there is never any on a processor
 * without an atomic exchange of 16 bytes (x86-64 only: any arm64 has one). It may find none
 * for a moment anywhere.
 */
static bool storage_always_fails(void)
{
	struct btf *btf = btf__new_empty();
	__cleanup_close int map = create_storage_map(btf);
	__cleanup_close int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int value = 0;

	btf__free(btf);
	if (map < 0 || self < 0)
		return false;
	for (int try = 0; try < 20; try++) {
		if (bpf_map_update_elem(map, &self, &value, BPF_ANY) != -ENOMEM)
			return false;
		usleep(1000);
	}
	return true;
}

static bool has_member(const struct btf *btf, const char *type_name, const char *name)
{
	int id = btf__find_by_name_kind(btf, type_name, BTF_KIND_STRUCT);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

	for (int i = 0; type && i < btf_vlen(type); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_members(type)[i].name_off), name))
			return true;
	return false;
}

/* Whether the first line of the file at @path, if there is one, has @words in it. */
static bool file_says(const char *path, const char *words)
{
	FILE *f __cleanup_fclose = fopen(path, "re");
	char line[256] = "";

	return f && fgets(line, sizeof(line), f) && strstr(line, words);
}

static void detect_hazards(const struct btf *btf, struct features *ret)
{
	/* a76ab5731e32 ("bpf: Find eligible subprogs for private stack support") */
	ret->hazards.private_stacks = btf && has_member(btf, "bpf_prog_aux", "priv_stack_ptr");
	ret->hazards.no_storage = ret->task_storage && storage_always_fails();
	ret->hazards.lockdown = file_says("/sys/kernel/security/lockdown", "[confidentiality]");
	ret->hazards.panic_on_warn = file_says("/proc/sys/kernel/panic_on_warn", "1");
}

struct error *features_check(const struct features *features)
{
	if (!features->btf)
		return error_create(ERROR_UNSUPPORTED,
				    "this kernel has no type information "
				    "(CONFIG_DEBUG_INFO_BTF), which the programs need");
	if (!features->task_storage || !features->attach_cookie)
		return error_create(ERROR_UNSUPPORTED,
				    "this kernel is too old: its probes have no %s, "
				    "Linux 5.15 or newer is needed",
				    features->task_storage ? "attach cookies" : "task storage");
#define X(member, refused, why)						\
	if (refused && features->hazards.member)			\
		return error_create(ERROR_UNSUPPORTED, why);
	HOST_HAZARDS(X)
#undef X
	return NULL;
}

struct error *features_detect(struct features *ret)
{
	__cleanup_close int prog = load_empty_program(0);
	uint64_t site = 0;
	struct error *err;
	struct btf *btf;

	*ret = (struct features){ 0 };
	if (prog == -EPERM || prog == -EACCES)
		return error_create(ERROR_PERMISSION,
				    "not allowed to load BPF programs: run as root, "
				    "or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE");
	if (prog < 0)
		return error_errno(-prog, "the kernel does not load BPF programs");
	/* a10787e6d58c ("bpf: Enable task local storage for tracing programs") */
	ret->task_storage = can_call(BPF_FUNC_task_storage_get);
	/* 7adfc6c9b315 ("bpf: Add bpf_get_attach_cookie() BPF helper to access …") */
	ret->attach_cookie = can_call(BPF_FUNC_get_attach_cookie);
	btf = btf__load_vmlinux_btf();
	ret->btf = btf;
	detect_hazards(btf, ret);
	if (btf) {
		/* fc7566ad0a82 ("bpf: Introduce bpf_preempt_[disable,enable] kfuncs") */
		ret->preempt_guard = kernel_has_function(btf, "bpf_preempt_disable");
		ret->uprobe_session = kernel_has_function(btf, "bpf_session_is_return");
		/* "mm: Update mark_victim tracepoints fields" */
		ret->oom_victim = tracepoint_has_pointer(btf, "btf_trace_mark_victim");
		detect_growth(btf, ret);
		btf__free(btf);
	}
	err = own_probe_site(&site);
	if (err)
		return error_wrap(err, "trying probes on ourselves");
	/* Each try costs a grace period; the newer link is a kind of the older one. */
	ret->uprobe_session = ret->uprobe_session && can_link(ATTACH_TYPE_UPROBE_SESSION, site);
	ret->uprobe_multi = ret->uprobe_session || can_link(ATTACH_TYPE_UPROBE_MULTI, site);
	ret->return_passes = confined_ask_kernel();
	take_for_absent(ret, getenv("HEAPSONDE_WITHOUT"));
	/* Programs that cannot be interrupted do not meet on such a stack. */
	ret->hazards.private_stacks &= !ret->preempt_guard;
	return NULL;
}
