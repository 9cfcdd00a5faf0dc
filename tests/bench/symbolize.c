// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What naming 100,000 distinct addresses takes, in random order, with source
 * lines and inlined functions: of the file named on the command line or by
 * $HEAPSONDE_BENCH_DWARF, or of the largest DWARF that is here. The kernel's
 * debug file is a large one (Debian: linux-image-*-amd64-dbg holds vmlinux;
 * it is not installed for this); else it may be that of a library.
 */
#include <fcntl.h>
#include <glob.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "symbol/dwarf_lines.h"
#include "symbol/elfread.h"
#include "symbol/object.h"

#define ADDRESSES 100000

static const char *const places[] = {
	"/usr/lib/debug/boot/vmlinux-*",
	"/usr/lib/debug/lib/modules/*/vmlinux",
	"/usr/lib/debug/.build-id/*/*.debug",
	"/usr/lib/debug/usr/bin/*",
	"/usr/lib/debug/usr/lib/*/*",
	"/usr/bin/*-dbg*",
	"build/heapsonde",
};

static uint64_t dwarf_bytes(const char *path)
{
	__cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	__cleanup_elf Elf *elf = fd < 0 ? NULL : elfread_open(fd);
	uint64_t bytes = 0;
	Elf_Scn *scn = NULL;
	size_t names;

	if (!elf || elf_getshdrstrndx(elf, &names))
		return 0;
	while ((scn = elf_nextscn(elf, scn))) {
		const Elf64_Shdr *shdr = elf64_getshdr(scn);
		const char *name = elf_strptr(elf, names, shdr->sh_name);

		if (name && !strncmp(name, ".debug_", 7))
			bytes += shdr->sh_size;
	}
	return bytes;
}

static char *largest(void)
{
	char *best = NULL;
	uint64_t best_bytes = 0;

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		glob_t found = { 0 };

		glob(places[i], 0, NULL, &found);
		for (size_t k = 0; k < found.gl_pathc; k++) {
			uint64_t bytes = dwarf_bytes(found.gl_pathv[k]);

			if (bytes <= best_bytes)
				continue;
			free(best);
			best = strdup(found.gl_pathv[k]);
			best_bytes = bytes;
		}
		globfree(&found);
	}
	return best;
}

static uint64_t random_number(void)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

/* Addresses within functions, each once, in random order. */
static size_t choose(struct object *obj, uint64_t *ret)
{
	const struct object_symbol *symbols;
	size_t count = object_symbols(obj, &symbols), chosen = 0;
	uint64_t total = 0, step, skip = 0;

	for (size_t i = 0; i < count; i++)
		if (!i || symbols[i].vaddr != symbols[i - 1].vaddr)
			total += symbols[i].size;
	step = total / ADDRESSES ?: 1;
	for (size_t i = 0; i < count; i++) {
		if (i && symbols[i].vaddr == symbols[i - 1].vaddr)
			continue;
		for (; skip < symbols[i].size && chosen < ADDRESSES; skip += step)
			ret[chosen++] = symbols[i].vaddr + skip;
		skip -= symbols[i].size;
	}
	for (size_t i = chosen; i > 1; i--) {
		size_t k = random_number() % i;
		uint64_t kept = ret[k];

		ret[k] = ret[i - 1];
		ret[i - 1] = kept;
	}
	return chosen;
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static double rss_mb(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss / 1024.0;
}

static void name_all(struct object *obj, const uint64_t *vaddrs, size_t count)
{
	size_t named = 0, with_line = 0, frames = 0;
	double start = now_s();

	for (size_t i = 0; i < count; i++) {
		const struct object_symbol *sym = object_find_symbol(obj, vaddrs[i]);
		const struct source_frame *sources;
		size_t n = object_source_frames(obj, vaddrs[i], &sources);

		named += sym && object_demangle(obj, sym);
		with_line += n && sources[0].line;
		frames += n ? n : 1;
	}
	start = now_s() - start;
	printf("bench symbolize_%zu_addresses %.2f s <=10\n", count, start);
	printf("bench symbolize_per_address %.1f us\n", start / count * 1e6);
	printf("bench symbolize_with_function %.1f %%\n", 100.0 * named / count);
	printf("bench symbolize_with_line %.1f %%\n", 100.0 * with_line / count);
	printf("bench symbolize_frames %.2f per_address\n", (double)frames / count);
}

int main(int argc, char **argv)
{
	const char *named = argc > 1 ? argv[1] : getenv("HEAPSONDE_BENCH_DWARF");
	__cleanup_free char *path = named ? strdup(named) : largest();
	static uint64_t vaddrs[ADDRESSES];
	struct object *obj;
	struct error *err;
	double before;
	size_t count;

	if (!path)
		return 1;
	err = object_create(open(path, O_RDONLY | O_CLOEXEC), path, &obj);
	if (err) {
		fprintf(stderr, "symbolize: %s\n", err->message);
		return 1;
	}
	printf("%s\n", path);
	printf("bench symbolize_dwarf %.1f MB\n", dwarf_bytes(path) / 1e6);
	before = now_s();
	count = choose(obj, vaddrs);
	printf("bench symbolize_symbol_table %.2f s\n", now_s() - before);
	name_all(obj, vaddrs, count);
	printf("bench symbolize_max_rss %.0f MB\n", rss_mb());
	object_destroy(obj);
	return 0;
}
