/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gives unwind_self.bpf.c the tables of this very process, as the loader gives a target's. */
#ifndef HEAPSONDE_TESTS_KERNEL_UNWIND_OBJECT_H
#define HEAPSONDE_TESTS_KERNEL_UNWIND_OBJECT_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/unwind_self.h"

static inline int map_fd(struct bpf_object *object, const char *name)
{
	return bpf_object__find_map_fd_by_name(object, name);
}

/* Before the object is loaded. */
static inline void size_maps(struct bpf_object *object, const struct unwind_self *self)
{
	bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "unwind_slab"),
				 self->slab.len / UNWIND_SLAB_WORDS + 1);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "unwind_ranges"),
				 self->ranges.len);
}

/* Copies @size bytes to the beginning of a mappable array. */
static inline bool fill_map(int fd, const void *data, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return false;
	memcpy(p, data, size);
	munmap(p, size);
	return true;
}

static inline bool fill_maps(struct bpf_object *object, const struct unwind_self *self)
{
	struct unwind_space space = { .count = self->ranges.len, .generation = 1 };
	uint32_t tgid = getpid();

	for (uint32_t i = 0; i < self->ranges.len; i++)
		if (bpf_map_update_elem(map_fd(object, "unwind_ranges"), &i,
					&self->ranges.data[i], 0))
			return false;
	return fill_map(map_fd(object, "unwind_slab"), self->slab.data,
			self->slab.len * sizeof(*self->slab.data)) &&
	       fill_map(map_fd(object, "unwind_rules"), self->rules.data,
			self->rules.len * sizeof(*self->rules.data)) &&
	       !bpf_map_update_elem(map_fd(object, "unwind_spaces"), &tgid, &space, 0);
}

#endif
