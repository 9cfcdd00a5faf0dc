// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One kind of memory at a time, of a size that is known: "ledger KIND". The
 * books are {"bytes": N}, what of that kind is resident when the work is done.
 */
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define SMALL 1000ul
#define SMALL_COUNT 32000ul
#define THREADS 16
#define STACK_EACH (2 * MIB)
#define PAGE 4096ul

static char *small[SMALL_COUNT];
static char in_bss[32 * MIB];
static pthread_barrier_t grown;

static void touch(volatile char *p, size_t n)
{
	for (size_t i = 0; i < n; i += PAGE)
		p[i] = 1;
}

static void *map(size_t n, int flags, int fd)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static size_t leak_small(void)
{
	for (size_t i = 0; i < SMALL_COUNT; i++) {
		small[i] = malloc(SMALL);
		memset(small[i], 1, SMALL);
	}
	return SMALL_COUNT * SMALL;
}

static size_t leak_large(void)
{
	for (size_t i = 0; i < 32; i++) {
		small[i] = malloc(MIB);
		memset(small[i], 1, MIB);
	}
	return 32 * MIB;
}

static size_t leak_untouched(void)
{
	small[0] = malloc(256 * MIB);
	return 0;
}

static size_t free_all(void)
{
	for (size_t i = 0; i < SMALL_COUNT; i++)
		free(small[i]);
	return SMALL_COUNT * SMALL;
}

static size_t free_every_other(void)
{
	for (size_t i = 0; i < SMALL_COUNT; i += 2)
		free(small[i]);
	return SMALL_COUNT / 2 * SMALL;
}

static size_t nothing(void)
{
	return SMALL_COUNT * SMALL;
}

static void *grow_stack(void *arg)
{
	char deep[STACK_EACH];

	touch(deep, sizeof(deep));
	pthread_barrier_wait(&grown);
	pause();
	return arg;
}

static size_t thread_stacks(void)
{
	pthread_t thread;

	pthread_barrier_init(&grown, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, grow_stack, NULL))
			abort();
	pthread_barrier_wait(&grown);
	return THREADS * STACK_EACH;
}

static size_t map_anonymous(void)
{
	touch(map(32 * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1), 32 * MIB);
	return 32 * MIB;
}

static size_t map_huge(void)
{
	char *p = map(34 * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	p += -(size_t)p % (2 * MIB);
	madvise(p, 32 * MIB, MADV_HUGEPAGE);
	touch(p, 32 * MIB);
	return 32 * MIB;
}

static size_t map_shared(void)
{
	touch(map(32 * MIB, MAP_SHARED | MAP_ANONYMOUS, -1), 32 * MIB);
	return 32 * MIB;
}

static size_t map_file(void)
{
	char name[] = "ledger-XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0 || unlink(name) || ftruncate(fd, 128 * MIB))
		abort();
	touch(map(128 * MIB, MAP_SHARED, fd), 128 * MIB);
	return 128 * MIB;
}

static size_t fill_bss(void)
{
	touch(in_bss, sizeof(in_bss));
	return sizeof(in_bss);
}

/* A megabyte each ten milliseconds. */
static void grow_by(size_t mib)
{
	for (size_t i = 0; i < mib; i++) {
		char *p = malloc(MIB - 64);

		memset(p, 1, MIB - 64);
		usleep(10000);
	}
}

static size_t grow_and_stop(void)
{
	grow_by(100);
	return 100 * MIB;
}

/* The program's own, behind the allocator's. */
static size_t move_break(void)
{
	char *p = sbrk(32 * MIB);

	touch(p, 32 * MIB);
	return 32 * MIB;
}

static size_t free_lazily(void)
{
	char *p = map(32 * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	touch(p, 32 * MIB);
	madvise(p, 32 * MIB, MADV_FREE);
	return 32 * MIB;
}

/* A child that has half of it for itself, and the other half together with us. */
static size_t fork_and_write(void)
{
	char *p = map(32 * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1), c;
	int fds[2];

	touch(p, 32 * MIB);
	if (pipe(fds))
		abort();
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		touch(p, 16 * MIB);
		if (write(fds[1], "x", 1) != 1)
			abort();
		pause();
	}
	if (read(fds[0], &c, 1) != 1)
		abort();
	return 32 * MIB;
}

static size_t map_and_write_file(void)
{
	char name[] = "ledger-XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0 || unlink(name) || ftruncate(fd, 32 * MIB))
		abort();
	touch(map(32 * MIB, MAP_PRIVATE, fd), 32 * MIB);
	return 32 * MIB;
}

static size_t use_main_stack(void)
{
	char deep[6 * MIB];

	touch(deep, sizeof(deep));
	return sizeof(deep);
}

/* Pages that are free but for their ends: every 32nd block stays. */
static size_t free_most(void)
{
	for (size_t i = 0; i < SMALL_COUNT; i++)
		if (i % 32)
			free(small[i]);
	return 0;
}

static size_t resident(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[256];
	size_t kilobytes = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Rss: %zu", &kilobytes) == 1)
			break;
	return kilobytes << 10;
}

static size_t trim(void)
{
	size_t before = resident();

	malloc_trim(0);
	return before - resident();
}

static void *keep_growing(void *arg)
{
	grow_by(100000);
	return arg;
}

static size_t start_growing(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, keep_growing, NULL))
		abort();
	return 0;
}

static const struct kind {
	const char *name;
	size_t (*before)(void), (*work)(void), (*after)(void);
} kinds[] = {
	{ "small", NULL, leak_small, NULL },
	{ "large", NULL, leak_large, NULL },
	{ "untouched", NULL, leak_untouched, NULL },
	{ "older", leak_small, nothing, NULL },
	{ "top", leak_small, free_all, NULL },
	{ "bins", leak_small, free_every_other, NULL },
	{ "stacks", NULL, thread_stacks, NULL },
	{ "anonymous", NULL, map_anonymous, NULL },
	{ "huge", NULL, map_huge, NULL },
	{ "shared", NULL, map_shared, NULL },
	{ "file", NULL, map_file, NULL },
	{ "bss", NULL, fill_bss, NULL },
	{ "break", NULL, move_break, NULL },
	{ "lazy", NULL, free_lazily, NULL },
	{ "cow", NULL, fork_and_write, NULL },
	{ "dirtied", NULL, map_and_write_file, NULL },
	{ "stack", NULL, use_main_stack, NULL },
	{ "trim", leak_small, free_most, trim },
	{ "plateau", NULL, grow_and_stop, NULL },
	{ "grows", NULL, start_growing, NULL },
};

static void wait_line(void)
{
	char c;

	while (read(0, &c, 1) == 1)
		if (c == '\n')
			return;
	_exit(0);
}

static void run(const struct kind *kind)
{
	char line[64];
	int len;

	/* What is freed stays with the allocator. */
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	if (kind->before)
		kind->before();
	len = snprintf(line, sizeof(line), "ready %d\n", getpid());
	if (write(1, line, (size_t)len) != len)
		abort();
	wait_line();
	len = snprintf(line, sizeof(line), "{\"bytes\": %zu}\n", kind->work());
	if (write(1, line, (size_t)len) != len)
		abort();
	wait_line();
	if (kind->after) {
		len = snprintf(line, sizeof(line), "{\"bytes\": %zu}\n", kind->after());
		if (write(1, line, (size_t)len) != len)
			abort();
		wait_line();
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (argc == 2 && !strcmp(argv[1], kinds[i].name))
			run(&kinds[i]);
	fprintf(stderr, "usage: ledger KIND\n");
	return 2;
}
