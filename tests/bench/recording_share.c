// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which share of heapsonde's own CPU time goes into the recording: a program with
 * 5,000 call paths that allocates 100,000 times a second if it can, watched and recorded each
 * second as 'heapsonde record' does. Needs root.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "capture/session.h"
#include "recording/writer.h"

#define SECONDS 20
#define WARM_UP 4

static double cpu_s(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void must(struct error *err)
{
	if (!err)
		return;
	fprintf(stderr, "%s\n", err->message);
	exit(1);
}

static pid_t start_paths(void)
{
	__cleanup_free char *program = xasprintf("%s/tests/workloads/paths",
						 getenv("O") ? getenv("O") : "build");
	int fds[2];
	char ready;
	pid_t pid;

	if (pipe(fds))
		exit(1);
	pid = fork();
	if (!pid) {
		dup2(fds[1], 1);
		execl(program, program, "5000", "100000", NULL);
		_exit(127);
	}
	close(fds[1]);
	if (pid < 0 || read(fds[0], &ready, 1) != 1)
		exit(1);
	return pid;
}

/* CPU time of all appends; @stacks_ret: how many there were in the last one. */
static double record(struct session *session, struct recording *rec, size_t *stacks_ret,
		     double *allocs_per_s_ret)
{
	static const volatile sig_atomic_t never;
	enum session_state state;
	double spent = 0;

	for (int i = 0; i < SECONDS; i++) {
		__cleanup(snapshot_destroyp) struct snapshot *snap = NULL;
		double start;

		must(session_run(session, 1, &never, &state));
		must(session_snapshot(session, SNAPSHOT_NEW_NAMES | SNAPSHOT_OLDEST, &snap));
		start = cpu_s(CLOCK_THREAD_CPUTIME_ID);
		must(recording_append(rec, snap, false));
		/* The first ones describe all stacks, which an hour does not notice. */
		spent += i >= WARM_UP ? cpu_s(CLOCK_THREAD_CPUTIME_ID) - start : 0;
		*stacks_ret = snap->stacks.len;
		*allocs_per_s_ret = (double)snap->totals.m.alloc_count / snap->duration_s;
	}
	return spent;
}

int main(void)
{
	const struct recording_settings keep = RECORDING_SETTINGS_DEFAULT;
	char dir[] = "/tmp/heapsonde-bench.XXXXXX";
	__cleanup_free char *path = NULL;
	pid_t pid = start_paths();
	uint32_t target = (uint32_t)pid;
	const struct session_settings settings = {
		.pids = &target, .pids_count = 1, .interval_s = 1, .max_depth = 128,
		.max_size = UINT64_MAX,
	};
	struct session *session;
	struct recording *rec;
	double before, spent, all, allocs_per_s = 0;
	size_t stacks = 0;

	if (!mkdtemp(dir))
		return 1;
	path = xasprintf("%s/x.heapsonde", dir);
	must(recording_create(path, &keep, &rec));
	must(session_create(&settings, &session));
	before = cpu_s(CLOCK_PROCESS_CPUTIME_ID);
	spent = record(session, rec, &stacks, &allocs_per_s);
	all = cpu_s(CLOCK_PROCESS_CPUTIME_ID) - before;
	session_destroy(session);
	must(recording_close(rec));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	printf("bench recording_share/stacks %zu of_5000\n", stacks);
	printf("bench recording_share/allocations %.0f per_s\n", allocs_per_s);
	printf("bench recording_share/own_cpu %.2f %%_of_a_core\n", all / SECONDS * 100);
	printf("bench recording_share/append %.2f ms\n", spent / (SECONDS - WARM_UP) * 1e3);
	printf("bench recording_share/of_own_cpu %.1f %% <=3\n",
	       spent / (SECONDS - WARM_UP) / (all / SECONDS) * 100);
	unlink(path);
	rmdir(dir);
	return 0;
}
