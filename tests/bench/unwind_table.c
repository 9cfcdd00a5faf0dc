// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What compiling unwind tables takes and how large they are, for the files
 * named on the command line or for what the machine has of large libraries.
 * Best of three, files in the page cache.
 */
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "symbol/unwind_table.h"

static const char *const samples[] = {
	"/lib/*-linux-gnu/libc.so.6",
	"/usr/lib64/libc.so.6",
	"/lib/*-linux-gnu/libstdc++.so.6",
	"/lib/*-linux-gnu/libcrypto.so.3",
	"/usr/bin/python3.1[0-9]",
	"/usr/lib/gcc/*-linux-gnu/*/cc1",
	"/usr/lib/*-linux-gnu/libLLVM-*.so.*",
	"/usr/lib/llvm-*/lib/libclang-cpp.so.*",
	"/root/.rustup/toolchains/stable*/lib/librustc_driver-*.so",
	"/usr/bin/node",
	"/usr/local/bin/node",
};

static void measure(const char *path, enum unwind_table_kind kind)
{
	struct unwind_table *best = NULL;
	struct stat st;

	for (int i = 0; i < 3; i++) {
		__cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
		struct unwind_table *table;
		struct error *err;

		if (fd < 0 || fstat(fd, &st))
			return;
		err = unwind_table_create(fd, -1, kind, &table);
		if (err) {
			fprintf(stderr, "%s: %s\n", path, err->message);
			error_destroy(err);
			return;
		}
		if (best && best->stats.compile_ns < table->stats.compile_ns) {
			unwind_table_destroy(table);
		} else {
			unwind_table_destroy(best);
			best = table;
		}
	}
	if (!strrchr(path, '/') || !best)
		return;
	printf("%-28.28s %-5s %7.1f MB %7zu FDEs %8zu rows -> %7zu, "
	       "%4u rules, %5zu unsupported, %8.1f KB, %6.1f ms\n",
	       strrchr(path, '/') + 1, kind == UNWIND_FULL ? "full" : "calls",
	       st.st_size / 1e6, best->stats.fdes, best->stats.rows_seen,
	       best->rows.len, best->rules.len, best->stats.unsupported,
	       unwind_table_bytes(best) / 1024.0, best->stats.compile_ns / 1e6);
	unwind_table_destroy(best);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		measure(argv[i], UNWIND_CALL_SITES);
	for (size_t i = 0; argc == 1 && i < sizeof(samples) / sizeof(*samples); i++) {
		glob_t found = { 0 };

		if (!glob(samples[i], 0, NULL, &found)) {
			measure(found.gl_pathv[0], UNWIND_CALL_SITES);
			measure(found.gl_pathv[0], UNWIND_FULL);
		}
		globfree(&found);
	}
	return 0;
}
