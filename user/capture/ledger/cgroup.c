// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading memory cgroups of both versions; see cgroup.h. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/format.h"
#include "capture/ledger/cgroup.h"

#define NO_LIMIT (INT64_MAX / 2)	/* version 1 says "none" with a huge number */
#define MACHINE_PRESSURE "/proc/pressure/memory"

/* Mounts */

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += len)
		if ((p == list || p[-1] == ',') && (p[len] == ',' || !p[len]))
			return true;
	return false;
}

/* "36 35 98:0 /root /mount/point opts tags - type source superopts" (proc(5)) */
static void parse_mount(char *line, struct cgroup_mounts *ret)
{
	char root[4096], point[4096], type[64], options[4096];
	char *tail = strstr(line, " - ");

	if (!tail || sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) != 2 ||
	    sscanf(tail, " - %63s %*s %4095s", type, options) != 2)
		return;
	if (!strcmp(type, "cgroup2") && !ret->v2) {
		ret->v2 = xstrdup(point);
		ret->v2_root = xstrdup(root);
	} else if (!strcmp(type, "cgroup") && has_word(options, "memory") && !ret->v1) {
		ret->v1 = xstrdup(point);
		ret->v1_root = xstrdup(root);
	}
}

void cgroup_mounts_parse(char *mountinfo, struct cgroup_mounts *ret)
{
	char *save, *line;

	*ret = (struct cgroup_mounts){ 0 };
	for (line = strtok_r(mountinfo, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		parse_mount(line, ret);
}

void cgroup_mounts_deinit(struct cgroup_mounts *mounts)
{
	free(mounts->v1);
	free(mounts->v1_root);
	free(mounts->v2);
	free(mounts->v2_root);
	*mounts = (struct cgroup_mounts){ 0 };
}

/*
 * The directory of a group, which /proc/PID/cgroup names from the hierarchy's root,
 * of which only @root is mounted at @mount. NULL: it lies outside.
 */
static char *group_dir(const char *mount, const char *root, const char *group)
{
	size_t len = mount && strcmp(root, "/") ? strlen(root) : 0;

	if (!mount || strncmp(group, root, len) || (group[len] && group[len] != '/') ||
	    !strncmp(group, "/..", 3))
		return NULL;
	return xasprintf("%s%s", mount, strcmp(group + len, "/") ? group + len : "");
}

/* The path in the line of @groups for the hierarchy with @controller ("": version 2). */
static char *group_of(const char *groups, const char *controller)
{
	for (const char *line = groups; line && *line; line = strchr(line, '\n')) {
		const char *controllers, *path;
		__cleanup_free char *list = NULL;

		line += *line == '\n';
		controllers = strchr(line, ':');
		path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		list = xasprintf("%.*s", (int)(path - controllers - 1), controllers + 1);
		if (*controller ? has_word(list, controller) : !*list)
			return xasprintf("%.*s", (int)strcspn(path + 1, "\n"), path + 1);
	}
	return NULL;
}

/* Files */

static bool read_file(const char *path, char *buf, size_t size)
{
	__cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static bool read_text(const char *dir, const char *name, char *buf, size_t size)
{
	__cleanup_free char *path = xasprintf("%s/%s", dir, name);

	return read_file(path, buf, size);
}

/* The file as a number; -1 if there is none, "max" too. */
static int64_t read_number(const char *dir, const char *name)
{
	char text[64];
	uint64_t value;

	if (!read_text(dir, name, text, sizeof(text)))
		return -1;
	text[strcspn(text, "\n")] = '\0';
	return parse_uint(text, 0, INT64_MAX, &value) ? (int64_t)value : -1;
}

/* The number behind "KEY " at a line's start; -1 if there is none. */
static int64_t field(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, len) && line[len] == ' ')
			return strtoll(line + len, NULL, 10);
	}
	return -1;
}

static int64_t limit_of(const char *dir, int version)
{
	int64_t limit = read_number(dir, version == 2 ? "memory.max" : "memory.limit_in_bytes");

	return limit < NO_LIMIT ? limit : -1;
}

static int64_t usage_of(const char *dir, int version)
{
	return read_number(dir, version == 2 ? "memory.current" : "memory.usage_in_bytes");
}

/* Of @dir and those above it, up to @mount, the one with the least room. */
static char *tightest(const char *mount, const char *dir, int version)
{
	__cleanup_free char *at = xstrdup(dir);
	char *ret = xstrdup(dir);
	int64_t least = INT64_MAX;

	while (strlen(at) >= strlen(mount)) {
		int64_t limit = limit_of(at, version), room = limit - usage_of(at, version);

		if (limit >= 0 && room < least) {
			least = room;
			free(ret);
			ret = xstrdup(at);
		}
		if (!strrchr(at, '/'))
			break;
		*strrchr(at, '/') = '\0';
	}
	return ret;
}

/* Events of version 1 are few, and lie in files of their own. */
static void read_events(struct cgroup_memory *c)
{
	char text[4096];

	if (c->version == 1) {
		c->high_events = c->oom_events = -1;
		c->limit_events = read_number(c->dir, "memory.failcnt");
		read_text(c->dir, "memory.oom_control", text, sizeof(text));
		c->oom_kills = field(text, "oom_kill");
		return;
	}
	read_text(c->dir, "memory.events", text, sizeof(text));
	c->high_events = field(text, "high");
	c->limit_events = field(text, "max");
	c->oom_events = field(text, "oom");
	c->oom_kills = field(text, "oom_kill");
}

static int64_t reclaimable_of(const char *dir, int version)
{
	char text[8192];

	read_text(dir, "memory.stat", text, sizeof(text));
	return field(text, version == 2 ? "inactive_file" : "total_inactive_file");
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", and the same for "full". */
static void read_pressure(struct cgroup_memory *c)
{
	char text[512], *full;
	long long us;

	c->some_avg10 = c->full_avg10 = -1;
	c->some_us = c->full_us = -1;
	if (!c->pressure || !read_file(c->pressure, text, sizeof(text)))
		return;
	if (sscanf(text, "some avg10=%lf %*s %*s total=%lld", &c->some_avg10, &us) == 2)
		c->some_us = us;
	full = strstr(text, "full ");
	if (full && sscanf(full, "full avg10=%lf %*s %*s total=%lld", &c->full_avg10, &us) == 2)
		c->full_us = us;
}

/* The pressure's file: this group's, that of the same process in version 2, the machine's. */
static void find_pressure(const struct cgroup_mounts *mounts, const char *v2_dir,
			  struct cgroup_memory *c)
{
	const char *dir = c->version == 2 ? c->dir : v2_dir;

	if (dir && (c->version == 2 || strcmp(dir, mounts->v2)))
		c->pressure = xasprintf("%s/memory.pressure", dir);
	c->pressure_is_its_own = c->pressure && !access(c->pressure, R_OK);
	if (c->pressure_is_its_own)
		return;
	free(c->pressure);
	c->pressure = access(MACHINE_PRESSURE, R_OK) ? NULL : xstrdup(MACHINE_PRESSURE);
}

bool cgroup_memory_read(const struct cgroup_mounts *mounts, const char *groups,
			struct cgroup_memory *ret)
{
	__cleanup_free char *v1_group = group_of(groups, "memory");
	__cleanup_free char *v2_group = group_of(groups, "");
	__cleanup_free char *v1 = NULL, *v2 = NULL;

	*ret = (struct cgroup_memory){ 0 };
	if (v1_group)
		v1 = group_dir(mounts->v1, mounts->v1_root, v1_group);
	if (v2_group)
		v2 = group_dir(mounts->v2, mounts->v2_root, v2_group);
	if (!v1 && !v2)
		return false;
	ret->version = v1 ? 1 : 2;
	ret->dir = tightest(v1 ? mounts->v1 : mounts->v2, v1 ? v1 : v2, ret->version);
	ret->limit_bytes = limit_of(ret->dir, ret->version);
	ret->high_bytes = v1 ? -1 : read_number(ret->dir, "memory.high");
	ret->reclaimable_bytes = reclaimable_of(ret->dir, ret->version);
	find_pressure(mounts, v2, ret);
	cgroup_memory_glance(ret);
	return true;
}

void cgroup_memory_glance(struct cgroup_memory *cgroup)
{
	cgroup->usage_bytes = usage_of(cgroup->dir, cgroup->version);
	read_events(cgroup);
	read_pressure(cgroup);
}

void cgroup_memory_deinit(struct cgroup_memory *cgroup)
{
	free(cgroup->dir);
	free(cgroup->pressure);
	*cgroup = (struct cgroup_memory){ 0 };
}
