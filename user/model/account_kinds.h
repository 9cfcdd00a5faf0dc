/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What resident memory is put to, as the account of it names it. */
#ifndef HEAPSONDE_MODEL_ACCOUNT_KINDS_H
#define HEAPSONDE_MODEL_ACCOUNT_KINDS_H

/* X(symbol, kind as users read it, whether it is of the allocator's heap), in their order. */
#define ACCOUNT_LINES(X)							\
	/* Blocks allocated under the watch; their headers and rounding, arenas. */ \
	X(LIVE,      "live", true)						\
	X(OVERHEAD,  "allocator overhead", true)				\
	/* In use, allocated before; either, where they cannot be told apart. */ \
	X(OLDER,     "older than the watch", true)				\
	X(IN_USE,    "in use", true)						\
	/* Free chunks between others; threads' caches and fast bins; the ends of heaps. */ \
	X(BINS,      "freed, kept (bins)", true)				\
	X(CACHED,    "freed, kept (caches)", true)				\
	X(TOP,       "freed, kept (top)", true)					\
	X(STACK,     "main stack", false)					\
	X(STACKS,    "thread stacks", false)					\
	/* That no heap or stack is in. */					\
	X(ANONYMOUS, "anonymous mappings", false)				\
	/* MADV_FREE: the kernel may take it. */				\
	X(LAZY,      "freed, kept (lazily)", false)				\
	/* .data, .bss, changed file pages; code and data as they are in files. */ \
	X(DATA,      "program data", false)					\
	X(FILE,      "file", false)						\
	X(SHMEM,     "shmem", false)						\
	X(KERNEL,    "kernel (vdso)", false)

#endif
