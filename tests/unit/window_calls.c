// SPDX-License-Identifier: GPL-2.0-or-later
/* Whose a system call under malloc is; see capture/cost/window_calls.h. */
#include "bpf/unwind.h"
#include "capture/cost/window_calls.h"
#include "tests/unit/test.h"

/* malloc, [a function without a symbol], calloc, memalign in a row, at BIAS. */
#define BIAS 0x7f0000000000ull
enum { MALLOC = 0x1000, HIDDEN = 0x1200, CALLOC = 0x1300, MEMALIGN = 0x1500, END = 0x1600 };

static const struct allocator_function functions[] = {
	{ "malloc", PROBE_ALLOC, .group = GROUP_MALLOC },
	{ "calloc", PROBE_ALLOC, .group = GROUP_MALLOC },
	{ "memalign", PROBE_ALLOC, .group = GROUP_MALLOC },
	{ "mmap", PROBE_MMAP, .group = GROUP_MAPPING },
};

static struct allocator_text text_of(const char *allocator)
{
	struct planned_probe probes[] = {
		{ .function = &functions[0], .symbol = { .vaddr = MALLOC, .size = 0x200 } },
		{ .function = &functions[1], .symbol = { .vaddr = CALLOC, .size = 0x200 } },
		{ .function = &functions[2], .symbol = { .vaddr = MEMALIGN, .size = 0x100 } },
		{ .function = &functions[3], .symbol = { .vaddr = 0x90000, .size = 0x100 } },
	};
	struct object_plan object = {
		.bias = BIAS, .allocator = allocator,
		.probes = { .data = probes, .len = sizeof(probes) / sizeof(probes[0]) },
	};

	return allocator_text_of(&object);
}

static uint32_t frames_of(const uint64_t *pcs, uint32_t count, bool *plain)
{
	struct allocator_text text = text_of("glibc");

	*plain = false;
	return allocator_frames(&text, pcs, count, plain);
}

TEST(the_allocators_text_is_one_range)
{
	struct allocator_text text = text_of("glibc");

	check_int(text.all.start, BIAS + MALLOC);
	check_int(text.all.end, BIAS + END);
	text = text_of("jemalloc");
	check_int(text.all.end, 0);
	text = text_of(NULL);
	check_int(text.all.end, 0);
}

TEST(frames_end_with_the_outermost_of_the_allocator)
{
	const uint64_t inner = 0x40, caller = 0x400000;
	bool plain;

	check_int(frames_of((uint64_t[]){ inner, inner, BIAS + MALLOC + 9, caller, caller }, 5,
			    &plain), 3);
	check(plain);
	check_int(frames_of((uint64_t[]){ inner, BIAS + MALLOC + 9, BIAS + CALLOC + 9, caller }, 4,
			    &plain), 3);
	check(plain);
	check_int(frames_of((uint64_t[]){ inner, BIAS + HIDDEN + 9, caller }, 3, &plain), 2);
	check(!plain);
	check_int(frames_of((uint64_t[]){ inner, BIAS + MALLOC + 9, BIAS + MEMALIGN + 9, caller },
			    4, &plain), 3);
	check(!plain);
}

/* A function that does not return may end with its call: that is still its frame. */
TEST(a_return_address_behind_the_last_call_is_the_functions)
{
	bool plain;

	check_int(frames_of((uint64_t[]){ 0x40, BIAS + END, 0x400000 }, 3, &plain), 2);
	check_int(frames_of((uint64_t[]){ 0x40, BIAS + MALLOC, 0x400000 }, 3, &plain), 0);
}

TEST(what_is_not_malloc_s_has_no_frames)
{
	bool plain;

	check_int(frames_of((uint64_t[]){ 0x40, 0x50, 0x400000 }, 3, &plain), 0);
	/* The walk broke there: nobody knows whom it was for. */
	check_int(frames_of((uint64_t[]){ 0x40, BIAS + MALLOC + 9 }, 2, &plain), 0);
	/* Another call of malloc is under way further out. */
	check_int(frames_of((uint64_t[]){ 0x40, BIAS + MALLOC + 9, 0x400000,
					  BIAS + MALLOC + 9, 0x400000 }, 5, &plain), 0);
}

static uint64_t id_of(uint64_t epoch, const uint64_t *pcs, uint32_t count)
{
	uint64_t hash = epoch;

	for (uint32_t i = 0; i < count; i++)
		hash = unwind_hash(hash, pcs[i]);
	return hash | 1;
}

TEST(a_stack_that_is_cut_has_the_id_of_its_rest)
{
	uint64_t pcs[20], state = 7;

	for (int i = 0; i < 20; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		pcs[i] = state >> 17;
	}
	for (uint32_t epoch = 0; epoch < 50; epoch++)
		for (uint32_t skip = 0; skip < 19; skip++)
			check(stack_id_without(id_of(epoch, pcs, 20), pcs, 20, skip) ==
			      id_of(epoch, pcs + skip, 20 - skip));
	/* Frames of another stack. */
	check_int(stack_id_without(id_of(0, pcs, 20), pcs, 19, 3), 0);
}
