/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does a stretch of a file's text hold a call instruction? Asked for ascending
 * addresses, as the unwind table compiler does, each byte of the file is read
 * once, through a window that stays in the processor's cache.
 */
#ifndef HEAPSONDE_SYMBOL_CALL_SITES_H
#define HEAPSONDE_SYMBOL_CALL_SITES_H

#include <stdbool.h>
#include <stdint.h>

#include "symbol/unwind_image.h"

struct call_sites {
	const struct unwind_image *image;	/* borrowed */
	uint64_t vaddr;		/* of window[0] */
	size_t len;		/* bytes in the window */
	uint8_t *window;
};

void call_sites_init(struct call_sites *sites, const struct unwind_image *image);
void call_sites_deinit(struct call_sites *sites);

/*
 * True if a call may lie in [start, end), or if the bytes cannot be read. On
 * x86-64 every byte may begin an instruction, so that this errs on the side
 * of true.
 */
bool call_sites_in(struct call_sites *sites, uint64_t start, uint64_t end);

#endif
