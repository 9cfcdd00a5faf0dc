/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rows of the kernel's ledger, in words: who mapped and who touched memory. */
#ifndef HEAPSONDE_EXPORT_GROWTH_TEXT_H
#define HEAPSONDE_EXPORT_GROWTH_TEXT_H

#include <stdio.h>

#include "export/text.h"

/* Whether @metric is one of those that only such rows have. */
bool text_is_growth_metric(const char *metric);

/* @snap is sorted by options->sort; rows of allocations in it are passed over. */
void text_put_growth(const struct snapshot *snap, FILE *f, const struct text_options *options);

#endif
