// SPDX-License-Identifier: GPL-2.0-or-later
/* Call trees: small ones written out, random ones against a slow oracle. */
#include "base/strbuf.h"
#include "base/vec.h"
#include "model/calltree.h"
#include "tests/unit/fixture.h"
#include "tests/unit/test.h"

/* "root>a>b" leaf last, as people write stacks; "?1f@lib" has no function. */
static void add_stack(struct snapshot *snap, const char *stack, int64_t live)
{
	__cleanup_free char *copy = xstrdup(stack);
	char *at;

	fixture_stack(snap, (struct snapshot_stack){ .m.live_bytes = live, .m.alloc_count = 1 });
	while (*copy) {
		struct frame frame = { .module = "prog" };

		at = strrchr(copy, '>');
		frame.function = at ? at + 1 : copy;
		if (*frame.function == '?') {
			frame.module = strchr(frame.function, '@') + 1;
			frame.offset = strtoull(frame.function + 1, NULL, 16);
			frame.pc = frame.offset + 0x1000;
			frame.function = NULL;
		} else if (strchr(frame.function, '@')) {
			frame.module = strchr(frame.function, '@') + 1;
			*strchr(frame.function, '@') = '\0';
		}
		fixture_frame(snap, frame);
		*(at ? at : copy) = '\0';
	}
}

/* One node a line, indented: "name self/total". */
static char *draw(const struct calltree *tree)
{
	struct strbuf sb = { 0 };
	uint32_t i = CALLTREE_ROOT;

	do {
		const struct calltree_node *node = &tree->nodes.data[i];

		strbuf_addf(&sb, "%*s%s %g/%g\n", (int)node->depth, "",
			    calltree_name(tree, i), node->now.self, node->now.total);
		i = calltree_next(tree, i);
	} while (i);
	return strbuf_detach(&sb);
}

static char *draw_of(const struct snapshot *snap, struct calltree_settings settings)
{
	struct calltree *tree __cleanup(calltree_destroyp) = NULL;

	if (!settings.metric)
		settings.metric = "live_bytes";
	check_ok(calltree_of_snapshot(snap, &settings, &tree));
	return draw(tree);
}

static struct snapshot *small_snapshot(void)
{
	struct snapshot *snap = fixture_idle_create();

	add_stack(snap, "main>serve>parse>alloc", 10);
	add_stack(snap, "main>serve>alloc", 5);
	add_stack(snap, "main>serve", 1);
	add_stack(snap, "main>zero", 0);
	add_stack(snap, "main>load>alloc", 100);
	add_stack(snap, "main>serve>parse>alloc", 7);
	return snap;
}

TEST(top_down)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = small_snapshot();
	__cleanup_free char *got = draw_of(snap, (struct calltree_settings){ 0 });

	check_str(got, "all 0/123\n main 0/123\n  load 0/100\n   alloc 100/100\n"
		  "  serve 1/23\n   parse 0/17\n    alloc 17/17\n   alloc 5/5\n");
}

TEST(inverted)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = small_snapshot();
	__cleanup_free char *got = draw_of(snap, (struct calltree_settings){ .inverted = true });

	check_str(got, "all 0/123\n alloc 0/122\n  load 0/100\n   main 100/100\n"
		  "  parse 0/17\n   serve 0/17\n    main 17/17\n"
		  "  serve 0/5\n   main 5/5\n serve 0/1\n  main 1/1\n");
}

static bool has_pid(const struct snapshot *snap, const struct snapshot_stack *stack, void *arg)
{
	return snap->targets.data[stack->target].pid == *(const uint32_t *)arg;
}

TEST(targets_and_filter)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();
	__cleanup_free char *both = NULL, *turned = NULL, *one = NULL;
	uint32_t pid = 9;

	snapshot_target_vec_push(&snap->targets, (struct snapshot_target){
		.pid = 9, .comm = snapshot_string(snap, "worker") });
	add_stack(snap, "main", 1);
	add_stack(snap, "main", 2);
	snap->stacks.data[1].target = 1;
	both = draw_of(snap, (struct calltree_settings){ .by_target = true });
	check_str(both, "all 0/3\n worker 0/2\n  main 2/2\n server 0/1\n  main 1/1\n");
	turned = draw_of(snap, (struct calltree_settings){ .by_target = true, .inverted = true });
	check_str(turned, "all 0/3\n main 0/3\n  worker 2/2\n  server 1/1\n");
	one = draw_of(snap, (struct calltree_settings){ .keep = has_pid, .keep_arg = &pid });
	check_str(one, "all 0/2\n main 2/2\n");
}

TEST(frames_merge_by_function_and_module)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();
	__cleanup_free char *got = NULL;

	add_stack(snap, "f@one", 1);
	add_stack(snap, "f@two", 2);
	add_stack(snap, "f@one", 4);
	add_stack(snap, "?10@lib", 8);
	add_stack(snap, "?20@lib", 16);
	add_stack(snap, "?10@lib", 32);
	add_stack(snap, "?30@", 64);
	add_stack(snap, "", 128);
	got = draw_of(snap, (struct calltree_settings){ 0 });
	check_str(got, "all 0/255\n [lost] 128/128\n [0x1030] 64/64\n lib+0x10 40/40\n"
		  " lib+0x20 16/16\n f 5/5\n f 2/2\n");
}

/* A name that a target chose must not be taken for what is no frame. */
TEST(lost_is_no_function)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();
	__cleanup_free char *got = NULL;

	add_stack(snap, "[lost]@", 1);
	add_stack(snap, "", 2);
	got = draw_of(snap, (struct calltree_settings){ 0 });
	check_str(got, "all 0/3\n [lost] 2/2\n [lost] 1/1\n");
}

TEST(recursion_goes_down)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();
	__cleanup_free char *got = NULL;

	add_stack(snap, "a>b>a>b", 1);
	add_stack(snap, "a>b>a", 2);
	got = draw_of(snap, (struct calltree_settings){ 0 });
	check_str(got, "all 0/3\n a 0/3\n  b 0/3\n   a 2/3\n    b 1/1\n");
}

TEST(nothing_at_all)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();
	__cleanup_free char *got = draw_of(snap, (struct calltree_settings){ 0 });

	check_str(got, "all 0/0\n");
}

TEST(metrics_that_do_not_add_up_are_refused)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = small_snapshot();
	struct calltree *tree = NULL;
	struct error *age __cleanup_error = NULL, *none __cleanup_error = NULL;

	age = calltree_of_snapshot(snap, &(struct calltree_settings){
		.metric = "oldest_live_s" }, &tree);
	check(age && age->code == ERROR_USAGE && !tree);
	none = calltree_of_snapshot(snap, &(struct calltree_settings){ .metric = "x" }, &tree);
	check(none && none->code == ERROR_USAGE && strstr(none->message, "live_bytes"));
}

TEST(growth_may_be_negative)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();
	__cleanup_free char *got = NULL;

	add_stack(snap, "a>b", 0);
	add_stack(snap, "a>c", 0);
	snap->stacks.data[0].m.growth_bytes_per_s = -2.5;
	snap->stacks.data[1].m.growth_bytes_per_s = 1.5;
	got = draw_of(snap, (struct calltree_settings){ .metric = "growth_bytes_per_s" });
	check_str(got, "all 0/-1\n a 0/-1\n  c 1.5/1.5\n  b -2.5/-2.5\n");
}

/* Two snapshots have two pools: the same text at two addresses. */
TEST(two_snapshots_compare)
{
	struct snapshot *old __cleanup(snapshot_destroyp) = fixture_idle_create();
	struct snapshot *now __cleanup(snapshot_destroyp) = fixture_idle_create();
	struct calltree *tree __cleanup(calltree_destroyp) = calltree_create(false);
	const struct calltree_node *node;

	add_stack(old, "main>a", 3);
	add_stack(now, "main>a", 5);
	add_stack(now, "main>b", 7);
	calltree_add(tree, snapshot_frames(old, &old->stacks.data[0]), 2, NULL, 0, 3);
	calltree_add(tree, snapshot_frames(now, &now->stacks.data[0]), 2, NULL, 5, 0);
	calltree_add(tree, snapshot_frames(now, &now->stacks.data[1]), 2, NULL, 7, 0);
	calltree_finish(tree);
	check_int(tree->nodes.len, 4);
	node = &tree->nodes.data[tree->nodes.data[CALLTREE_ROOT].child];
	check(node->now.total == 12 && node->old.total == 3 && node->children == 2);
	check_str(calltree_name(tree, node->child), "b");
	check(tree->nodes.data[tree->nodes.data[node->child].sibling].old.self == 3);
}

/* Refilled, it holds what a fresh one does; what was walked only is not in it. */
TEST(cleared_and_filled_anew)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = small_snapshot();
	const struct snapshot_stack *stacks = snap->stacks.data;
	struct calltree *tree __cleanup(calltree_destroyp) = calltree_create(false);
	__cleanup_free char *all = NULL, *part = NULL, *again = NULL, *fresh = NULL;

	fresh = draw_of(snap, (struct calltree_settings){ 0 });
	for (int round = 0; round < 3; round++) {
		calltree_clear(tree);
		for (size_t i = 0; i < snap->stacks.len; i++) {
			calltree_walk(tree, snapshot_frames(snap, &stacks[i]),
				      stacks[i].frame_count, NULL);
			if (stacks[i].m.live_bytes && (round != 1 || i < 2))
				calltree_add(tree, snapshot_frames(snap, &stacks[i]),
					     stacks[i].frame_count, NULL,
					     (double)stacks[i].m.live_bytes, 0);
		}
		calltree_finish(tree);
		*(round == 0 ? &all : round == 1 ? &part : &again) = draw(tree);
	}
	check_str(all, fresh);
	check_str(again, fresh);
	check_str(part, "all 0/15\n main 0/15\n  serve 0/15\n   parse 0/10\n"
		  "    alloc 10/10\n   alloc 5/5\n");
}

/* What expanded a node once must find it again in a later tree. */
TEST(ids_outlive_the_tree)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = small_snapshot();
	struct snapshot *more __cleanup(snapshot_destroyp) = fixture_idle_create();
	struct calltree *a __cleanup(calltree_destroyp) = NULL;
	struct calltree *b __cleanup(calltree_destroyp) = NULL;
	const struct calltree_settings settings = { .metric = "live_bytes" };
	uint64_t id = 0;
	int found = 0;

	add_stack(more, "other", 1000);
	add_stack(more, "main>serve>parse", 1);
	check_ok(calltree_of_snapshot(snap, &settings, &a));
	check_ok(calltree_of_snapshot(more, &settings, &b));
	for (uint32_t i = 1; i < a->nodes.len; i++)
		if (!strcmp(calltree_name(a, i), "parse"))
			id = a->nodes.data[i].id;
	for (uint32_t i = 0; i < b->nodes.len; i++)
		if (b->nodes.data[i].id == id) {
			check_str(calltree_name(b, i), "parse");
			found++;
		}
	check_int(found, 1);
}

/* The value of the stacks that begin with the names on the way to @node. */
static int64_t slow_total(const struct snapshot *snap, const struct calltree *tree,
			  uint32_t node, bool inverted)
{
	int64_t sum = 0;

	vec_for_each(stack, &snap->stacks) {
		const struct frame *frames = snapshot_frames(snap, stack);
		uint32_t i = node, depth = tree->nodes.data[node].depth;

		if (stack->frame_count < depth)
			continue;
		for (; depth; i = tree->nodes.data[i].parent, depth--) {
			uint32_t at = inverted ? depth - 1 : stack->frame_count - depth;

			if (strcmp(frames[at].function, calltree_name(tree, i)))
				break;
		}
		if (!depth)
			sum += stack->m.live_bytes;
	}
	return sum;
}

static void check_tree(const struct snapshot *snap, bool inverted)
{
	struct calltree *tree __cleanup(calltree_destroyp) = NULL;
	const struct calltree_settings settings = { .metric = "live_bytes", .inverted = inverted };
	uint32_t visited = 0, i = CALLTREE_ROOT;

	check_ok(calltree_of_snapshot(snap, &settings, &tree));
	do {
		const struct calltree_node *node = &tree->nodes.data[i];
		uint32_t children = 0;
		double below = node->now.self, last = 1e300;

		check_int((int64_t)node->now.total, slow_total(snap, tree, i, inverted));
		calltree_each_child(k, tree, i) {
			check_int(tree->nodes.data[k].parent, i);
			check(tree->nodes.data[k].now.total <= last);
			below += last = tree->nodes.data[k].now.total;
			children++;
		}
		check_int(children, node->children);
		check(below == node->now.total);
		visited++;
	} while ((i = calltree_next(tree, i)));
	check_int(visited, tree->nodes.len);
}

TEST(random_trees_add_up)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();
		uint64_t state = seed * 7919;

		for (uint64_t n = fixture_random(&state, 30); n > 0; n--) {
			struct strbuf stack __cleanup_strbuf = { 0 };

			strbuf_addch(&stack, 'r');
			for (uint64_t depth = fixture_random(&state, 8); depth > 0; depth--)
				strbuf_addf(&stack, ">%c",
					    (char)('a' + fixture_random(&state, 3)));
			add_stack(snap, strbuf_str(&stack), (int64_t)fixture_random(&state, 9));
		}
		check_tree(snap, false);
		check_tree(snap, true);
	}
}
