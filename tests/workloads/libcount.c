// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A preloaded second opinion: counts every call and byte of the malloc
 * family of any program, under the rules of books.h, so that a profiler's
 * totals for the same run can be compared with it.
 *
 * The counters lie in a file mapped shared ($COUNT_OUT/PID.N, struct counts),
 * one file for each program image and each forked child, and each call brings them
 * up to date before the block changes hands. So there is no moment of writing
 * them out, and no window in which exit-time frees, _exit, exec or a signal
 * make them differ from what happened: whatever way the image ends, the file
 * says what it did until then. What remains: a thread that is killed by
 * another between the real malloc and the return to its caller has been counted
 * here and not by a return probe; and a child that vfork made counts in its
 * parent's file, whose memory it shares. Sums over all files hold either way.
 *
 * The C library's own entry points (__libc_malloc, ...) are called, so no
 * dlsym() is needed, nor anything before the first call; what this library
 * needs of the kernel it asks by raw system calls, which no probe on a
 * library function sees.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void *__libc_valloc(size_t n);
void *__libc_pvalloc(size_t n);
void __libc_free(void *p);

/* Calls of each function, in this order. */
#define FUNCTIONS(X) \
	X(malloc) X(calloc) X(realloc) X(reallocarray) X(memalign) X(aligned_alloc) \
	X(posix_memalign) X(valloc) X(pvalloc) X(free)

enum {
#define X(name) CALL_##name,
	FUNCTIONS(X)
#undef X
	CALLS_COUNT
};

/* The file: 64-bit words in this order. */
struct counts {
	uint64_t magic;		/* COUNTS_MAGIC */
	uint64_t pid;
	uint64_t alloc_bytes, alloc_count, free_bytes, free_count;
	uint64_t unknown_free_count, failed_alloc_count;
	uint64_t calls[CALLS_COUNT];
};

#define COUNTS_MAGIC 0x31544e554f434848ULL

static struct counts nowhere;		/* without $COUNT_OUT */
static struct counts *counts;
static char directory[3072];

static void add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* ---- address -> size, in shards, each under a lock of its own ---- */

#define SHARDS 64
#define FIRST_SLOTS 1024

struct slot {
	uintptr_t addr;		/* 0: empty */
	size_t size;
};

static struct shard {
	bool locked;
	size_t cap, used;	/* cap is a power of two, at most half is used */
	struct slot *slots;
} shards[SHARDS];

static void *map_pages(size_t n)
{
	long p = syscall(SYS_mmap, NULL, n, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == -1)
		_exit(121);
	return (void *)p;
}

static size_t hash(uintptr_t addr)
{
	return (addr >> 4) * 0x9e3779b97f4a7c15ULL >> 20;
}

static struct shard *lock_shard(uintptr_t addr)
{
	struct shard *shard = &shards[hash(addr) % SHARDS];

	while (__atomic_test_and_set(&shard->locked, __ATOMIC_ACQUIRE))
		syscall(SYS_sched_yield);
	return shard;
}

static void unlock_shard(struct shard *shard)
{
	__atomic_clear(&shard->locked, __ATOMIC_RELEASE);
}

static size_t home(const struct shard *shard, uintptr_t addr)
{
	return hash(addr) / SHARDS & (shard->cap - 1);
}

static struct slot *find_slot(struct shard *shard, uintptr_t addr)
{
	size_t i = home(shard, addr);

	while (shard->slots[i].addr && shard->slots[i].addr != addr)
		i = (i + 1) & (shard->cap - 1);
	return &shard->slots[i];
}

static void grow_shard(struct shard *shard)
{
	struct slot *old = shard->slots;
	size_t old_cap = shard->cap;

	shard->cap = old_cap ? old_cap * 2 : FIRST_SLOTS;
	shard->slots = map_pages(shard->cap * sizeof(*old));
	for (size_t i = 0; i < old_cap; i++)
		if (old[i].addr)
			*find_slot(shard, old[i].addr) = old[i];
	if (old)
		syscall(SYS_munmap, old, old_cap * sizeof(*old));
}

static void remember(void *p, size_t size)
{
	struct shard *shard = lock_shard((uintptr_t)p);
	struct slot *slot;

	if (shard->used * 2 >= shard->cap)
		grow_shard(shard);
	slot = find_slot(shard, (uintptr_t)p);
	shard->used += !slot->addr;
	*slot = (struct slot){ (uintptr_t)p, size };
	unlock_shard(shard);
}

/* Closes the gap at @i by moving back what probing had pushed past it. */
static void close_gap(struct shard *shard, size_t i)
{
	size_t mask = shard->cap - 1;

	for (size_t j = (i + 1) & mask; shard->slots[j].addr; j = (j + 1) & mask) {
		size_t want = home(shard, shard->slots[j].addr);

		if (((j - want) & mask) >= ((j - i) & mask)) {
			shard->slots[i] = shard->slots[j];
			i = j;
		}
	}
	shard->slots[i].addr = 0;
}

static bool forget(void *p, size_t *size_ret)
{
	struct shard *shard = lock_shard((uintptr_t)p);
	struct slot *slot = shard->cap ? find_slot(shard, (uintptr_t)p) : NULL;
	bool found = slot && slot->addr;

	if (found) {
		*size_ret = slot->size;
		close_gap(shard, slot - shard->slots);
		shard->used--;
	}
	unlock_shard(shard);
	return found;
}

/* ---- the file ---- */

/* The environment is not set up yet when the dynamic linker calls first. */
static void read_directory(void)
{
	static char env[1 << 17];
	int fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/environ", O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	long n;

	if (fd < 0)
		return;
	while ((n = syscall(SYS_read, fd, env + len, sizeof(env) - 1 - len)) > 0)
		len += n;
	syscall(SYS_close, fd);
	for (char *s = env; s < env + len; s += strlen(s) + 1)
		if (!strncmp(s, "COUNT_OUT=", 10) && strlen(s + 10) < sizeof(directory))
			strcpy(directory, s + 10);
}

static struct counts *map_counts(int fd)
{
	long p = -1;

	if (!syscall(SYS_ftruncate, fd, sizeof(struct counts)))
		p = syscall(SYS_mmap, NULL, sizeof(struct counts), PROT_READ | PROT_WRITE,
			    MAP_SHARED, fd, 0);
	syscall(SYS_close, fd);
	return p == -1 ? NULL : (struct counts *)p;
}

static struct counts *create_counts(void)
{
	char path[sizeof(directory) + 64];
	int pid = syscall(SYS_getpid);
	struct counts *fresh;

	for (int n = 0; directory[0] && n < 1000; n++) {
		int fd;

		snprintf(path, sizeof(path), "%s/%d.%d", directory, pid, n);
		fd = syscall(SYS_openat, AT_FDCWD, path,
			     O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0 && errno == EEXIST)
			continue;
		fresh = fd < 0 ? NULL : map_counts(fd);
		if (!fresh)
			_exit(122);	/* better no run than a wrong second opinion */
		fresh->magic = COUNTS_MAGIC;
		fresh->pid = pid;
		return fresh;
	}
	return &nowhere;
}

/* A forked child begins with nothing: its parent's blocks are unknown to it. */
static void begin_child(void)
{
	for (int i = 0; i < SHARDS; i++) {
		shards[i].locked = false;
		shards[i].used = 0;
		memset(shards[i].slots, 0, shards[i].cap * sizeof(struct slot));
	}
	counts = create_counts();
}

/* The first call comes while there is one thread. */
static void begin(void)
{
	int saved = errno;

	if (counts)
		return;
	read_directory();
	counts = create_counts();
	errno = saved;
}

__attribute__((constructor)) static void watch_forks(void)
{
	begin();
	pthread_atfork(NULL, NULL, begin_child);
}

/* ---- the family ---- */

#define CALLED(name)					\
	do {						\
		begin();				\
		add(&counts->calls[CALL_##name], 1);	\
	} while (0)

static void *count_alloc(void *p, size_t n)
{
	if (!p) {
		add(&counts->failed_alloc_count, 1);
		return NULL;
	}
	remember(p, n);
	add(&counts->alloc_bytes, n);
	add(&counts->alloc_count, 1);
	return p;
}

static void count_free(bool known, size_t n)
{
	if (!known) {
		add(&counts->unknown_free_count, 1);
		return;
	}
	add(&counts->free_bytes, n);
	add(&counts->free_count, 1);
}

/* The old block is forgotten first: once it is given up, it may be another's. */
static void *count_realloc(void *p, size_t n)
{
	size_t old_size = 0;
	bool known;
	void *q;

	if (!p)
		return count_alloc(__libc_realloc(NULL, n), n);
	known = forget(p, &old_size);
	q = __libc_realloc(p, n);
	if (q || !n) {
		count_free(known, old_size);
		return q ? count_alloc(q, n) : NULL;
	}
	if (known)
		remember(p, old_size);
	return count_alloc(NULL, n);
}

void *malloc(size_t n)
{
	CALLED(malloc);
	return count_alloc(__libc_malloc(n), n);
}

void *calloc(size_t count, size_t n)
{
	CALLED(calloc);
	return count_alloc(__libc_calloc(count, n), count * n);
}

void *realloc(void *p, size_t n)
{
	CALLED(realloc);
	return count_realloc(p, n);
}

void *reallocarray(void *p, size_t count, size_t n)
{
	size_t bytes;

	CALLED(reallocarray);
	if (__builtin_mul_overflow(count, n, &bytes)) {
		errno = ENOMEM;
		return count_alloc(NULL, 0);
	}
	return count_realloc(p, bytes);
}

void *memalign(size_t align, size_t n)
{
	CALLED(memalign);
	return count_alloc(__libc_memalign(align, n), n);
}

void *aligned_alloc(size_t align, size_t n)
{
	CALLED(aligned_alloc);
	return count_alloc(__libc_memalign(align, n), n);
}

int posix_memalign(void **ret, size_t align, size_t n)
{
	void *p;

	CALLED(posix_memalign);
	if (align % sizeof(void *) || !align || (align & (align - 1))) {
		count_alloc(NULL, n);
		return EINVAL;
	}
	p = count_alloc(__libc_memalign(align, n), n);
	if (!p)
		return ENOMEM;
	*ret = p;
	return 0;
}

void *valloc(size_t n)
{
	CALLED(valloc);
	return count_alloc(__libc_valloc(n), n);
}

void *pvalloc(size_t n)
{
	CALLED(pvalloc);
	return count_alloc(__libc_pvalloc(n), n);
}

void free(void *p)
{
	size_t n = 0;
	bool known;

	CALLED(free);
	if (!p)
		return;
	known = forget(p, &n);
	count_free(known, n);
	__libc_free(p);
}
