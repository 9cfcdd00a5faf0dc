// SPDX-License-Identifier: GPL-2.0-or-later
/* Changes between two moments: by call path, whatever ids, addresses and threads were. */
#include "model/changes.h"
#include "tests/unit/fixture.h"
#include "tests/unit/test.h"

static struct snapshot *create(double t_s)
{
	struct snapshot *snap = snapshot_create();

	snap->duration_s = t_s;
	for (uint32_t pid = 1; pid <= 2; pid++)
		snapshot_target_vec_push(&snap->targets, (struct snapshot_target){
			.pid = pid, .comm = snapshot_string(snap, "shop") });
	for (uint32_t tid = 0; tid < 3; tid++)
		snapshot_thread_vec_push(&snap->threads, (struct snapshot_thread){ .tid = tid });
	return snap;
}

/* One frame of a library; a share of one thread for all of it. */
static void add(struct snapshot *snap, uint64_t id, uint32_t target, int64_t live,
		const char *function, uint32_t thread)
{
	fixture_stack(snap, (struct snapshot_stack){
		.id = id, .target = target, .share_first = (uint32_t)snap->shares.len,
		.share_count = 1, .m = { .live_bytes = live, .alloc_bytes = live } });
	fixture_frame(snap, (struct frame){
		.function = function, .module = "lib.so", .pc = id << 12 });
	snapshot_share_vec_push(&snap->shares, (struct snapshot_share){
		.thread = thread, .live_bytes = live, .alloc_bytes = live });
}

static const struct snapshot_stack *find(const struct snapshot *snap, const char *function,
					 uint32_t target)
{
	vec_for_each(stack, &snap->stacks)
		if (stack->target == target &&
		    !strcmp(snapshot_frames(snap, stack)->function, function))
			return stack;
	test_fail("no stack of %s", function);
}

static int64_t of_thread(const struct snapshot *snap, const struct snapshot_stack *stack,
			 uint32_t thread)
{
	int64_t sum = 0;

	for (uint32_t i = 0; i < stack->share_count; i++)
		if (snap->shares.data[stack->share_first + i].thread == thread)
			sum += snap->shares.data[stack->share_first + i].live_bytes;
	return sum;
}

static struct snapshot *first_moment(void)
{
	struct snapshot *snap = create(10);

	add(snap, 1, 0, 100, "cache_put", 1);
	add(snap, 2, 0, 50, "session_new", 1);
	add(snap, 3, 1, 1000, "cache_put", 2);
	add(snap, 4, 0, 7, "only_then", 2);
	return snap;
}

/* The library was loaded again: what it kept is under the old id, the rest under a new one. */
static struct snapshot *second_moment(void)
{
	struct snapshot *snap = create(20);

	add(snap, 1, 0, 30, "cache_put", 1);
	add(snap, 11, 0, 400, "cache_put", 2);
	add(snap, 12, 0, 60, "session_new", 1);
	add(snap, 3, 1, 1000, "cache_put", 2);
	return snap;
}

TEST(same_path_under_other_ids)
{
	struct snapshot *old __cleanup(snapshot_destroyp) = first_moment();
	struct snapshot *new __cleanup(snapshot_destroyp) = second_moment();
	struct snapshot *snap __cleanup(snapshot_destroyp) = changes_between(old, new);
	const struct snapshot_stack *cache = find(snap, "cache_put", 0);

	check_int(snap->stacks.len, 4);
	check_int(cache->m.live_bytes, 330);
	check(cache->m.growth_bytes_per_s == 33 && cache->m.growth_confidence == 1);
	check_int(of_thread(snap, cache, 1), -70);
	check_int(of_thread(snap, cache, 2), 400);
	check_int(find(snap, "session_new", 0)->m.live_bytes, 10);
	check_int(find(snap, "cache_put", 1)->m.live_bytes, 0);
}

/* What it shows of the earlier moment outlives that. */
TEST(what_is_gone_is_there)
{
	struct snapshot *old = first_moment(), *new = second_moment();
	struct snapshot *snap __cleanup(snapshot_destroyp) = changes_between(old, new);
	const struct snapshot_stack *gone;

	snapshot_destroy(old);
	snapshot_destroy(new);
	gone = find(snap, "only_then", 0);
	check_int(gone->m.live_bytes, -7);
	check_int(of_thread(snap, gone, 2), -7);
	check_str(snapshot_frames(snap, gone)->module, "lib.so");
}

TEST(backwards_is_the_other_way_round)
{
	struct snapshot *old __cleanup(snapshot_destroyp) = first_moment();
	struct snapshot *new __cleanup(snapshot_destroyp) = second_moment();
	struct snapshot *snap __cleanup(snapshot_destroyp) = changes_between(new, old);

	check_int(find(snap, "cache_put", 0)->m.live_bytes, -330);
	check_int(find(snap, "only_then", 0)->m.live_bytes, 7);
}

TEST(of_a_moment_with_itself)
{
	struct snapshot *old __cleanup(snapshot_destroyp) = first_moment();
	struct snapshot *snap __cleanup(snapshot_destroyp) = changes_between(old, old);

	check_int(snap->stacks.len, 4);
	vec_for_each(stack, &snap->stacks)
		check_int(stack->m.live_bytes, 0);
}
