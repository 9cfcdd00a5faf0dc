// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The census of a heap that four threads tear at. What they hold for good lies in
 * size classes of its own, so that each census must find exactly that in them,
 * however torn the rest is; and what comes and goes is at most what they ever hold.
 * Blocks are filled with what looks like headers of other chunks.
 */
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/procfs.h"
#include "capture/ledger/glibc_heap.h"
#include "tests/unit/test.h"

#define THREADS 4
#define KEPT 12000		/* each thread, of each of the two kept sizes */
#define SLOTS 300		/* blocks that come and go, each thread */
#define CENSUSES 25

/* Class of chunks up to 128 and up to 1024 bytes: kept blocks only. */
#define KEPT_SMALL 100
#define KEPT_LARGE 700
#define CLASS_SMALL 3
#define CLASS_LARGE 6

static const size_t come_and_go[] = { 24, 40, 200, 300, 450, 1500, 2000, 5000, 9000, 20000 };

struct shared { volatile int stop, busy; };
static struct shared *shared;
static pthread_barrier_t ready;

static unsigned int next(unsigned int *seed)
{
	return (*seed = *seed * 1103515245 + 12345) >> 8;
}

/* Sizes of other chunks at every place where a header might be looked for. */
static void fill(void *block, size_t n, unsigned int seed)
{
	static const uint64_t looks[] = { 0x71, 0x31, 0x20, 0x41, 0x3f1, 0x2c1, 0x21, 0x1001 };
	uint64_t *words = block;

	for (size_t i = 0; i < n / 8; i++)
		words[i] = looks[(seed + i / 2) % 8];
}

static void churn(unsigned int seed)
{
	static const size_t sizes = sizeof(come_and_go) / sizeof(come_and_go[0]);
	void *slots[SLOTS] = { NULL };

	while (!shared->stop) {
		void **slot = &slots[next(&seed) % SLOTS];
		size_t n = come_and_go[next(&seed) % sizes];

		/* No realloc(): it leaves remainders of any size in the thread's cache. */
		free(*slot);
		*slot = malloc(n);
		fill(*slot, n, seed);
	}
}

static void *work(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	for (int i = 0; i < KEPT; i++) {
		fill(malloc(KEPT_SMALL), KEPT_SMALL, seed + (unsigned int)i);
		/* Holes between them, for what comes and goes. */
		if (i % 16 == 0)
			free(malloc(come_and_go[next(&seed) % 10]));
		fill(malloc(KEPT_LARGE), KEPT_LARGE, seed + (unsigned int)i);
	}
	pthread_barrier_wait(&ready);
	while (!shared->busy && !shared->stop)
		usleep(1000);
	churn(seed);
	return NULL;
}

static void be_busy(int to)
{
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	pthread_barrier_init(&ready, NULL, THREADS + 1);
	for (uintptr_t i = 1; i <= THREADS; i++)
		pthread_create(&thread, NULL, work, (void *)i);
	pthread_barrier_wait(&ready);
	if (write(to, "r", 1) != 1)
		_exit(1);
	pause();
	_exit(0);
}

static bool take(pid_t pid, struct glibc_heap_census *ret)
{
	__cleanup(smaps_entry_vec_deinit) struct smaps_entry_vec maps = { 0 };
	struct strbuf text __cleanup_strbuf = { 0 };
	int64_t *parts __cleanup_free = NULL;

	if (procfs_read((uint32_t)pid, "smaps", &text) || !text.len)
		return false;
	smaps_parse(text.data, &maps);
	parts = xcalloc(maps.len, sizeof(*parts));
	return glibc_heap_read((uint32_t)pid, &maps, parts, NULL, ret);
}

static int wrong, unknown, retried;

static void judge(const struct glibc_heap_census *rest, const struct glibc_heap_census *busy)
{
	int64_t most = rest->use[CHUNK_IN_USE].count + THREADS * (SLOTS + 64 * 7);

	retried += busy->retries > 0;
	if (busy->unknown_resident || busy->unfinished) {
		unknown++;
		return;
	}
	if (busy->classes[CLASS_SMALL].count != rest->classes[CLASS_SMALL].count ||
	    busy->classes[CLASS_SMALL].bytes != rest->classes[CLASS_SMALL].bytes ||
	    busy->classes[CLASS_LARGE].count != rest->classes[CLASS_LARGE].count ||
	    busy->classes[CLASS_LARGE].bytes != rest->classes[CLASS_LARGE].bytes) {
		wrong++;
		printf("# %" PRId64 " %" PRId64 " kept, not %" PRId64 " %" PRId64 "\n",
		       busy->classes[CLASS_SMALL].count, busy->classes[CLASS_LARGE].count,
		       rest->classes[CLASS_SMALL].count, rest->classes[CLASS_LARGE].count);
	} else if (busy->use[CHUNK_IN_USE].count > most || busy->use[CHUNK_IN_USE].count <
							   2 * THREADS * KEPT) {
		wrong++;
		printf("# %" PRId64 " in use\n", busy->use[CHUNK_IN_USE].count);
	}
}

static void take_many(pid_t pid)
{
	struct glibc_heap_census rest, busy;

	check(take(pid, &rest));
	check_int(rest.unknown_resident, 0);
	check(rest.classes[CLASS_SMALL].count >= THREADS * KEPT);
	shared->busy = 1;
	for (int i = 0; i < CENSUSES; i++) {
		check(take(pid, &busy));
		judge(&rest, &busy);
	}
}

TEST(exact_while_threads_allocate)
{
	int fds[2];
	char c;
	pid_t pid;

	need_glibc_malloc();
	check(!pipe(fds));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	check(shared != MAP_FAILED);
	pid = fork();
	if (!pid)
		be_busy(fds[1]);
	check(read(fds[0], &c, 1) == 1);
	take_many(pid);
	shared->stop = 1;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	printf("# %d censuses: %d wrong, %d with something unknown, %d with retries\n", CENSUSES,
	       wrong, unknown, retried);
	check_int(wrong, 0);
	check(unknown <= CENSUSES / 10);
}
