/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What changed between two snapshots (model/diff.h), written down. Rows stand in
 * the diff's order; those that did not change are not shown.
 */
#ifndef HEAPSONDE_EXPORT_DIFF_H
#define HEAPSONDE_EXPORT_DIFF_H

#include <stddef.h>
#include <stdio.h>

#include "base/error.h"
#include "model/diff.h"

/* For people; at most @limit rows (0: all). */
void export_diff_text(const struct diff *diff, FILE *f, size_t limit);

/*
 * One object:
 *
 *	{ "heapsonde", "schema", "metric",
 *	  "old": { "t_s", "targets" }, "new": the same,
 *	  "totals": { "old": metrics, "new": metrics, "delta": metrics },
 *	  "states": { "grew", "shrank", "new", "gone", "same" },	rows of each
 *	  "stacks": [ { "state", "kind", "old", "new", "delta": metrics, "frames" } ] }
 */
void export_diff_json(const struct diff *diff, FILE *f, size_t limit);

/*
 * "comm;root;…;leaf OLD NEW", as difffolded.pl writes it and flame graph tools read
 * it. Equal lines are added up; the metric must be one that counts (else ERROR_USAGE).
 */
struct error *export_diff_folded(const struct diff *diff, FILE *f) __must_check;

#endif
