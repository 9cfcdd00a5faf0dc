// SPDX-License-Identifier: GPL-2.0-or-later
/* A process to watch; see target.h. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/procfs.h"
#include "capture/target.h"

void target_identity_deinit(struct target_identity *id)
{
	free(id->comm);
	free(id->exe);
	free(id->cmdline);
	*id = (struct target_identity){ 0 };
}

/* Arguments are separated by NUL bytes; people expect spaces. */
static char *read_cmdline(uint32_t pid)
{
	struct strbuf raw __cleanup_strbuf = { 0 };

	if (procfs_read(pid, "cmdline", &raw) || !raw.len)
		return xstrdup("");
	while (raw.len && !raw.data[raw.len - 1])
		raw.len--;
	for (size_t i = 0; i < raw.len; i++)
		if (!raw.data[i])
			raw.data[i] = ' ';
	return strbuf_detach(&raw);
}

static char *read_exe(uint32_t pid)
{
	char path[64], exe[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/exe", pid);
	len = readlink(path, exe, sizeof(exe));
	return xstrndup(exe, len < 0 ? 0 : len);
}

static char *read_comm(uint32_t pid)
{
	struct strbuf comm __cleanup_strbuf = { 0 };

	if (procfs_read(pid, "comm", &comm))
		return xstrdup("");
	if (comm.len && comm.data[comm.len - 1] == '\n')
		comm.data[--comm.len] = '\0';
	return strbuf_detach(&comm);
}

void target_identity_init(struct target_identity *id, uint32_t pid)
{
	id->comm = read_comm(pid);
	id->exe = read_exe(pid);
	id->cmdline = read_cmdline(pid);
}

static struct error *check_state(uint32_t pid, const char *status)
{
	const char *state = strstr(status, "\nState:");
	int64_t tgid = 0, kernel_thread = 0;

	if (procfs_field(status, "Tgid", &tgid) && tgid != (int64_t)pid)
		return error_create(ERROR_UNSUPPORTED,
				    "%" PRIu32 " is a thread of process %" PRId64
				    ": use -p %" PRId64,
				    pid, tgid, tgid);
	if (state && (state[8] == 'Z' || state[8] == 'X'))
		return error_create(ERROR_GONE,
				    "process %" PRIu32 " has ended (a zombie): nothing to watch",
				    pid);
	if (procfs_field(status, "Kthread", &kernel_thread) && kernel_thread)
		return error_create(ERROR_UNSUPPORTED,
				    "%" PRIu32 " is a kernel thread: it has no heap", pid);
	return NULL;
}

static struct error *check_executable(uint32_t pid)
{
	__cleanup_close int fd = -1;
	unsigned char ident[EI_NIDENT];
	char path[64];

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/exe", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return error_create(ERROR_UNSUPPORTED,
				    "process %" PRIu32 " has no program of its own "
				    "(a kernel thread, or it is just ending)",
				    pid);
	if (fd < 0)
		return error_create(ERROR_PERMISSION,
				    "not allowed to look into process %" PRIu32 ": %s; run as "
				    "root, or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE",
				    pid, strerror(errno));
	if (read(fd, ident, sizeof(ident)) == sizeof(ident) &&
	    !memcmp(ident, ELFMAG, SELFMAG) && ident[EI_CLASS] == ELFCLASS32)
		return error_create(ERROR_UNSUPPORTED,
				    "process %" PRIu32 " is a 32-bit program: "
				    "only 64-bit ones can be watched",
				    pid);
	return NULL;
}

struct error *target_check(uint32_t pid)
{
	struct strbuf status __cleanup_strbuf = { 0 };
	struct error *err;
	int ret;

	if (pid == (uint32_t)getpid())
		return error_create(ERROR_UNSUPPORTED, "%" PRIu32 " is heapsonde itself", pid);
	ret = procfs_read(pid, "status", &status);
	if (ret == -ENOENT || ret == -ESRCH)
		return error_create(ERROR_NOT_FOUND,
				    "no process has PID %" PRIu32 ": see ps or pidof", pid);
	if (ret)
		return error_errno(-ret, "reading the state of process %" PRIu32, pid);
	err = check_state(pid, strbuf_str(&status));
	return err ? err : check_executable(pid);
}

uint64_t target_loader(uint32_t pid)
{
	struct strbuf auxv __cleanup_strbuf = { 0 };

	if (procfs_read(pid, "auxv", &auxv))
		return 0;
	for (size_t at = 0; at + sizeof(Elf64_auxv_t) <= auxv.len; at += sizeof(Elf64_auxv_t)) {
		Elf64_auxv_t entry;

		memcpy(&entry, auxv.data + at, sizeof(entry));
		if (entry.a_type == AT_BASE)
			return entry.a_un.a_val;
	}
	return 0;
}

int target_seccomp(uint32_t pid)
{
	struct strbuf status __cleanup_strbuf = { 0 };
	int64_t mode = 0;

	if (!procfs_read(pid, "status", &status))
		procfs_field(strbuf_str(&status), "Seccomp", &mode);
	return (int)mode;
}

void target_namespaces(uint32_t pid, struct strbuf *ret)
{
	static const char *const kinds[] = { "user", "mnt", "pid" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char theirs[64], ours[64];
		struct stat there, here;

		snprintf(theirs, sizeof(theirs), "/proc/%" PRIu32 "/ns/%s", pid, kinds[i]);
		snprintf(ours, sizeof(ours), "/proc/self/ns/%s", kinds[i]);
		if (stat(theirs, &there) || stat(ours, &here) || there.st_ino == here.st_ino)
			continue;
		strbuf_addf(ret, "%s%s", ret->len ? " " : "", kinds[i]);
	}
}

double target_cpu_s(uint32_t pid)
{
	struct strbuf stat __cleanup_strbuf = { 0 };
	unsigned long long user, system;
	const char *p;

	if (procfs_read(pid, "stat", &stat))
		return -1;
	/* The name in parentheses may hold anything, parentheses too. */
	p = strrchr(strbuf_str(&stat), ')');
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
			 &user, &system) != 2)
		return -1;
	return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

bool target_state(uint32_t pid, struct target_state *ret)
{
	struct strbuf stat __cleanup_strbuf = { 0 };
	unsigned long long start_ticks;
	struct timespec now;
	const char *rest;
	char state;

	if (procfs_read(pid, "stat", &stat) || clock_gettime(CLOCK_BOOTTIME, &now))
		return false;
	/* The name may hold anything, parentheses too; fields are counted behind it. */
	rest = strrchr(strbuf_str(&stat), ')');
	if (!rest || sscanf(rest, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d"
			    " %*d %*d %*d %*d %llu", &state, &start_ticks) != 2)
		return false;
	ret->stopped = state == 'T' || state == 't';
	ret->uptime_s = (double)now.tv_sec + (double)now.tv_nsec / 1e9 -
			(double)start_ticks / (double)sysconf(_SC_CLK_TCK);
	return true;
}
