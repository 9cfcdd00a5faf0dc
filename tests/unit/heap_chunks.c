// SPDX-License-Identifier: GPL-2.0-or-later
/* Walks over heaps that lie in our own memory, chunk for chunk as we wrote them. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/test.h"
#include "capture/ledger/heap_chunks.h"

#define HEAP (64 << 10)
#define CHUNK 496
#define FIRST 32

/* A thread's heap: how long it is, chunks in use, and what ends it when another is begun. */
static uint64_t *make_heap(void)
{
	uint64_t *words = mmap(NULL, HEAP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
	size_t at = FIRST;

	check(words != MAP_FAILED);
	words[0] = HEAP;
	for (; at + CHUNK + 48 <= HEAP; at += CHUNK)
		words[at / 8 + 1] = CHUNK | CHUNK_PREV_IN_USE;
	words[at / 8 + 1] = (HEAP - 16 - at) | CHUNK_PREV_IN_USE;
	words[(HEAP - 16) / 8 + 1] = CHUNK_PREV_IN_USE;
	return words;
}

static uint64_t told_bytes;

static void tell(void *arg, enum chunk_kind kind, uint64_t addr, uint64_t size)
{
	told_bytes += kind == CHUNK_KIND_IN_USE ? size : 0;
}

/*
 * It was half as long when it was found, and grew. Then its arena began another heap,
 * so that no top chunk tells where this one ends.
 */
TEST(heap_that_was_left_for_another_after_it_grew)
{
	uint64_t *heap = make_heap(), top = 16, start = (uintptr_t)heap;
	struct pages pages;
	struct chunk_walk walk = {
		.pid = (uint32_t)getpid(), .pages = &pages, .tell = tell,
		.first = start + FIRST, .end = start + HEAP / 2, .limit = start + 2 * HEAP,
		.top_at = (uintptr_t)&top, .start = start, .size_at = start,
	};

	check(pages_read(walk.pid, start, start + HEAP, &pages));
	told_bytes = 0;
	check_int(chunk_walk(&walk), start + HEAP);
	check(walk.finished);
	check_int(told_bytes, HEAP - FIRST - 16);
	check(walk.retries < 10);
	pages_deinit(&pages);
	munmap(heap, HEAP);
}
