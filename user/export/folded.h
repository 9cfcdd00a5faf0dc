/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Folded stacks, as the stackcollapse scripts write them and flame graph
 * tools read them: "comm;root;…;leaf VALUE", one line for each distinct
 * stack, sorted.
 */
#ifndef HEAPSONDE_EXPORT_FOLDED_H
#define HEAPSONDE_EXPORT_FOLDED_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "model/snapshot.h"

/*
 * @metric is one of METRICS that counts (else ERROR_USAGE). Stacks whose value is
 * 0 are left out, equal lines are added up. In names control characters are
 * escaped and semicolons become colons; a space before a number at the very end
 * of a stack becomes an underscore.
 */
struct error *export_folded(const struct snapshot *snap, FILE *f, const char *metric)
	__must_check;

#endif
