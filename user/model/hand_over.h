/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one who follows blocks gives to another: the model to windows when all
 * is watched no longer, and windows to the model when it is again.
 */
#ifndef HEAPSONDE_MODEL_HAND_OVER_H
#define HEAPSONDE_MODEL_HAND_OVER_H

#include <stdint.h>

#include "model/estimate.h"

/* A live block that stands for @count like it, @bytes in all. */
struct given_block {
	uint64_t addr, bytes, count, stack_id, birth_ns;
	struct variance variance;	/* zeros: it is known exactly, and count is 1 */
};

/*
 * What a stack has allocated in all, live blocks included. Of spread all but live
 * is meant; its live part comes with the blocks.
 */
struct given_row {
	uint64_t stack_id;
	double alloc_bytes, alloc_count, temporary_count;
	double peak_bytes;		/* what it had when all was highest */
	struct spread spread;
};

/* Each row comes before its blocks. */
struct windows_heir {
	void (*row)(void *arg, const struct given_row *row);
	void (*block)(void *arg, const struct given_block *block);
	void *arg;
};

#endif
