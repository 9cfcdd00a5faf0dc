// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Makes memory resident in one way and gives some of it back: "growth KIND". The
 * books are {"site", "resident", "mapped", "back", "kind"}: what the function @site
 * still holds resident and mapped when the work is done, and what it gave back by
 * which kind of event.
 */
#include <malloc.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define SIZE (32 * MIB)
#define PAGE 4096ul
#define THREADS 16
#define STACK_EACH (2 * MIB)
#define SMALL 1000ul

#define NOINLINE __attribute__((noinline, noclone))

struct books {
	const char *site;
	size_t resident, mapped, back;
	const char *kind;
};

static char *before;		/* what was there before the watch */
static char **blocks;
static size_t blocks_count;
static pthread_barrier_t grown;
static pid_t child;

static inline __attribute__((always_inline)) void touch(volatile char *p, size_t n)
{
	for (size_t i = 0; i < n; i += PAGE)
		p[i] = 1;
}

static inline __attribute__((always_inline)) void *map(size_t n, int flags, int fd)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static NOINLINE struct books leak_mmap(void)
{
	touch(map(SIZE, ANON, -1), SIZE);
	return (struct books){ __func__, SIZE, SIZE, 0, NULL };
}

/* Mapped and never used: that is no resident memory. */
static NOINLINE struct books reserve(void)
{
	char *p = map(8 * SIZE, ANON, -1);

	touch(p, SIZE);
	return (struct books){ __func__, SIZE, 8 * SIZE, 0, NULL };
}

static NOINLINE struct books leak_brk(void)
{
	touch(sbrk((intptr_t)SIZE), SIZE);
	return (struct books){ __func__, SIZE, SIZE, 0, NULL };
}

static NOINLINE struct books shrink_brk(void)
{
	touch(sbrk((intptr_t)SIZE), SIZE);
	sbrk(-(intptr_t)(SIZE / 2));
	return (struct books){ __func__, SIZE / 2, SIZE / 2, SIZE / 2, "brk" };
}

static NOINLINE struct books unmap(void)
{
	char *p = map(SIZE, ANON, -1);

	touch(p, SIZE);
	munmap(p, SIZE);
	return (struct books){ __func__, 0, 0, SIZE, "munmap" };
}

static NOINLINE struct books dontneed(void)
{
	char *p = map(SIZE, ANON, -1);

	touch(p, SIZE);
	madvise(p + SIZE / 4, SIZE / 2, MADV_DONTNEED);
	return (struct books){ __func__, SIZE / 2, SIZE, SIZE / 2, "madv_dontneed" };
}

/* Nobody is short of memory, so the pages stay. */
static NOINLINE struct books lazy_free(void)
{
	char *p = map(SIZE, ANON, -1);

	touch(p, SIZE);
	madvise(p, SIZE / 2, MADV_FREE);
	return (struct books){ __func__, SIZE, SIZE, SIZE / 2, "madv_free" };
}

static NOINLINE struct books refault(void)
{
	char *p = map(SIZE, ANON, -1);

	touch(p, SIZE);
	madvise(p, SIZE, MADV_DONTNEED);
	touch(p, SIZE / 2);
	return (struct books){ __func__, SIZE / 2, SIZE, SIZE / 2, "refault" };
}

static NOINLINE struct books grow_mremap(void)
{
	char *p = map(SIZE / 8, ANON, -1);

	touch(p, SIZE / 8);
	p = mremap(p, SIZE / 8, SIZE, MREMAP_MAYMOVE);
	touch(p + SIZE / 8, SIZE - SIZE / 8);
	return (struct books){ __func__, SIZE, SIZE, 0, NULL };
}

static NOINLINE struct books shrink_mremap(void)
{
	char *p = map(SIZE, ANON, -1);

	touch(p, SIZE);
	mremap(p, SIZE, SIZE / 4, 0);
	return (struct books){ __func__, SIZE / 4, SIZE / 4, SIZE - SIZE / 4, "mremap" };
}

/* As Go, musl and allocators do: without the C library. */
static NOINLINE struct books raw_calls(void)
{
	char *p = (char *)syscall(SYS_mmap, NULL, SIZE, PROT_READ | PROT_WRITE, ANON, -1, 0);

	touch(p, SIZE);
	syscall(SYS_madvise, p, SIZE / 4, MADV_DONTNEED);
	return (struct books){ __func__, SIZE - SIZE / 4, SIZE, SIZE / 4, "madv_dontneed" };
}

static int temporary_file(size_t size)
{
	char name[] = "growth-XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0 || unlink(name) || ftruncate(fd, (off_t)size))
		abort();
	return fd;
}

static NOINLINE struct books map_file(void)
{
	touch(map(SIZE, MAP_SHARED, temporary_file(SIZE)), SIZE);
	return (struct books){ __func__, SIZE, SIZE, 0, NULL };
}

/* What the kernel maps around a page that is read is counted as well. */
static NOINLINE struct books read_file(void)
{
	int fd = temporary_file(SIZE);
	volatile char *p;

	for (size_t i = 0; i < SIZE; i += PAGE)
		if (pwrite(fd, "x", 1, (off_t)i) != 1)
			abort();
	p = map(SIZE, MAP_SHARED, fd);
	for (size_t i = 0; i < SIZE; i += PAGE)
		(void)p[i];
	return (struct books){ __func__, SIZE, SIZE, 0, NULL };
}

static NOINLINE struct books share(void)
{
	touch(map(SIZE, MAP_SHARED | MAP_ANONYMOUS, -1), SIZE);
	return (struct books){ __func__, SIZE, SIZE, 0, NULL };
}

/* Memory that is only read is one page of zeros. */
static NOINLINE struct books read_zeros(void)
{
	volatile char *p = map(SIZE, ANON, -1);

	for (size_t i = 0; i < SIZE; i += PAGE)
		(void)p[i];
	touch(p, SIZE / 2);
	return (struct books){ __func__, SIZE / 2, SIZE, 0, NULL };
}

/* The kernel touches it for the program. */
static NOINLINE struct books read_into(void)
{
	char *p = map(SIZE, ANON, -1);
	int fd = open("/dev/zero", O_RDONLY);

	for (size_t i = 0; i < SIZE; i += MIB)
		if (read(fd, p + i, MIB) != (ssize_t)MIB)
			abort();
	return (struct books){ __func__, SIZE, SIZE, 0, NULL };
}

static NOINLINE struct books populate(void)
{
	map(SIZE, ANON | MAP_POPULATE, -1);
	return (struct books){ __func__, SIZE, SIZE, 0, NULL };
}

static NOINLINE struct books huge(void)
{
	char *p = map(SIZE + 2 * MIB, ANON, -1);

	p += -(size_t)p % (2 * MIB);
	madvise(p, SIZE, MADV_HUGEPAGE);
	touch(p, SIZE);
	return (struct books){ __func__, SIZE, SIZE + 2 * MIB, 0, NULL };
}

/* Pages of both sizes: the kernel fills what is aligned, and the ends one by one. */
static NOINLINE struct books huge_within(void)
{
	char *p = map(SIZE + 2 * MIB, ANON, -1);

	p += -(size_t)p % (2 * MIB) + MIB / 2;
	madvise(p, SIZE, MADV_HUGEPAGE);
	touch(p, SIZE);
	return (struct books){ __func__, SIZE, SIZE + 2 * MIB, 0, NULL };
}

static NOINLINE void *grow_stack(void *arg)
{
	char deep[STACK_EACH];

	touch(deep, sizeof(deep));
	pthread_barrier_wait(&grown);
	pause();
	return arg;
}

static struct books thread_stacks(void)
{
	pthread_t thread;

	pthread_barrier_init(&grown, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, grow_stack, NULL))
			abort();
	pthread_barrier_wait(&grown);
	return (struct books){ "grow_stack", THREADS * STACK_EACH, 0, 0, NULL };
}

/* What the allocator gets from the kernel, and what it gives back when told. */
static NOINLINE struct books trim(void)
{
	blocks_count = SIZE / (SMALL + 8);
	for (size_t i = 0; i < blocks_count; i++) {
		blocks[i] = malloc(SMALL);
		memset(blocks[i], 1, SMALL);
	}
	for (size_t i = 0; i < blocks_count; i++)
		free(blocks[i]);
	malloc_trim(0);
	return (struct books){ __func__, 0, 0, SIZE, "malloc_trim" };
}

/* A thread's arena grows by mprotect and shrinks by madvise or munmap. */
static NOINLINE void *use_arena(void *arg)
{
	for (size_t i = 0; i < blocks_count; i++) {
		blocks[i] = malloc(SMALL);
		memset(blocks[i], 1, SMALL);
	}
	return arg;
}

static struct books arena(void)
{
	pthread_t thread;

	blocks_count = SIZE / (SMALL + 8);
	if (pthread_create(&thread, NULL, use_arena, NULL) || pthread_join(thread, NULL))
		abort();
	return (struct books){ "use_arena", SIZE, SIZE, 0, NULL };
}

static NOINLINE void write_copies(void)
{
	touch(before, SIZE);
	pause();
}

/* Copies of what the parent had are the child's. */
static struct books copy_on_write(void)
{
	bool done;

	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		write_copies();
	}
	/* Until the last page is the child's own. */
	do {
		char name[64];
		FILE *f;
		unsigned long dirty = 0;
		char line[256];

		snprintf(name, sizeof(name), "/proc/%d/smaps_rollup", child);
		f = fopen(name, "r");
		while (f && fgets(line, sizeof(line), f))
			sscanf(line, "Private_Dirty: %lu", &dirty);
		if (f)
			fclose(f);
		done = dirty * 1024 >= SIZE;
		usleep(10000);
	} while (!done);
	return (struct books){ "write_copies", SIZE, 0, 0, NULL };
}

static void have_memory(void)
{
	before = map(SIZE, ANON, -1);
	touch(before, SIZE);
}

static const struct kind {
	const char *name;
	void (*prepare)(void);
	struct books (*work)(void);
} kinds[] = {
	{ "mmap", NULL, leak_mmap },
	{ "reserve", NULL, reserve },
	{ "brk", NULL, leak_brk },
	{ "brk-shrink", NULL, shrink_brk },
	{ "munmap", NULL, unmap },
	{ "dontneed", NULL, dontneed },
	{ "free", NULL, lazy_free },
	{ "refault", NULL, refault },
	{ "mremap", NULL, grow_mremap },
	{ "mremap-shrink", NULL, shrink_mremap },
	{ "raw", NULL, raw_calls },
	{ "file", NULL, map_file },
	{ "file-read", NULL, read_file },
	{ "shared", NULL, share },
	{ "zeros", NULL, read_zeros },
	{ "read", NULL, read_into },
	{ "populate", NULL, populate },
	{ "huge", NULL, huge },
	{ "huge-within", NULL, huge_within },
	{ "stacks", NULL, thread_stacks },
	{ "trim", NULL, trim },
	{ "arena", NULL, arena },
	{ "cow", have_memory, copy_on_write },
};

static void wait_line(void)
{
	char c;

	while (read(0, &c, 1) == 1)
		if (c == '\n')
			return;
	_exit(0);
}

static void say(const char *line, size_t len)
{
	if (write(1, line, len) != (ssize_t)len)
		abort();
}

static void run(const struct kind *kind)
{
	struct books books;
	char line[256];

	/* What is freed stays with the allocator until it is told otherwise. */
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	blocks = map(SIZE / SMALL * sizeof(*blocks), ANON | MAP_POPULATE, -1);
	if (kind->prepare)
		kind->prepare();
	say(line, (size_t)snprintf(line, sizeof(line), "ready %d\n", getpid()));
	wait_line();
	books = kind->work();
	say(line, (size_t)snprintf(line, sizeof(line),
				   "{\"site\": \"%s\", \"resident\": %zu, \"mapped\": %zu,"
				   " \"back\": %zu, \"kind\": \"%s\"}\n",
				   books.site, books.resident, books.mapped, books.back,
				   books.kind ? books.kind : ""));
	wait_line();
	if (child)
		kill(child, SIGKILL);
	_exit(0);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (argc == 2 && !strcmp(argv[1], kinds[i].name))
			run(&kinds[i]);
	fprintf(stderr, "usage: growth KIND\n");
	return 2;
}
