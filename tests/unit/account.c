// SPDX-License-Identifier: GPL-2.0-or-later
/* The account and what it is made from: smaps, pages, our own memory. */
#include <sys/mman.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "base/procfs.h"
#include "capture/ledger/account.h"
#include "tests/unit/test.h"

#define PAGE 4096ul

TEST(smaps_fields)
{
	char text[] =
		"55d0c8a00000-55d0c8a21000 rw-p 00000000 00:00 0                          [heap]\n"
		"Size:                132 kB\n"
		"Rss:                 128 kB\n"
		"Pss:                  64 kB\n"
		"Anonymous:           120 kB\n"
		"Swap:                  4 kB\n"
		"VmFlags: rd wr mr mw me ac sd\n"
		"7f0000001000-7f0000003000 r--s 0002a000 fe:1f 262234             /a b (deleted)\n"
		"Rss:                   8 kB\n"
		"7f0000003000-7f0000004000 ---p 00000000 00:00 0 \n"
		"Rss:                   0 kB\n";
	struct smaps_entry_vec maps = { 0 };

	smaps_parse(text, &maps);
	check_int(maps.len, 3);
	check_str(maps.data[0].path, "[heap]");
	check_int(maps.data[0].end - maps.data[0].start, 0x21000);
	check_int(maps.data[0].rss, 128 << 10);
	check_int(maps.data[0].pss, 64 << 10);
	check_int(maps.data[0].anonymous, 120 << 10);
	check_int(maps.data[0].swap, 4 << 10);
	check(maps.data[0].writable && !maps.data[0].shared && !maps.data[0].file);
	check_str(maps.data[1].path, "/a b (deleted)");
	check(maps.data[1].shared && maps.data[1].file && !maps.data[1].writable);
	check_int(maps.data[1].rss, 8 << 10);
	check_str(maps.data[2].path, "");
	check(!maps.data[2].readable);
	smaps_entry_vec_deinit(&maps);
}

/* As when a heap grows while its line is read. */
TEST(smaps_of_two_moments)
{
	char text[] =
		"7f0000000000-7f0000021000 rw-p 00000000 00:00 0 \n"
		"Rss:                 132 kB\n"
		"7f0000000000-7f0000042000 rw-p 00000000 00:00 0 \n"
		"Rss:                 200 kB\n"
		"7f0000042000-7f0004000000 ---p 00000000 00:00 0 \n"
		"Rss:                   0 kB\n";
	struct smaps_entry_vec maps = { 0 };

	smaps_parse(text, &maps);
	check_int(maps.len, 2);
	check_int(maps.data[0].rss, 200 << 10);
	check_int(maps.data[0].end - maps.data[0].start, 0x42000);
	smaps_entry_vec_deinit(&maps);
}

/* Touched, only read, untouched: the page of zeros is not resident. */
TEST(pages_that_are_there)
{
	volatile char *p = mmap(NULL, 6 * PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t at = (uintptr_t)p;
	struct pages pages;

	if (geteuid())
		test_skip("only root is told which page is the one of zeros");
	check(p != MAP_FAILED);
	p[0] = p[PAGE] = p[4 * PAGE] = 1;
	(void)p[3 * PAGE];
	check(pages_read((uint32_t)getpid(), at, at + 6 * PAGE, &pages));
	check_int(pages_resident(&pages, at, at + 6 * PAGE), 3 * PAGE);
	check_int(pages_resident(&pages, at + 100, at + PAGE + 50), PAGE - 50);
	check_int(pages_resident(&pages, at + 2 * PAGE, at + 4 * PAGE + 7), 7);
	check_int(pages_resident(&pages, 0, UINT64_MAX), 3 * PAGE);
	check_int(pages_run_end(&pages, at + 5), at + 2 * PAGE);
	check_int(pages_run_end(&pages, at + 2 * PAGE), at + 2 * PAGE);
	check_int(pages_run_end(&pages, at + 6 * PAGE), at + 6 * PAGE);
	pages_deinit(&pages);
	munmap((void *)p, 6 * PAGE);
}

static pid_t sleeping_child(void)
{
	pid_t pid = fork();
	char *p;

	if (pid)
		return pid;
	p = malloc(3 << 20);
	memset(p, 1, 3 << 20);
	pause();
	_exit(p[0]);
}

static int64_t rollup(pid_t pid, const char *key)
{
	struct strbuf text __cleanup_strbuf = { 0 };
	int64_t value = -1;

	procfs_read((uint32_t)pid, "smaps_rollup", &text);
	procfs_field(strbuf_str(&text), key, &value);
	return value;
}

/* At rest once its RSS stays. */
static int64_t rss_at_rest(pid_t pid)
{
	int64_t rss, before;

	do {
		before = rollup(pid, "Rss");
		usleep(50000);
		rss = rollup(pid, "Rss");
	} while (rss != before || rss < 3 << 20);
	return rss;
}

static void find_all(void *arg, struct account_block *blocks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		blocks[i].asked_bytes = (int64_t)blocks[i].chunk_bytes - 16;
}

static void each_of_none(void *arg, account_block_visitor *fn, void *fn_arg)
{
}

static int64_t sum_of(const struct account *account)
{
	int64_t sum = account->unexplained;

	for (int kind = 0; kind < ACCOUNT_KINDS_COUNT; kind++)
		sum += account->lines[kind];
	return sum;
}

TEST(adds_up_to_smaps)
{
	const struct account_live live = { find_all, each_of_none, NULL };
	struct account none = { 0 }, all = { 0 };
	int64_t rss, anonymous;
	bool read;
	pid_t pid;

	need_glibc_malloc();
	pid = sleeping_child();
	rss = rss_at_rest(pid);
	anonymous = rollup(pid, "Anonymous");
	read = account_read((uint32_t)pid, NULL, &none) &&
	       account_read((uint32_t)pid, &live, &all);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	check(read);
	check_int(none.rss_bytes, rss);
	check_int(none.anon_bytes, anonymous);
	check_int(none.anon_bytes + none.file_bytes + none.shmem_bytes, rss);
	check_int(sum_of(&none), rss);
	check_int(sum_of(&all), rss);
	check(none.unexplained <= rss / 20);
	/* Nobody knows of live blocks, then everybody does. */
	check(none.lines[ACCOUNT_IN_USE] >= 3 << 20);
	check_int(none.lines[ACCOUNT_LIVE] + none.lines[ACCOUNT_OLDER], 0);
	check(all.lines[ACCOUNT_LIVE] >= 3 << 20);
	check_int(all.lines[ACCOUNT_IN_USE], 0);
}

/* As a sanitizer's shadow: looked at page by page, this would not end. */
TEST(vast_mappings_are_passed_over)
{
	size_t vast = 8ull << 40;
	struct account account;
	pid_t pid;
	bool read;
	char *p;

	p = mmap(NULL, vast, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(p != MAP_FAILED);
	p[vast / 2] = 1;
	pid = sleeping_child();
	munmap(p, vast);
	read = account_read((uint32_t)pid, NULL, &account);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	check(read);
	check(account.lines[ACCOUNT_ANONYMOUS] >= (int64_t)PAGE);
}

static volatile char *other_heap;

static void find_none(void *arg, struct account_block *blocks, size_t count)
{
}

/* Three blocks of an allocator that nobody knows: whole, half untouched, nowhere. */
static void each_of_other(void *arg, account_block_visitor *fn, void *fn_arg)
{
	uint64_t at = (uintptr_t)other_heap;

	fn(fn_arg, at + 100, 3 * PAGE);
	fn(fn_arg, at + 7 * PAGE, 2 * PAGE);
	fn(fn_arg, 1, PAGE);
	fn(fn_arg, UINT64_MAX / 256 - PAGE, PAGE);
}

TEST(blocks_of_other_heaps)
{
	const struct account_live live = { find_none, each_of_other, NULL };
	struct account none = { 0 }, all = { 0 };
	pid_t pid;
	bool read;

	other_heap = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	check(other_heap != MAP_FAILED);
	for (size_t i = 0; i < 8; i++)
		other_heap[i * PAGE] = 1;
	pid = sleeping_child();
	rss_at_rest(pid);
	read = account_read((uint32_t)pid, NULL, &none) &&
	       account_read((uint32_t)pid, &live, &all);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	munmap((void *)other_heap, 64 * PAGE);
	check(read);
	check_int(all.lines[ACCOUNT_LIVE], 4 * PAGE);
	check_int(none.lines[ACCOUNT_ANONYMOUS] - all.lines[ACCOUNT_ANONYMOUS], 4 * PAGE);
	check_int(sum_of(&all), all.rss_bytes);
}

TEST(gone_is_false)
{
	pid_t pid = sleeping_child();
	struct account account;

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	check(!account_read((uint32_t)pid, NULL, &account));
}
