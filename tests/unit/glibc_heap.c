// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The census of a child's heap against the child's own mallinfo2(): to the
 * byte, because the child sleeps while it is looked at.
 */
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/procfs.h"
#include "capture/ledger/glibc_heap.h"
#include "tests/unit/test.h"

#define CHILD_BLOCKS 5000

/* What the child says of itself: the C library's books of its heap. */
struct books { struct mallinfo2 info; };

static struct glibc_heap_census census;
static int64_t parts_rss;

/*
 * Words of our own data, before the C library's: where an arena has its top chunk, a
 * bin, its next arena and the bytes it has of the system, there are numbers like these.
 */
static uint64_t like_an_arena[275] = { 1 };

static void look_like_an_arena(void *block)
{
	like_an_arena[0x60 / 8] = ((uintptr_t)block + 16) & ~15ull;
	like_an_arena[0x70 / 8] = (uintptr_t)block & ~7ull;
	like_an_arena[0x870 / 8] = (uintptr_t)like_an_arena;
	like_an_arena[0x888 / 8] = UINT64_MAX;
}

static void *scatter(void *arg)
{
	void **blocks = calloc(CHILD_BLOCKS, sizeof(*blocks));
	unsigned int seed = 7;

	for (int i = 0; i < CHILD_BLOCKS; i++) {
		seed = seed * 1103515245 + 12345;
		blocks[i] = malloc(16 + (seed >> 16) % 3000);
		memset(blocks[i], 1, 16);
	}
	/* More than the thread's cache takes, so that bins and fast bins fill too. */
	for (int i = 0; i < CHILD_BLOCKS; i += 3)
		free(blocks[i]);
	return blocks;
}

static void hold_small(void)
{
	void *small[400];

	for (int i = 0; i < 400; i++)
		small[i] = malloc(40);
	for (int i = 0; i < 400; i++)
		free(small[i]);
}

static pthread_barrier_t scattered;

static void *scatter_and_stay(void *arg)
{
	void *blocks = scatter(arg);

	hold_small();
	pthread_barrier_wait(&scattered);
	pause();
	return blocks;
}

static void be_looked_at(int to, int threads)
{
	struct books books;
	pthread_t thread;
	char *large;

	pthread_barrier_init(&scattered, NULL, (unsigned int)threads + 1);
	for (int i = 0; i < threads; i++)
		pthread_create(&thread, NULL, scatter_and_stay, NULL);
	look_like_an_arena(scatter(NULL));
	large = malloc(5 << 20);
	memset(large, 1, 1 << 20);
	/* After the large one, for which fast bins are emptied. */
	hold_small();
	pthread_barrier_wait(&scattered);
	books.info = mallinfo2();
	if (write(to, &books, sizeof(books)) != sizeof(books))
		_exit(1);
	pause();
	_exit(large[0]);
}

/* Their names lie in @text. */
static void read_maps(pid_t pid, struct strbuf *text, struct smaps_entry_vec *maps)
{
	check_int(procfs_read((uint32_t)pid, "smaps", text), 0);
	smaps_parse(text->data, maps);
	check(maps->len > 10);
}

static void look_at(pid_t pid)
{
	__cleanup(smaps_entry_vec_deinit) struct smaps_entry_vec maps = { 0 };
	struct strbuf text __cleanup_strbuf = { 0 };
	int64_t *parts __cleanup_free = NULL;

	read_maps(pid, &text, &maps);
	parts = xcalloc(maps.len, sizeof(*parts));
	check(glibc_heap_read((uint32_t)pid, &maps, parts, NULL, &census));
	parts_rss = 0;
	for (size_t i = 0; i < maps.len; i++) {
		parts_rss += parts[i];
		check(parts[i] <= maps.data[i].rss);
	}
}

static void compare(int threads)
{
	const struct chunk_sum *use = census.use;
	struct books books;
	int fds[2];
	pid_t pid;
	ssize_t got;

	need_glibc_malloc();
	check(!pipe(fds));
	pid = fork();
	if (!pid)
		be_looked_at(fds[1], threads);
	got = read(fds[0], &books, sizeof(books));
	if (got == sizeof(books))
		look_at(pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fds[0]);
	close(fds[1]);
	check_int(got, sizeof(books));

	check_int(census.unknown_resident, 0);
	check_int(use[CHUNK_FAST].bytes, books.info.fsmblks);
	check_int(use[CHUNK_FREE].bytes + use[CHUNK_FAST].bytes + use[CHUNK_TOP].bytes,
		  books.info.fordblks);
	check_int(use[CHUNK_IN_USE].bytes + use[CHUNK_TCACHE].bytes + use[CHUNK_ADMIN].bytes,
		  books.info.uordblks);
	check_int(use[CHUNK_MAPPED].count, books.info.hblks);
	check_int(use[CHUNK_MAPPED].bytes, books.info.hblkhd);
}

static int64_t resident_of_all(void)
{
	int64_t sum = census.unknown_resident;

	for (int use = 0; use < CHUNK_USES_COUNT; use++)
		sum += census.use[use].resident;
	return sum;
}

TEST(main_arena_as_mallinfo)
{
	compare(0);
	check(census.use[CHUNK_TCACHE].count > 50);
	check(census.use[CHUNK_FAST].count > 100);
	check(census.use[CHUNK_IN_USE].count >= CHILD_BLOCKS * 2 / 3);
	check(census.use[CHUNK_MAPPED].count >= 1);
	check_int(resident_of_all(), parts_rss);
}

TEST(thread_arenas_as_mallinfo)
{
	compare(3);
	check(census.heaps >= 2);
	check(census.use[CHUNK_IN_USE].count >= 4 * CHILD_BLOCKS * 2 / 3);
	check_int(resident_of_all(), parts_rss);
}

/* 1 MiB of the 5 was touched, and its header's page is the first of it. */
TEST(untouched_is_not_resident)
{
	compare(0);
	check(census.use[CHUNK_MAPPED].bytes >= 5 << 20);
	check(census.use[CHUNK_MAPPED].resident < 2 << 20);
	check(census.use[CHUNK_MAPPED].resident >= 1 << 20);
}

TEST(classes_are_what_is_in_use)
{
	int64_t count = 0, bytes = 0;

	compare(1);
	for (int i = 0; i < CHUNK_CLASSES; i++) {
		count += census.classes[i].count;
		bytes += census.classes[i].bytes;
		check(census.classes[i].bytes <= census.classes[i].count * (16ll << i));
	}
	check_int(count, census.use[CHUNK_IN_USE].count + census.use[CHUNK_MAPPED].count);
	check_int(bytes, census.use[CHUNK_IN_USE].bytes + census.use[CHUNK_MAPPED].bytes);
}

/* As much as a mapping of the heap has room for many times over; each time it is told to. */
static void grow_when_told(int from, int to)
{
	char word;

	scatter(NULL);
	while (read(from, &word, 1) == 1) {
		struct books books;

		for (int i = 0; i < CHILD_BLOCKS; i++)
			memset(malloc(4000), 1, 4000);
		books.info = mallinfo2();
		if (write(to, &books, sizeof(books)) != sizeof(books))
			_exit(1);
	}
	_exit(0);
}

/* Who allocates without pause has grown by the time that its arena is looked for. */
TEST(heap_that_grew_since_its_mappings_were_read)
{
	__cleanup(smaps_entry_vec_deinit) struct smaps_entry_vec maps = { 0 };
	struct strbuf text __cleanup_strbuf = { 0 };
	int64_t *parts __cleanup_free = NULL;
	int order[2], answer[2];
	struct books books = { 0 };
	pid_t pid;

	need_glibc_malloc();
	check(!pipe(order) && !pipe(answer));
	pid = fork();
	if (!pid) {
		close(order[1]);
		grow_when_told(order[0], answer[1]);
	}
	check_int(write(order[1], "", 1), 1);
	check_int(read(answer[0], &books, sizeof(books)), sizeof(books));
	read_maps(pid, &text, &maps);
	check_int(write(order[1], "", 1), 1);
	check_int(read(answer[0], &books, sizeof(books)), sizeof(books));
	parts = xcalloc(maps.len, sizeof(*parts));
	check(glibc_heap_read((uint32_t)pid, &maps, parts, NULL, &census));
	close(order[1]);
	waitpid(pid, NULL, 0);
	check_int(census.unknown_resident, 0);
	check_int(census.use[CHUNK_IN_USE].bytes + census.use[CHUNK_TCACHE].bytes +
		  census.use[CHUNK_ADMIN].bytes, books.info.uordblks);
}
