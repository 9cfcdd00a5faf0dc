/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where exports go. Data is written to a temporary file beside the wanted
 * one, which appears under its name only when everything was written: a full
 * disk or a Ctrl-C leaves what stood there before.
 *
 *	struct output *out __cleanup_output = NULL;
 *	err = output_open(path, force, &out);
 *	... fprintf(output_file(out), ...);
 *	return output_commit(steal_ptr(out));
 */
#ifndef HEAPSONDE_EXPORT_OUTPUT_H
#define HEAPSONDE_EXPORT_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/error.h"

struct output;

/*
 * NULL or "-" is stdout. An existing file with something in it is refused
 * unless @force; pipes and devices are written as they are.
 */
struct error *output_open(const char *path, bool force, struct output **ret) __must_check;

/* To write to; nobody but output_commit() closes it. */
FILE *output_file(struct output *out);

/* Finishes, reporting any write that failed so far. Consumes @out. */
struct error *output_commit(struct output *out) __must_check;

/* Throws away what was written. */
void output_abandon(struct output *out);
DEFINE_CLEANUP(struct output *, output_abandon);

#define __cleanup_output __cleanup(output_abandonp)

#endif
