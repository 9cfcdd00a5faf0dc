// SPDX-License-Identifier: GPL-2.0-or-later
/* What a trap costs; see price.h. */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "base/cleanup.h"
#include "capture/aside.h"
#include "capture/bpf_syscall.h"
#include "capture/cost/price.h"

#define ROUNDS 5	/* the fastest counts: what else happens only adds */
#define CALLS 500

/*
 * Functions to be probed at their first instruction. The first is one that
 * every kernel emulates, the second one that none does.
 */
#if defined(__x86_64__)
asm(".pushsection .text\n"
    ".balign 64\n"
    ".type price_emulated, @function\n"
    "price_emulated: push %rbp\n"
    "	pop %rbp\n"
    "	ret\n"
    ".size price_emulated, . - price_emulated\n"
    ".balign 64\n"
    ".type price_stepped, @function\n"
    "price_stepped: test %rdi, %rdi\n"
    "	ret\n"
    ".size price_stepped, . - price_stepped\n"
    ".popsection");
#elif defined(__aarch64__)
asm(".pushsection .text\n"
    ".balign 64\n"
    ".type price_emulated, %function\n"
    "price_emulated: b 1f\n"
    "1:	ret\n"
    ".size price_emulated, . - price_emulated\n"
    ".balign 64\n"
    ".type price_stepped, %function\n"
    "price_stepped: add x9, x9, #1\n"
    "	ret\n"
    ".size price_stepped, . - price_stepped\n"
    ".popsection");
#else
#error "one function whose first instruction uprobes emulate, one they single-step"
#endif

void price_emulated(void);
void price_stepped(void);

/* --- where those functions lie in our own file ---------------------------- */

struct place {
	uintptr_t addr;
	uint64_t offset;
	bool found;
};

static int find_segment(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct place *place = arg;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type != PT_LOAD || place->addr < begin ||
		    place->addr - begin >= ph->p_filesz)
			continue;
		place->offset = place->addr - begin + ph->p_offset;
		place->found = true;
	}
	/* The program itself comes first. */
	return 1;
}

/* --- probes that do nothing ----------------------------------------------- */

static const uint32_t attach_types[] = {
	[ATTACH_SESSION] = ATTACH_TYPE_UPROBE_SESSION,
	[ATTACH_MULTI] = ATTACH_TYPE_UPROBE_MULTI,
	[ATTACH_SINGLE] = 0,
};

static int load_empty_as(enum bpf_prog_type type, uint32_t attach_type)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		    .expected_attach_type = (enum bpf_attach_type)attach_type);

	return bpf_prog_load(type, "price", "GPL", insns, sizeof(insns) / sizeof(insns[0]), &opts);
}

/* A session's entry says with 0 that it wants the return. */
static int load_empty(enum attach_method method)
{
	return load_empty_as(BPF_PROG_TYPE_KPROBE, attach_types[method]);
}

/* Our own file, whatever became of its name. */
#define SELF "/proc/self/exe"

struct trap {
	int prog_fd;
	enum attach_method method;
	uint32_t pid;		/* our own: links are made by another process, aside */
	uint64_t offset;
	bool returns;
	int entry_fd, return_fd;	/* of links; -errno: none, 0: not needed */
};

static int make_link(const struct trap *trap, bool is_return)
{
	const uint64_t cookie = 0;

	if (trap->method == ATTACH_SINGLE)
		return uprobe_single_link(trap->prog_fd, &(struct uprobe_single){
			.path = SELF, .offset = trap->offset, .pid = trap->pid,
			.is_return = is_return,
		});
	return uprobe_multi_link(trap->prog_fd, attach_types[trap->method], &(struct uprobe_multi){
		.path = SELF, .offsets = &trap->offset, .cookies = &cookie, .count = 1,
		.flags = is_return ? UPROBE_MULTI_RETURN : 0, .pid = trap->pid,
	});
}

static void set_trap(void *arg)
{
	struct trap *trap = arg;

	trap->entry_fd = make_link(trap, false);
	if (trap->returns && trap->method != ATTACH_SESSION)
		trap->return_fd = make_link(trap, true);
}

static void remove_trap(void *arg)
{
	struct trap *trap = arg;

	if (trap->entry_fd > 0)
		close(trap->entry_fd);
	if (trap->return_fd > 0)
		close(trap->return_fd);
}

static double thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Of one call; a loop around a call and a return costs next to nothing. */
static double time_calls(void (*function)(void))
{
	double best = 0;

	for (int round = 0; round < ROUNDS; round++) {
		double begun = thread_ns(), ns;

		for (int i = 0; i < CALLS; i++)
			function();
		ns = (thread_ns() - begun) / CALLS;
		if (!round || ns < best)
			best = ns;
	}
	return best;
}

static struct error *time_trap(const struct trap *kind, void (*function)(void), double *ns_ret)
{
	struct trap *trap __cleanup_aside = aside_alloc(1, sizeof(*trap));
	struct place place = { .addr = (uintptr_t)function };
	int errnum;

	*trap = *kind;
	dl_iterate_phdr(find_segment, &place);
	if (!place.found)
		return error_create(ERROR_UNSUPPORTED, "the program's own code is not in its file");
	trap->offset = place.offset;
	run_aside(set_trap, trap);
	errnum = trap->entry_fd < 0 ? -trap->entry_fd : trap->return_fd < 0 ? -trap->return_fd : 0;
	if (!errnum)
		*ns_ret = time_calls(function);
	run_aside(remove_trap, trap);
	return errnum ? error_errno(errnum, "probing the program itself") : NULL;
}

struct error *price_measure(enum attach_method method, struct price *ret)
{
	int empty __cleanup_close = load_empty(method);
	/* A session's return cannot be had without, nor its entry alone. */
	int entry __cleanup_close = method == ATTACH_SESSION ? load_empty(ATTACH_MULTI) : -1;
	enum attach_method plain = method == ATTACH_SESSION ? ATTACH_MULTI : method;
	const struct trap once = { .prog_fd = entry >= 0 ? entry : empty, .method = plain,
			     .pid = getpid() };
	const struct trap twice = { .prog_fd = empty, .method = method, .pid = getpid(),
			      .returns = true };
	double both = 0;
	struct error *err;

	if (empty < 0)
		return error_errno(errno, "loading a program that does nothing");
	err = time_trap(&once, price_emulated, &ret->emulated_ns);
	if (!err)
		err = time_trap(&once, price_stepped, &ret->stepped_ns);
	if (!err)
		err = time_trap(&twice, price_emulated, &both);
	ret->return_ns = both > ret->emulated_ns ? both - ret->emulated_ns : 0;
	return err;
}

/* --- what is attached to the kernel ---------------------------------------- */

/* The kernel reads the same counter. */
static void read_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
}

/* Nothing is cheaper, so that what is added is seen best. */
static void ask_kernel(void)
{
	syscall(SYS_getppid);
}

/*
 * With the first listener all system calls of the machine take the kernel's slow way
 * out; a second one adds no more than its own call.
 */
bool price_measure_kernel(struct kernel_price *ret)
{
	int empty __cleanup_close = load_empty_as(BPF_PROG_TYPE_RAW_TRACEPOINT, 0);
	double alone = time_calls(ask_kernel), once, twice;
	int first __cleanup_close = bpf_raw_tracepoint_open("sys_exit", empty);
	int second __cleanup_close = -1;

	if (first < 0)
		return false;
	once = time_calls(ask_kernel);
	second = bpf_raw_tracepoint_open("sys_exit", empty);
	if (second < 0)
		return false;
	twice = time_calls(ask_kernel);
	*ret = (struct kernel_price){
		.tracepoint_ns = twice > once ? twice - once : 0,
		.call_ns = once > alone ? once - alone : 0,
		.clock_ns = time_calls(read_clock),
	};
	return true;
}
