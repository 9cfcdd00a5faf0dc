// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What attaching costs to a process that has mapped 300 libraries of this
 * system: without the cache of unwind tables, filling it, and with it. Files
 * are in the page cache in all three.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "capture/session.h"

#define ROUNDS 5
#define LIBRARIES "300"

/* Prints how many it has mapped. Those that take over the process are left out. */
static const char target[] =
	"import ctypes, glob, os, re, signal, sys\n"
	"want, seen, mapped = int(sys.argv[1]), set(), 0\n"
	"takes_over = re.compile('san|memusage|pcprofile|malloc|segfault|eatmydata|fakeroot')\n"
	"for path in sorted(glob.glob('/usr/lib/*-linux-gnu/**/*.so*', recursive=True) +\n"
	"                   glob.glob('/usr/lib64/**/*.so*', recursive=True) +\n"
	"                   glob.glob('/usr/lib/llvm*/lib/*.so*')):\n"
	"    real = os.path.realpath(path)\n"
	"    if real in seen or not os.path.isfile(real) or takes_over.search(real):\n"
	"        continue\n"
	"    seen.add(real)\n"
	"    try:\n"
	"        ctypes.CDLL(real)\n"
	"    except OSError:\n"
	"        continue\n"
	"    lines = [line.split() for line in open('/proc/self/maps')]\n"
	"    mapped = len({l[5] for l in lines if l[1] == 'r-xp' and len(l) > 5})\n"
	"    if mapped >= want:\n"
	"        break\n"
	"print(mapped, flush=True)\n"
	"signal.pause()\n";

static void must(struct error *err)
{
	if (!err)
		return;
	fprintf(stderr, "attach_libraries: %s\n", err->message);
	exit(1);
}

static pid_t start_target(int *mapped_ret)
{
	char line[64] = "";
	int out[2];
	pid_t pid;
	FILE *f;

	if (pipe(out))
		exit(1);
	pid = fork();
	if (!pid) {
		dup2(out[1], STDOUT_FILENO);
		execlp("python3", "python3", "-c", target, LIBRARIES, NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	if (!f || !fgets(line, sizeof(line), f)) {
		fprintf(stderr, "attach_libraries: python3 could not load libraries\n");
		exit(1);
	}
	*mapped_ret = atoi(line);
	return pid;
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static double attach(pid_t pid, bool no_cache)
{
	const uint32_t pids[] = { pid };
	const struct session_settings settings = {
		.pids = pids, .pids_count = 1, .interval_s = 1, .max_depth = 128,
		.max_size = UINT64_MAX, .no_table_cache = no_cache,
	};
	struct session *session;
	double start = now_s();

	must(session_create(&settings, &session));
	start = now_s() - start;
	session_destroy(session);
	return start;
}

static int by_value(const void *va, const void *vb)
{
	const double *a = va, *b = vb;

	return (*a > *b) - (*a < *b);
}

static double median_attach(pid_t pid, bool no_cache)
{
	double s[ROUNDS];

	for (int i = 0; i < ROUNDS; i++)
		s[i] = attach(pid, no_cache);
	qsort(s, ROUNDS, sizeof(*s), by_value);
	return s[ROUNDS / 2];
}

int main(void)
{
	char dir[] = "/tmp/heapsonde-bench-XXXXXX", command[64];
	int mapped;
	pid_t pid;

	if (!mkdtemp(dir))
		return 1;
	setenv("HEAPSONDE_CACHE_DIR", dir, 1);
	pid = start_target(&mapped);
	printf("bench attach_libraries_mapped %d libraries\n", mapped);
	attach(pid, true);
	printf("bench attach_libraries_no_cache %.3f s\n", median_attach(pid, true));
	printf("bench attach_libraries_cold_cache %.3f s\n", attach(pid, false));
	printf("bench attach_libraries_warm_cache %.3f s <=1\n", median_attach(pid, false));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command) != 0;
}
