/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Go runtime of a running process, read from outside: what
 * runtime.ReadMemStats would tell it, without stopping it. Memory is read by
 * process_vm_readv(2) only; nothing is written, traced or signalled.
 *
 * Two proofs stand before the first figure: the layout is that of the program's
 * version of Go, and the runtime's own invariants (doubleCheckReadMemStats, the
 * maps between spans and addresses) hold in what is read by it. When they do
 * not, nothing is told at all.
 */
#ifndef HEAPSONDE_CAPTURE_GO_RUNTIME_H
#define HEAPSONDE_CAPTURE_GO_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/runtime.h"
#include "symbol/go/binary.h"
#include "symbol/go/layout.h"

struct address_space;
struct object;
struct go_runtime;

/*
 * *ret is NULL if the process is no Go program. ERROR_UNSUPPORTED if it is one
 * that cannot be read, and why; nothing is read from the process yet.
 */
struct error *go_runtime_open(uint32_t pid, const struct address_space *as,
			      struct go_runtime **ret) __must_check;
void go_runtime_close(struct go_runtime *go);
DEFINE_CLEANUP(struct go_runtime *, go_runtime_close);

const char *go_runtime_version(const struct go_runtime *go);
uint32_t go_runtime_pid(const struct go_runtime *go);
/* What the file tells of it; addresses in there become the process's by the bias. */
const struct go_binary *go_runtime_binary(const struct go_runtime *go);
uint64_t go_runtime_bias(const struct go_runtime *go);
/* NULL until a first go_runtime_read() has proven one. */
const struct go_layout *go_runtime_layout(const struct go_runtime *go);

/*
 * The figures of now; the first time, the proof. ERROR_GONE if the process has
 * no memory any more or its runtime has not begun yet: try again.
 * ERROR_UNSUPPORTED if no known layout fits: that stays so.
 */
struct error *go_runtime_read(struct go_runtime *go, struct runtime_figures *ret) __must_check;

/* Of the last go_runtime_read(): small objects by size, ascending; none of class 0. */
void go_runtime_sizes(const struct go_runtime *go, struct runtime_size ret[GO_SIZE_CLASSES]);
/* Of the last go_runtime_read(): bytes allocated since the start, by size class; 0 is large. */
void go_runtime_allocated(const struct go_runtime *go, uint64_t ret[GO_SIZE_CLASSES]);
/* The address of the heap's table of arenas; 0 if none was read yet. */
uint64_t go_runtime_arenas(const struct go_runtime *go);
/* The program's file. */
const struct object *go_runtime_object(const struct go_runtime *go);
/* Of the last go_runtime_read(): when the last collection but @back ended, in ns since 1970; 0. */
uint64_t go_runtime_collected_ns(const struct go_runtime *go, unsigned int back);

/* ... and for how long the world stood still for it. */
uint64_t go_runtime_pause_ns(const struct go_runtime *go, unsigned int back);
#define GO_PAUSES 256u		/* collections that the runtime remembers */

/* For tests: as if the layout of this version of Go were the program's. */
void go_runtime_pretend(struct go_runtime *go, unsigned int minor);

#endif
