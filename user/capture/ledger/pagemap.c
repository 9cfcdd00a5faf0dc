// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading page maps; see pagemap.h. */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "capture/ledger/pagemap.h"

#define KEPT_MAX 64		/* descriptors; those of more processes are opened when read */

static struct kept {
	uint32_t pid;		/* 0: free */
	int fd;
} kept[KEPT_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint64_t zero_frame;	/* 0: not told */

static int open_of(uint32_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/pagemap", pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static size_t read_entries(int fd, uint64_t first, uint64_t *entries, size_t count)
{
	ssize_t got = fd < 0 ? 0 : pread(fd, entries, count * sizeof(*entries),
					 (off_t)(first * sizeof(*entries)));

	return got > 0 ? (size_t)got / sizeof(*entries) : 0;
}

/* With pid 0, a free place. */
static struct kept *place_of(uint32_t pid)
{
	for (int i = 0; i < KEPT_MAX; i++)
		if (kept[i].pid == pid)
			return &kept[i];
	return NULL;
}

static size_t read_kept(uint32_t pid, uint64_t first, uint64_t *entries, size_t count)
{
	const struct kept *k;
	size_t got = 0;

	pthread_mutex_lock(&lock);
	k = place_of(pid);
	if (k)
		got = read_entries(k->fd, first, entries, count);
	pthread_mutex_unlock(&lock);
	return got;
}

size_t pagemap_read(uint32_t pid, uint64_t first, uint64_t *entries, size_t count)
{
	size_t got = read_kept(pid, first, entries, count);
	__cleanup_close int fd = -1;

	/* After exec what was kept is of a memory that is gone. */
	if (!got) {
		fd = open_of(pid);
		got = read_entries(fd, first, entries, count);
	}
	return got;
}

/* Its frame is that of a page of ours which was only read. */
static void find_zero_frame(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	volatile char *memory = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t entry;

	if (memory == MAP_FAILED)
		return;
	(void)*memory;
	if (pagemap_read((uint32_t)getpid(), (uintptr_t)memory / page, &entry, 1) == 1 &&
	    entry & PAGEMAP_PRESENT)
		zero_frame = entry & PAGEMAP_FRAME;
	munmap((void *)memory, page);
}

void pagemap_begin(void)
{
	pthread_once(&once, find_zero_frame);
}

bool pagemap_is_resident(uint64_t entry)
{
	pagemap_begin();
	return entry & PAGEMAP_PRESENT &&
	       (!zero_frame || (entry & PAGEMAP_FRAME) != zero_frame);
}

void pagemap_keep(uint32_t pid)
{
	struct kept *k;

	pagemap_forget(pid);
	pthread_mutex_lock(&lock);
	k = place_of(0);
	if (k) {
		k->fd = open_of(pid);
		k->pid = k->fd < 0 ? 0 : pid;
	}
	pthread_mutex_unlock(&lock);
}

void pagemap_forget(uint32_t pid)
{
	struct kept *k;

	pthread_mutex_lock(&lock);
	k = place_of(pid);
	if (k) {
		close(k->fd);
		k->pid = 0;
	}
	pthread_mutex_unlock(&lock);
}
