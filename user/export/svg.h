/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flame graphs as one SVG file that needs nothing else: a still picture for
 * documents and printers, to which a browser adds zoom, search and details
 * (user/export/svg). Names are escaped, whatever a target calls its functions.
 */
#ifndef HEAPSONDE_EXPORT_SVG_H
#define HEAPSONDE_EXPORT_SVG_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "model/diff.h"
#include "model/snapshot.h"

struct svg_options {
	const char *metric;	/* one that counts; else ERROR_USAGE */
	bool icicle;		/* the root on top */
	bool inverted;		/* callers of the allocator at the root */
};

struct error *export_svg(const struct snapshot *snap, FILE *f, const struct svg_options *options)
	__must_check;

/*
 * What changed: red grew, blue shrank, and a box is as wide as the larger of
 * both. The metric is the diff's own.
 */
struct error *export_svg_diff(const struct diff *diff, FILE *f,
			      const struct svg_options *options) __must_check;

#endif
