/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the unwind table compiler needs of an ELF file: its executable
 * segments, their bytes, and its call frame information. Read with pread and
 * never mapped, for a file that is cut short under a mapping kills its reader
 * with SIGBUS; only an image already in memory (a vDSO) is used in place.
 *
 * Program headers come first, so that files without sections work.
 */
#ifndef HEAPSONDE_SYMBOL_UNWIND_IMAGE_H
#define HEAPSONDE_SYMBOL_UNWIND_IMAGE_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "symbol/cfi.h"

#define UNWIND_SEGMENTS_MAX 64

/* What the file holds of a PT_LOAD. */
struct unwind_segment {
	uint64_t vaddr, size;
	uint64_t offset;
	bool executable;
};

struct unwind_image {
	int fd;			/* borrowed; -1: all is in memory */
	const uint8_t *memory;
	uint64_t size;		/* of file or memory */
	Elf *elf;
	uint16_t machine;
	size_t segments_count;	/* sorted by vaddr, no overlaps */
	struct unwind_segment segments[UNWIND_SEGMENTS_MAX];
};

/*
 * @fd, or @memory of @size when @fd is -1; both borrowed.
 * ERROR_UNSUPPORTED if not a linked 64-bit ELF file of a machine we walk.
 */
struct error *unwind_image_init(struct unwind_image *image, int fd,
				const void *memory, size_t size) __must_check;
void unwind_image_deinit(struct unwind_image *image);
DEFINE_CLEANUP(struct unwind_image *, unwind_image_deinit);

/* Copies up to @len bytes at @vaddr; returns how many the file holds. */
size_t unwind_image_read(const struct unwind_image *image, uint64_t vaddr,
			 void *buf, size_t len);

/* A section's bytes; @owned is freed by unwind_cfi_deinit(). */
struct unwind_cfi {
	struct cfi cfi;
	void *owned;
};

/*
 * .eh_frame, through PT_GNU_EH_FRAME where there is one. False if the file has
 * none. The image must outlive @ret.
 */
bool unwind_image_eh_frame(struct unwind_image *image, struct unwind_cfi *ret);
/* How many bytes that would read; 0 if there is none. */
uint64_t unwind_image_eh_frame_bytes(const struct unwind_image *image);
/* .debug_frame, compressed in any way libelf knows, or .zdebug_frame. */
bool unwind_image_debug_frame(struct unwind_image *image, struct unwind_cfi *ret);
void unwind_cfi_deinit(struct unwind_cfi *cfi);

#endif
