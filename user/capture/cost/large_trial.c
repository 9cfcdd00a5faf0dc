// SPDX-License-Identifier: GPL-2.0-or-later
/* Trying where large requests pass; see large_trial.h. */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "base/cleanup.h"
#include "capture/aside.h"
#include "capture/bpf_syscall.h"
#include "capture/cost/large_trial.h"

/* --- what the child asks for --- */

/*
 * Sizes that come, go and come again, so that free chunks are sorted into bins, and small
 * ones between them. None is as small as what a thread's cache may hold (1032 bytes), or
 * as large as what is mapped by itself.
 */
#define REQUESTS 211
#define FIRST_BYTES 1100u
#define STEP_BYTES 523u
#define KEPT 7

static size_t request_bytes(unsigned int i)
{
	return FIRST_BYTES + i * 97 % REQUESTS * STEP_BYTES;
}

static uint64_t chunk_bytes(size_t request)
{
	return (request + 8 + 15) & ~15ull;
}

static void ask(void)
{
	void *volatile kept[KEPT] = { NULL };
	void *volatile small;

	for (unsigned int i = 0; i < REQUESTS; i++) {
		free(kept[i % KEPT]);
		small = malloc(16 + i * 4);
		kept[i % KEPT] = malloc(request_bytes(i));
		free(small);
	}
}

/* Only what async-signal-safe functions and malloc need: others may have held locks. */
static pid_t fork_child(int go)
{
	pid_t pid = fork();
	char c;

	if (pid)
		return pid;
	if (read(go, &c, 1) == 1)
		ask();
	_exit(0);
}

/* --- the probe --- */

struct step_count { uint64_t hits, bytes; };

#define R(n) BPF_REG_##n
#define CALL(helper) { .code = BPF_JMP | BPF_CALL, .imm = (helper) }
#define MOVE(to, from) { .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (to), .src_reg = (from) }
#define MOVE_IMM(to, value) { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (to), \
			      .imm = (value) }
#define ADD_IMM(to, value) { .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (to), \
			     .imm = (value) }
#define ATOMIC_ADD(to, at, from) { .code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = (to), \
				   .src_reg = (from), .off = (at), .imm = BPF_ADD }

/* counts[cookie] += { 1, the register } */
static int load_counter(int map_fd, uint16_t reg)
{
	const struct bpf_insn insns[] = {
		MOVE(R(6), R(1)),
		CALL(BPF_FUNC_get_attach_cookie),
		{ .code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = R(10), .src_reg = R(0), .off = -4 },
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = R(1),
		  .src_reg = BPF_PSEUDO_MAP_FD, .imm = map_fd },
		{ 0 },
		MOVE(R(2), R(10)),
		ADD_IMM(R(2), -4),
		CALL(BPF_FUNC_map_lookup_elem),
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = R(0), .off = 4 },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = R(7), .src_reg = R(6),
		  .off = (int16_t)reg },
		MOVE_IMM(R(1), 1),
		ATOMIC_ADD(R(0), offsetof(struct step_count, hits), R(1)),
		ATOMIC_ADD(R(0), offsetof(struct step_count, bytes), R(7)),
		MOVE_IMM(R(0), 0),
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		    .expected_attach_type = (enum bpf_attach_type)ATTACH_TYPE_UPROBE_MULTI);

	return bpf_prog_load(BPF_PROG_TYPE_KPROBE, "large_trial", "GPL", insns,
			     sizeof(insns) / sizeof(insns[0]), &opts);
}

/* In memory of aside_alloc(). */
struct trial {
	int prog_fd, link_fd;
	uint32_t pid;
	char path[32];
	uint64_t offsets[LARGE_STEPS], cookies[LARGE_STEPS];
};

static void set_probes(void *arg)
{
	struct trial *trial = arg;

	trial->link_fd = uprobe_multi_link(trial->prog_fd, ATTACH_TYPE_UPROBE_MULTI,
					   &(struct uprobe_multi){
		.path = trial->path, .offsets = trial->offsets, .cookies = trial->cookies,
		.count = LARGE_STEPS, .pid = trial->pid,
	});
}

static void remove_probes(void *arg)
{
	struct trial *trial = arg;

	if (trial->link_fd >= 0)
		close(trial->link_fd);
}

/* --- one trial --- */

static bool let_go(int go, pid_t pid)
{
	bool told = write(go, "", 1) == 1;
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return told && !status;
}

static bool run_trial(const struct object *libc, const struct large_path *path, int prog_fd)
{
	struct trial *trial __cleanup_aside = aside_alloc(1, sizeof(*trial));
	int ends[2];
	bool went;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return false;
	pid = fork_child(ends[0]);
	trial->prog_fd = prog_fd;
	trial->pid = (uint32_t)pid;
	snprintf(trial->path, sizeof(trial->path), "/proc/self/fd/%d", libc->fd);
	for (uint32_t i = 0; i < LARGE_STEPS; i++) {
		trial->offsets[i] = path->steps[i].file_offset;
		trial->cookies[i] = i;
	}
	trial->link_fd = -1;
	if (pid > 0)
		run_aside(set_probes, trial);
	went = pid > 0 && let_go(ends[1], pid) && trial->link_fd >= 0;
	run_aside(remove_probes, trial);
	close(ends[0]);
	close(ends[1]);
	return went;
}

/* Each request for more than the step's size, once, and with its chunk's size. */
static bool counts_are_right(const struct large_path *path, int map_fd)
{
	for (uint32_t step = 0; step < LARGE_STEPS; step++) {
		struct step_count want = { 0 }, got = { 0 };

		for (unsigned int i = 0; i < REQUESTS; i++) {
			uint64_t bytes = chunk_bytes(request_bytes(i));

			if (bytes <= path->steps[step].above)
				continue;
			want.hits++;
			want.bytes += bytes;
		}
		if (bpf_map_lookup_elem(map_fd, &step, &got) || got.hits != want.hits ||
		    got.bytes != want.bytes)
			return false;
	}
	return true;
}

static bool is_proven(const struct object *libc, const struct large_path *path)
{
	int map __cleanup_close = bpf_map_create(BPF_MAP_TYPE_ARRAY, "large_trial", 4,
						 sizeof(struct step_count), LARGE_STEPS, NULL);
	int prog __cleanup_close = map < 0 ? -1 : load_counter(map, path->reg);

	return prog >= 0 && run_trial(libc, path, prog) && counts_are_right(path, map);
}

/* --- which file --- */

static int find_own_malloc(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char **ret = arg;
	uintptr_t addr = (uintptr_t)(void *)malloc;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type == PT_LOAD && addr - (info->dlpi_addr + ph->p_vaddr) < ph->p_memsz)
			*ret = info->dlpi_name;
	}
	return *ret != NULL;
}

/* The file that our own malloc comes from, or NULL. */
static struct object *open_own(void)
{
	const char *path = NULL;
	struct object *own = NULL;
	struct error *err;
	int fd;

	dl_iterate_phdr(find_own_malloc, &path);
	fd = path && *path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return NULL;
	err = object_create(fd, path, &own);
	if (err)
		own = NULL;
	error_destroy(err);
	return own;
}

bool large_path_prove(struct object *libc, struct large_path *ret, const char **why_ret)
{
	struct object *own __cleanup(object_destroyp) = open_own();
	struct large_path paths[LARGE_PATHS_MAX];
	struct object_symbol symbol;
	size_t count = 0;

	*why_ret = "its C library is another one than heapsonde's, on which it could be tried";
	if (!own || !*libc->build_id || strcmp(libc->build_id, own->build_id))
		return false;
	if (object_find_exported(own, "malloc", &symbol, 1))
		count = large_paths_find(own, symbol.vaddr, paths);
	*why_ret = "malloc is compiled in another way";
	for (size_t i = 0; i < count; i++) {
		if (is_proven(own, &paths[i])) {
			*ret = paths[i];
			return true;
		}
		*why_ret = "no probe was hit as it should be";
	}
	return false;
}
