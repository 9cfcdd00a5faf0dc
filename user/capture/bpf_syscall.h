/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel can do but an older libbpf does not know yet, spoken
 * straight through bpf(2): uprobe_multi links (v6.6, 89ae89f53d20 "bpf: Add
 * multi uprobe link") and session probes (v6.13, 535a3692ba72 "bpf: Add
 * support for uprobe multi session attach"). Also single uprobes, by a perf
 * event that its link keeps (v5.15, b89fbfbb854c "bpf: Implement minimal BPF
 * perf link"): what libbpf does for them takes memory, see aside.h.
 */
#ifndef HEAPSONDE_CAPTURE_BPF_SYSCALL_H
#define HEAPSONDE_CAPTURE_BPF_SYSCALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* enum bpf_attach_type of newer kernels */
#define ATTACH_TYPE_UPROBE_MULTI 48
#define ATTACH_TYPE_UPROBE_SESSION 57

#define UPROBE_MULTI_RETURN 1

/* All probes of one file: one link, so that it is gone in one grace period. */
struct uprobe_multi {
	const char *path;		/* resolved by the kernel in our mount namespace */
	const uint64_t *offsets;	/* in the file; probed in this order */
	const uint64_t *cookies;
	const uint64_t *semaphores;	/* in the file, 0 where there is none; NULL: nowhere */
	uint32_t count;
	uint32_t flags;			/* UPROBE_MULTI_RETURN */
	uint32_t pid;			/* only in this process */
};

/* One probe. */
struct uprobe_single {
	const char *path;
	uint64_t offset, cookie;
	uint64_t semaphore;		/* in the file; 0: none */
	uint32_t pid;
	bool is_return;
};

/* The link's descriptor, or -errno. Neither takes memory or locks. */
int uprobe_single_link(int prog_fd, const struct uprobe_single *single);
int uprobe_multi_link(int prog_fd, uint32_t attach_type, const struct uprobe_multi *multi);

#endif
