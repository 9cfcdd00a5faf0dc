// SPDX-License-Identifier: GPL-2.0-or-later
/* Cgroups of both versions, in a tree that looks like them, and the limits that bind. */
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "capture/ledger/limit.h"
#include "tests/unit/test.h"

static char tree[64];
static struct cgroup_memory got;

static void put(const char *name, const char *text)
{
	__cleanup_free char *path = xasprintf("%s/%s", tree, name);

	for (char *p = path + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(path, 0755);
	}
	FILE *f = fopen(path, "w");
	check(f && fputs(text, f) >= 0 && !fclose(f));
}

/* @mounts with %s for the tree. */
static bool read_of(const char *mounts, const char *groups)
{
	struct cgroup_mounts parsed;
	__cleanup_free char *text = xstrdup(mounts);
	bool ok;

	cgroup_mounts_parse(text, &parsed);
	ok = cgroup_memory_read(&parsed, groups, &got);
	cgroup_mounts_deinit(&parsed);
	return ok;
}

static char *mount_line(const char *root, const char *below, const char *tail)
{
	return xasprintf("35 31 0:32 %s %s%s rw,relatime shared:7 - %s\n", root, tree, below,
			 tail);
}

static void make_tree(void)
{
	strcpy(tree, "/tmp/heapsonde-cgroup-XXXXXX");
	check(mkdtemp(tree));
	put("shop/memory.max", "67108864\n");
	put("shop/memory.high", "max\n");
	put("shop/memory.current", "60000000\n");
	put("shop/memory.stat", "anon 50000000\nfile 9000000\ninactive_file 4000000\n");
	put("shop/memory.events", "low 0\nhigh 2\nmax 17\noom 3\noom_kill 1\noom_group_kill 0\n");
	put("shop/memory.pressure", "some avg10=1.50 avg60=0.00 avg300=0.00 total=123456\n"
				    "full avg10=0.25 avg60=0.00 avg300=0.00 total=7890\n");
	put("shop/web/memory.max", "max\n");
	put("shop/web/memory.current", "5000000\n");
	put("shop/db/memory.max", "3000000\n");
	put("shop/db/memory.current", "1000000\n");
	put("v1/job/memory.limit_in_bytes", "9223372036854771712\n");
	put("v1/job/memory.usage_in_bytes", "4096\n");
	put("v1/memory.limit_in_bytes", "1000000\n");
	put("v1/memory.usage_in_bytes", "900000\n");
	put("v1/memory.failcnt", "5\n");
	put("v1/memory.oom_control", "oom_kill_disable 0\nunder_oom 1\noom_kill 4\n");
	put("v1/memory.stat", "inactive_file 1\ntotal_inactive_file 8192\n");
}

static void remove_tree(void)
{
	__cleanup_free char *command = xasprintf("rm -rf %s", tree);

	check(!system(command));
}

TEST(version_2)
{
	__cleanup_free char *mounts = NULL, *dir = NULL;
	struct memory_limit limit;

	make_tree();
	mounts = mount_line("/", "", "cgroup2 cgroup2 rw");
	/* The group's parent has the limit. */
	check(read_of(mounts, "0::/shop/web\n"));
	dir = xasprintf("%s/shop", tree);
	check_str(got.dir, dir);
	check_int(got.version, 2);
	check_int(got.limit_bytes, 67108864);
	check_int(got.high_bytes, -1);
	check_int(got.usage_bytes, 60000000);
	check_int(got.reclaimable_bytes, 4000000);
	check_int(got.high_events, 2);
	check_int(got.limit_events, 17);
	check_int(got.oom_events, 3);
	check_int(got.oom_kills, 1);
	check(got.pressure_is_its_own && got.some_avg10 == 1.5 && got.full_avg10 == 0.25);
	check_int(got.some_us, 123456);
	check_int(got.full_us, 7890);
	memory_limit_read((uint32_t)getpid(), &got, &limit);
	check_str(limit.kind, "cgroup");
	check_int(limit.bytes, 67108864);
	check_int(limit.used_bytes, 56000000);
	cgroup_memory_deinit(&got);
	/* The least room, not the parent. */
	check(read_of(mounts, "0::/shop/db\n"));
	check_int(got.limit_bytes, 3000000);
	cgroup_memory_deinit(&got);
	remove_tree();
}

/* Beside a hierarchy of version 1 with other controllers, and one of version 2. */
TEST(version_1)
{
	__cleanup_free char *v1 = NULL, *v2 = NULL, *mounts = NULL;

	make_tree();
	v1 = mount_line("/", "/v1", "cgroup cgroup rw,memory");
	v2 = mount_line("/", "", "cgroup2 cgroup2 rw");
	mounts = xasprintf("1 2 0:3 / /nowhere rw - cgroup cgroup rw,cpu\n%s%s", v1, v2);
	check(read_of(mounts, "5:cpu:/x\n4:memory:/job\n0::/shop\n"));
	check_int(got.version, 1);
	check_int(got.limit_bytes, 1000000);
	check_int(got.usage_bytes, 900000);
	check_int(got.limit_events, 5);
	check_int(got.oom_kills, 4);
	check_int(got.reclaimable_bytes, 8192);
	check_int(got.high_bytes, -1);
	/* Pressure is told by the group of version 2 that the process is in. */
	check(got.pressure_is_its_own && got.some_us == 123456);
	cgroup_memory_deinit(&got);
	remove_tree();
}

/* In a container only a part of the hierarchy may be mounted, at another place. */
TEST(part_of_a_hierarchy)
{
	__cleanup_free char *mounts = NULL;

	make_tree();
	mounts = mount_line("/kube/pod7", "/shop", "cgroup2 cgroup2 rw");
	check(read_of(mounts, "0::/kube/pod7/web\n"));
	check_int(got.limit_bytes, 67108864);
	cgroup_memory_deinit(&got);
	check(!read_of(mounts, "0::/kube/pod77\n"));
	check(!read_of(mounts, "0::/../other\n"));
	check(!read_of("", "0::/shop\n"));
	check(!read_of(mounts, ""));
	remove_tree();
}

TEST(own_limits)
{
	struct memory_limit limit, machine;
	pid_t pid = fork();

	if (!pid) {
		struct rlimit as = { 1u << 30, 1u << 30 };

		if (setrlimit(RLIMIT_AS, &as))
			_exit(1);
		pause();
	}
	do {
		usleep(1000);
		memory_limit_read((uint32_t)pid, NULL, &limit);
	} while (strcmp(limit.kind, "rlimit_as"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	check_int(limit.bytes, 1 << 30);
	check(limit.is_of_mapped && limit.used_bytes > 100000);
	/* Of what is mapped: an address sanitizer maps some 20 TiB. */
	check(limit.used_bytes < 1ll << 46);
	memory_limit_read((uint32_t)getpid(), NULL, &machine);
	check_str(machine.kind, "machine");
	check(machine.bytes > machine.used_bytes && machine.used_bytes > 0);
	check(memory_limit_tighter(&limit, &machine));
	check(!memory_limit_tighter(&machine, &limit));
	check(!memory_limit_tighter(&(struct memory_limit){ .bytes = -1 }, &limit));
}
