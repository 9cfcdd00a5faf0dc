// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target for DWARF: lines and inlined functions of addresses all over
 * the file. libdw reads most of it, without sanitizers: what is found there is to
 * be told to its authors.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbol/dwarf_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each is NULL or a string that is there. */
static void touch(const char *s)
{
	if (s && strlen(s) > INT32_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	__cleanup(dwarf_lines_destroyp) struct dwarf_lines *lines = NULL;
	const struct source_frame *frames;
	int fd = memfd_create("lines", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	lines = dwarf_lines_create(fd);
	if (!lines)
		return 0;
	for (uint64_t vaddr = 0x1000; vaddr < 0x1100; vaddr += 3)
		for (size_t i = dwarf_lines_find(lines, vaddr, &frames); i > 0; i--) {
			touch(frames[i - 1].function);
			touch(frames[i - 1].raw);
			touch(frames[i - 1].file);
		}
	return 0;
}
