// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a malloc+free pair costs under every way of watching it, measured side
 * by side: the ways take turns, round after round, on fresh processes of the
 * same workload, and ratios are of the medians.
 *
 *	floor	heapsonde's probes at heapsonde's places, with empty programs
 *	waived	the same, where malloc's entry wants no return: two traps, the least that
 *		sampling can cost
 *	exact	heapsonde, stacks by unwind tables; _fp by frame pointers; _alternating
 *		where each stack differs from the one before
 *	sampled	heapsonde, one sample each 512 KiB
 *	bpftrace	a script that keeps the same books
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "base/error.h"
#include "capture/bpf_syscall.h"
#include "capture/discovery/discovery.h"
#include "capture/session.h"

#define ROUNDS 7
#define PAIRS "200000"

static void die(const char *what)
{
	fprintf(stderr, "pair: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void must(struct error *err)
{
	if (!err)
		return;
	fprintf(stderr, "pair: %s\n", err->message);
	exit(1);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static double own_cpu_s(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* --- the workload ------------------------------------------------------- */

struct churn {
	pid_t pid;
	FILE *in, *out;
};

static void churn_start(struct churn *c, const char *depth, const char *pairs, const char *rate,
			bool alternate)
{
	const char *o = getenv("O");
	int in[2], out[2];
	char path[4096], line[256];

	snprintf(path, sizeof(path), "%s/tests/workloads/churn", o ? o : "build");
	if (pipe(in) || pipe(out))
		die("pipe");
	c->pid = fork();
	if (c->pid < 0)
		die("fork");
	if (!c->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(out[0]);
		execl(path, "churn", "-w", "-D", depth, "-n", pairs, "-r", rate,
		      alternate ? "-a" : NULL, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	c->in = fdopen(in[1], "w");
	c->out = fdopen(out[0], "r");
	if (!fgets(line, sizeof(line), c->out) || strncmp(line, "ready", 5))
		die(path);
}

/* Lets it run; returns its nanoseconds of CPU per pair. */
static double churn_run(struct churn *c)
{
	char line[512];
	const char *at;

	fputs("go\n", c->in);
	fflush(c->in);
	if (!fgets(line, sizeof(line), c->out))
		die("the workload died");
	at = strstr(line, "\"ns_per_pair\":");
	if (!at)
		die(line);
	return atof(at + strlen("\"ns_per_pair\":"));
}

static void churn_end(struct churn *c)
{
	fclose(c->in);
	fclose(c->out);
	waitpid(c->pid, NULL, 0);
}

/* --- the ways to watch -------------------------------------------------- */

/* A program that does nothing: 0 lets the return probe happen, 1 waives it. */
static int empty_program(int result)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = result },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		    .expected_attach_type = (enum bpf_attach_type)ATTACH_TYPE_UPROBE_SESSION);
	int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "floor", "GPL", insns, 2, &opts);

	if (fd < 0)
		die("loading the empty program");
	return fd;
}

static int link_function(struct probe_plan *plan, const char *name, int prog, pid_t pid)
{
	uint64_t cookie = 0;
	char path[64];

	vec_for_each(object, &plan->objects) {
		vec_for_each(probe, &object->probes) {
			int fd;

			if (strcmp(probe->function->symbol, name))
				continue;
			snprintf(path, sizeof(path), "/proc/self/fd/%d", object->object->fd);
			fd = uprobe_multi_link(prog, ATTACH_TYPE_UPROBE_SESSION,
					       &(struct uprobe_multi){
						       .path = path,
						       .offsets = &probe->file_offset,
						       .cookies = &cookie,
						       .count = 1,
						       .pid = pid,
					       });
			if (fd < 0)
				die("linking the empty program");
			return fd;
		}
	}
	die(name);
	return -1;
}

static double watch_nothing(struct churn *c)
{
	return churn_run(c);
}

static double watch_empty(struct churn *c, bool returns)
{
	__cleanup(address_space_destroyp) struct address_space *as = address_space_create(c->pid);
	__cleanup(probe_plan_deinit) struct probe_plan plan = { 0 };
	int keep = empty_program(0), waive = empty_program(1), links[2];
	double ns;

	must(address_space_refresh(as, NULL));
	must(probe_plan_init(&plan, as, NULL, true));
	links[0] = link_function(&plan, "malloc", returns ? keep : waive, c->pid);
	links[1] = link_function(&plan, "free", waive, c->pid);
	ns = churn_run(c);
	close(links[0]);
	close(links[1]);
	close(keep);
	close(waive);
	return ns;
}

static double watch_floor(struct churn *c)
{
	return watch_empty(c, true);
}

static double watch_waived(struct churn *c)
{
	return watch_empty(c, false);
}

static struct session *start_session(const struct churn *c, bool frame_pointers,
				     uint64_t sample_bytes)
{
	const uint32_t pid = c->pid;
	struct session *session;

	must(session_create(&(struct session_settings){
		.pids = &pid, .pids_count = 1, .interval_s = 1, .method = ATTACH_BEST,
		.frame_pointers = frame_pointers, .max_depth = 128, .sample_bytes = sample_bytes,
		.max_size = UINT64_MAX }, &session));
	return session;
}

/* All of them, or the figure is worthless. */
static void check_complete(struct session *session)
{
	struct snapshot *snap;

	must(session_snapshot(session, 0, &snap));
	if (!snap->loss.complete || (double)snap->totals.m.alloc_count +
	    3 * snap->totals.m.alloc_count_error < atol(PAIRS)) {
		fprintf(stderr, "pair: lost events: %lld dropped, %lld seen\n",
			(long long)snap->loss.dropped_events,
			(long long)snap->totals.m.alloc_count);
		exit(1);
	}
	snapshot_destroy(snap);
}

static double watch_by(struct churn *c, bool frame_pointers, uint64_t sample_bytes)
{
	struct session *session = start_session(c, frame_pointers, sample_bytes);
	double ns = churn_run(c);

	session_stop(session);
	check_complete(session);
	session_destroy(session);
	return ns;
}

static double watch_exact(struct churn *c)
{
	return watch_by(c, false, 0);
}

static double watch_exact_fp(struct churn *c)
{
	return watch_by(c, true, 0);
}

static double watch_sampled(struct churn *c)
{
	return watch_by(c, false, 512 << 10);
}

/*
 * The same books as a script: size and stack per address, totals per stack.
 * Probed where any script would: at the functions' first bytes.
 */
static const char bpftrace_script[] =
	"uprobe:LIBC:malloc /pid == PID/ { @size[tid] = arg0; }\n"
	"uretprobe:LIBC:malloc /pid == PID && @size[tid]/ {\n"
	"	@live[retval] = @size[tid]; @where[retval] = ustack;\n"
	"	@bytes[ustack] = sum(@size[tid]); delete(@size[tid]); }\n"
	"uprobe:LIBC:free /pid == PID && @live[arg0]/ {\n"
	"	delete(@live[arg0]); delete(@where[arg0]); }\n"
	"BEGIN { printf(\"attached\\n\"); }\n";

static void substitute(char *script, size_t size, const char *libc, pid_t pid)
{
	char *at = script;
	const char *from = bpftrace_script;

	while (*from && (size_t)(at - script) < size - 300) {
		if (!strncmp(from, "LIBC", 4)) {
			at += sprintf(at, "%s", libc);
			from += 4;
		} else if (!strncmp(from, "PID", 3)) {
			at += sprintf(at, "%d", pid);
			from += 3;
		} else {
			*at++ = *from++;
		}
	}
	*at = '\0';
}

static void find_libc(pid_t pid, char *path, size_t size)
{
	__cleanup(address_space_destroyp) struct address_space *as = address_space_create(pid);
	__cleanup(probe_plan_deinit) struct probe_plan plan = { 0 };

	must(address_space_refresh(as, NULL));
	must(probe_plan_init(&plan, as, NULL, true));
	snprintf(path, size, "%s", plan.objects.data[plan.objects.len - 1].object->path);
}

static double watch_bpftrace(struct churn *c)
{
	char libc[256], script[2048], line[4096];
	int out[2];
	double ns;
	pid_t pid;
	FILE *f;

	find_libc(c->pid, libc, sizeof(libc));
	substitute(script, sizeof(script), libc, c->pid);
	if (pipe(out))
		die("pipe");
	pid = fork();
	if (!pid) {
		dup2(out[1], 1);
		close(out[0]);
		setenv("BPFTRACE_MAP_KEYS_MAX", "100000", 1);
		execlp("bpftrace", "bpftrace", "-e", script, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	do {
		if (!fgets(line, sizeof(line), f))
			return -1;
	} while (strncmp(line, "attached", 8));
	/* BEGIN runs before the probes are set. */
	sleep(2);
	ns = churn_run(c);
	kill(pid, SIGINT);
	while (fgets(line, sizeof(line), f))
		;
	fclose(f);
	waitpid(pid, NULL, 0);
	return ns;
}

/* --- measuring ----------------------------------------------------------- */

struct way {
	const char *name;
	double (*watch)(struct churn *c);
	const char *depth, *pairs;
	int rounds;
	bool quick;		/* also for who is tuning */
	bool alternate;
	double ns[ROUNDS];
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

enum { NOTHING, FLOOR, WAIVED, EXACT3, SAMPLED, NOTHING30, FLOOR30, EXACT30, EXACT30_FP,
       EXACT30_ALTERNATING, BPFTRACE, WAYS };

/* @quick: just floor and exact, for who is tuning. */
static void measure_pairs(bool quick)
{
	static struct way ways[WAYS] = {
		[NOTHING] = { "nothing", watch_nothing, "1", PAIRS, ROUNDS, .quick = true },
		[FLOOR] = { "floor", watch_floor, "1", PAIRS, ROUNDS, .quick = true },
		[WAIVED] = { "waived", watch_waived, "1", PAIRS, ROUNDS, .quick = true },
		[EXACT3] = { "exact", watch_exact, "1", PAIRS, ROUNDS, .quick = true },
		[SAMPLED] = { "sampled", watch_sampled, "1", PAIRS, ROUNDS, .quick = true },
		[NOTHING30] = { "nothing_30", watch_nothing, "28", PAIRS, ROUNDS },
		[FLOOR30] = { "floor_30", watch_floor, "28", PAIRS, ROUNDS },
		[EXACT30] = { "exact_30", watch_exact, "28", PAIRS, ROUNDS, .quick = true },
		[EXACT30_FP] = { "exact_30_fp", watch_exact_fp, "28", PAIRS, ROUNDS },
		[EXACT30_ALTERNATING] = { "exact_30_alternating", watch_exact, "28", PAIRS, ROUNDS,
					  .alternate = true },
		[BPFTRACE] = { "bpftrace", watch_bpftrace, "1", "50000", 3 },
	};
	double base, m[WAYS];

	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < WAYS; i++) {
			struct churn c;

			if (round >= ways[i].rounds || (quick && !ways[i].quick))
				continue;
			churn_start(&c, ways[i].depth, ways[i].pairs, "0", ways[i].alternate);
			ways[i].ns[round] = ways[i].watch(&c);
			churn_end(&c);
		}
	}
	for (int i = 0; i < WAYS; i++) {
		m[i] = median(ways[i].ns, ways[i].rounds);
		if (m[i] > 0)
			printf("bench pair_%s %.0f ns\n", ways[i].name, m[i]);
	}
	base = m[NOTHING];
	printf("bench exact_to_floor_3_frames %.2f ratio <=1.25\n", m[EXACT3] / m[FLOOR]);
	printf("bench sampled_to_floor %.2f ratio <=0.75\n", m[SAMPLED] / m[FLOOR]);
	printf("bench waived_to_floor %.2f ratio\n", m[WAIVED] / m[FLOOR]);
	if (quick)
		return;
	printf("bench exact_to_floor_30_frames_fp %.2f ratio <=1.6\n",
	       m[EXACT30_FP] / m[FLOOR30]);
	printf("bench exact_to_floor_30_frames %.2f ratio <=1.9\n", m[EXACT30] / m[FLOOR30]);
	printf("bench exact_to_floor_30_frames_alternating %.2f ratio <=1.9\n",
	       m[EXACT30_ALTERNATING] / m[FLOOR30]);
	if (m[BPFTRACE] > 0)
		printf("bench bpftrace_to_exact_added %.1f ratio >=5\n",
		       (m[BPFTRACE] - base) / (m[EXACT3] - base));
	else
		fprintf(stderr, "pair: bpftrace did not run: not compared\n");
}

static void measure_attach(void)
{
	double attach[ROUNDS], detach[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		struct session *session;
		struct churn c;
		double start;

		churn_start(&c, "1", "1000", "0", false);
		start = now_s();
		session = start_session(&c, false, 0);
		attach[round] = now_s() - start;
		start = now_s();
		session_stop(session);
		detach[round] = now_s() - start;
		session_destroy(session);
		churn_run(&c);
		churn_end(&c);
	}
	printf("bench attach %.3f s <=0.3\n", median(attach, ROUNDS));
	printf("bench detach %.3f s <=0.3\n", median(detach, ROUNDS));
}

/* heapsonde's own price at 400,000 pairs a second, as far as the workload gets there. */
static void measure_own_cpu(void)
{
	struct session *session;
	enum session_state state;
	volatile sig_atomic_t interrupted = 0;
	double cpu, start, wall;
	struct snapshot *snap;
	struct churn c;

	churn_start(&c, "1", "1200000", "400000", false);
	session = start_session(&c, false, 0);
	cpu = own_cpu_s();
	start = now_s();
	fputs("go\n", c.in);
	fflush(c.in);
	must(session_run(session, 3, &interrupted, &state));
	wall = now_s() - start;
	cpu = own_cpu_s() - cpu;
	must(session_snapshot(session, 0, &snap));
	printf("bench own_cpu_pairs_per_s %.0f pairs/s\n", snap->totals.m.alloc_count / wall);
	printf("bench own_cpu_at_400k_pairs %.2f cores <=0.5\n",
	       cpu / wall * 400000 / (snap->totals.m.alloc_count / wall));
	printf("bench own_cpu_dropped %lld events\n", (long long)snap->loss.dropped_events);
	snapshot_destroy(snap);
	session_stop(session);
	session_destroy(session);
	kill(c.pid, SIGKILL);
	churn_end(&c);
}

int main(int argc, char **argv)
{
	bool quick = argc > 1 && !strcmp(argv[1], "quick");

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (!quick) {
		measure_attach();
		measure_own_cpu();
	}
	measure_pairs(quick);
	return 0;
}
