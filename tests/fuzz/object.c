// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target for ELF files as objects of a target: headers, segments,
 * notes, symbol tables with and without section headers. What object.h
 * promises of symbols is required. (Lines are libdw's to read.)
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/reader.h"
#include "symbol/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_in_code(const struct object *obj, uint64_t vaddr)
{
	const struct object_segment *segments;
	size_t count = object_segments(obj, &segments);

	for (size_t i = 0; i < count; i++)
		if (vaddr - segments[i].vaddr < segments[i].size)
			return true;
	return false;
}

static void check_symbols(struct object *obj)
{
	const struct object_symbol *symbols;
	size_t count = object_symbols(obj, &symbols);
	struct object_symbol found[4];
	uint64_t before = 0;

	for (size_t i = 0; i < count; i++) {
		const struct object_symbol *at = object_find_symbol(obj, symbols[i].vaddr);

		if (symbols[i].vaddr < before || !is_in_code(obj, symbols[i].vaddr) || !at)
			abort();
		before = symbols[i].vaddr;
		object_demangle(obj, at);
		object_find_exported(obj, symbols[i].name, found, 4);
	}
}

static void check_addresses(struct object *obj)
{
	const struct object_segment *segments;
	size_t count = object_segments(obj, &segments);
	uint64_t offset, vaddr;
	char bytes[64];

	for (size_t i = 0; i < count; i++) {
		if (!object_vaddr_to_offset(obj, segments[i].vaddr, &offset))
			continue;
		object_offset_to_vaddr(obj, offset, &vaddr);
		object_bias(obj, 0x7f0000000000, segments[i].offset, NULL, 0, &vaddr);
		if (object_read(obj, segments[i].vaddr, bytes, sizeof(bytes)) > sizeof(bytes))
			abort();
	}
	object_find_symbol(obj, 0);
	object_find_symbol(obj, UINT64_MAX);
	object_find_variable(obj, "mp_", &vaddr);
	object_has_call_frames(obj);
	object_is_static_program(obj);
	object_is_go(obj);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	__cleanup(object_destroyp) struct object *obj = NULL;
	struct error *err __cleanup_error = NULL;
	int fd = memfd_create("object", MFD_CLOEXEC);

	reader_stay_here();
	log_set_quiet(true);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	err = object_create(fd, "object", &obj);
	if (err)
		return 0;
	check_addresses(obj);
	check_symbols(obj);
	reader_await_guests();
	return 0;
}
