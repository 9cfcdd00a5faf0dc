// SPDX-License-Identifier: GPL-2.0-or-later
/* Finding where large requests pass; see capture/discovery/large_path.h. */
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <string.h>

#include "base/error.h"
#include "capture/discovery/large_path.h"
#include "tests/unit/test.h"

static int find_libc(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char **ret = arg;

	if (strstr(info->dlpi_name, "libc.so.6"))
		*ret = info->dlpi_name;
	return *ret != NULL;
}

/* Of the library that runs here, or of the file that the environment names. */
static struct object *open_libc(struct object_symbol *malloc_ret)
{
	const char *path = getenv("LIBC");
	struct object *libc = NULL;
	struct error *err;

	if (!path)
		dl_iterate_phdr(find_libc, &path);
	if (!path)
		return NULL;
	err = object_create(open(path, O_RDONLY | O_CLOEXEC), path, &libc);
	if (!err && !object_find_exported(libc, "malloc", malloc_ret, 1)) {
		object_destroy(libc);
		libc = NULL;
	}
	error_destroy(err);
	return libc;
}

TEST(chains_of_comparisons_are_found_in_libc)
{
	struct large_path paths[LARGE_PATHS_MAX] = { 0 };
	struct object_symbol malloc_symbol;
	struct object *libc = open_libc(&malloc_symbol);
	size_t count;

#ifndef __x86_64__
	test_skip("the instructions of this machine are not known");
#endif
	if (!libc)
		test_skip("there is no libc.so.6 with a malloc");
	count = large_paths_find(libc, malloc_symbol.vaddr, paths);
	/* What others are compiled to is not known. */
	if (!count && strcmp(gnu_get_libc_version(), "2.36"))
		test_skip("this glibc has no such chain");
	check(count >= 1);
	for (size_t i = 0; i < count; i++) {
		check(paths[i].reg % 8 == 0);
		check_int(paths[i].steps[0].above, 0x3ff);
		for (int k = 1; k < LARGE_STEPS; k++) {
			check(paths[i].steps[k].above > paths[i].steps[k - 1].above);
			check(paths[i].steps[k].file_offset > paths[i].steps[k - 1].file_offset);
		}
	}
	object_destroy(libc);
}

/* Text without malloc's: the constants alone are no chain. */
TEST(no_chain_is_found_where_there_is_none)
{
	struct large_path paths[LARGE_PATHS_MAX];
	struct object_symbol malloc_symbol;
	struct object *libc = open_libc(&malloc_symbol);

	if (!libc)
		test_skip("there is no libc.so.6 with a malloc");
	check_int(large_paths_find(libc, malloc_symbol.vaddr + (1 << 20), paths), 0);
	object_destroy(libc);
}
