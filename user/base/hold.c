// SPDX-License-Identifier: GPL-2.0-or-later
/* Locking our own memory; see hold.h. */
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/hold.h"
#include "base/procfs.h"

#define BLOCKS_MAX 64

/* Taken all at once and given back, it is what malloc() serves from: nothing is trimmed. */
static void reserve(size_t bytes)
{
	void *blocks[BLOCKS_MAX];

	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	mallopt(M_MMAP_THRESHOLD, (int)bytes);
	for (int i = 0; i < BLOCKS_MAX; i++) {
		blocks[i] = xmalloc(bytes / BLOCKS_MAX);
		memset(blocks[i], 1, bytes / BLOCKS_MAX);
	}
	for (int i = 0; i < BLOCKS_MAX; i++)
		free(blocks[i]);
}

/* "start-end perms offset dev inode path": private memory, or code. */
static size_t lock_mapping(const char *line)
{
	unsigned long start, end, inode;
	char perms[5];

	if (sscanf(line, "%lx-%lx %4s %*x %*x:%*x %lu", &start, &end, perms, &inode) != 4 ||
	    perms[3] != 'p' || (perms[2] != 'x' && (perms[1] != 'w' || inode)))
		return 0;
	return mlock2((void *)start, end - start, MLOCK_ONFAULT) ? 0 : end - start;
}

size_t hold_memory(size_t reserve_bytes)
{
	struct strbuf maps __cleanup_strbuf = { 0 };
	size_t locked = 0;
	char *save, *line;

	reserve(reserve_bytes);
	if (procfs_read_self("maps", &maps) || !maps.len)
		return 0;
	for (line = strtok_r(maps.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		locked += lock_mapping(line);
	return locked;
}

void hold_life(int score)
{
	int fd __cleanup_close = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	char was[16] = "", text[16];
	int len = snprintf(text, sizeof(text), "%d", score);

	if (fd < 0 || pread(fd, was, sizeof(was) - 1, 0) <= 0 || atoi(was) <= score)
		return;
	if (pwrite(fd, text, (size_t)len, 0) != len && atoi(was) > 0)
		(void)!pwrite(fd, "0", 1, 0);
}
