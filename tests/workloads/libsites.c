// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * To be preloaded: books of a program that keeps none. What lives is counted by
 * the return address of the call that allocated it, from SIGUSR1 on; SIGUSR2
 * writes "PC BYTES COUNT KEPT KEPT_COUNT" lines to the file $SITES_OUT, where
 * kept is what lived at SIGURG already, and lives. Chunks are as they would be
 * without, for blocks are noted beside the heap. A program that would end makes the
 * file $SITES_END, if that is named, and stays as it is.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS (1u << 22)
#define SITES (1u << 14)

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

struct slot { uintptr_t addr; uint32_t size, site : 30, old : 1, kept : 1; };
struct site { uintptr_t pc; long bytes, count, kept, kept_count; };

static struct slot *slots;
static struct site sites[SITES];
static volatile int busy, wanted;

static void lock(void)
{
	while (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void write_sites(void)
{
	int fd = open(getenv("SITES_OUT") ?: "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	char line[96];

	for (struct site *s = sites; s < sites + SITES; s++)
		if (s->pc && (s->bytes || s->count)) {
			int len = snprintf(line, sizeof(line), "%lx %ld %ld %ld %ld\n",
					   (unsigned long)s->pc, s->bytes, s->count,
					   s->kept, s->kept_count);

			if (write(fd, line, (size_t)len) != len)
				break;
		}
	if (write(fd, "end\n", 4) != 4)
		_exit(121);
	close(fd);
}

static void keep_what_lives(void)
{
	for (struct slot *s = slots; slots && s < slots + SLOTS; s++)
		s->kept = s->addr && !s->old;
	for (struct site *s = sites; s < sites + SITES; s++) {
		s->kept = s->bytes;
		s->kept_count = s->count;
	}
}

static void answer(void)
{
	int what = __atomic_exchange_n(&wanted, 0, __ATOMIC_ACQ_REL);

	if (what == SIGUSR2)
		write_sites();
	if (what == SIGURG)
		keep_what_lives();
	if (what != SIGUSR1)
		return;
	for (struct slot *s = slots; slots && s < slots + SLOTS; s++)
		s->old = s->addr != 0;
	for (struct site *s = sites; s < sites + SITES; s++)
		s->bytes = s->count = s->kept = s->kept_count = 0;
}

static void unlock(void)
{
	if (wanted)
		answer();
	__atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}

/* If the books are being written, whoever does that answers. */
static void on_signal(int sig)
{
	wanted = sig;
	if (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE))
		return;
	unlock();
}

__attribute__((constructor)) static void listen_for_signals(void)
{
	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, on_signal);
	signal(SIGURG, on_signal);
}

__attribute__((destructor)) static void stay(void)
{
	const char *end = getenv("SITES_END");

	if (!end || open(end, O_WRONLY | O_CREAT, 0644) < 0)
		return;
	for (;;)
		pause();
}

static uint32_t site_of(uintptr_t pc)
{
	uint32_t i = (uint32_t)(pc * 0x9e3779b97f4a7c15u >> 40) % SITES;

	while (sites[i].pc && sites[i].pc != pc)
		i = (i + 1) % SITES;
	sites[i].pc = pc;
	return i;
}

static struct slot *slot_of(uintptr_t addr)
{
	uint32_t i = (uint32_t)(addr * 0x9e3779b97f4a7c15u >> 40) % SLOTS;

	while (slots[i].addr && slots[i].addr != addr)
		i = (i + 1) % SLOTS;
	return &slots[i];
}

static void *born(void *p, size_t size, void *pc)
{
	struct slot *slot;

	if (!p)
		return p;
	lock();
	if (!slots)
		slots = mmap(NULL, SLOTS * sizeof(*slots), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	slot = slot_of((uintptr_t)p);
	*slot = (struct slot){ (uintptr_t)p, (uint32_t)size, site_of((uintptr_t)pc), 0, 0 };
	sites[slot->site].bytes += (long)size;
	sites[slot->site].count++;
	unlock();
	return p;
}

static void died(void *p)
{
	struct slot *slot;

	if (!p || !slots)
		return;
	lock();
	slot = slot_of((uintptr_t)p);
	/* The place stays taken, for the same address. */
	if (slot->addr && !slot->old) {
		sites[slot->site].bytes -= slot->size;
		sites[slot->site].count--;
	}
	if (slot->addr && slot->kept) {
		sites[slot->site].kept -= slot->size;
		sites[slot->site].kept_count--;
	}
	slot->old = 1;
	slot->kept = 0;
	unlock();
}

void *malloc(size_t size)
{
	return born(__libc_malloc(size), size, __builtin_return_address(0));
}

void *calloc(size_t count, size_t size)
{
	return born(__libc_calloc(count, size), count * size, __builtin_return_address(0));
}

void *realloc(void *old, size_t size)
{
	void *p;

	died(old);
	p = __libc_realloc(old, size);
	return born(p, size, __builtin_return_address(0));
}

void *memalign(size_t alignment, size_t size)
{
	return born(__libc_memalign(alignment, size), size, __builtin_return_address(0));
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return born(__libc_memalign(alignment, size), size, __builtin_return_address(0));
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	*ret = born(__libc_memalign(alignment, size), size, __builtin_return_address(0));
	return *ret ? 0 : 12;
}

void free(void *p)
{
	died(p);
	__libc_free(p);
}
