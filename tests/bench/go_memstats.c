// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a reading of a Go runtime's books (runtime.MemStats) costs, of a program
 * that has allocated, by each toolchain there is: the median of many.
 */
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/error.h"
#include "capture/go/runtime.h"
#include "symbol/symbolizer.h"

#define READINGS 1000

struct program {
	pid_t pid;
	FILE *in, *out;
};

static void die(const char *what)
{
	fprintf(stderr, "go_memstats: %s\n", what);
	exit(1);
}

static void start(struct program *p, const char *path)
{
	int in[2], out[2];

	if (pipe(in) || pipe(out))
		die("no pipe");
	p->pid = fork();
	if (!p->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl(path, path, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	p->in = fdopen(in[1], "w");
	p->out = fdopen(out[0], "r");
}

static void tell(struct program *p, const char *command)
{
	char line[256];

	fprintf(p->in, "%s\n", command);
	fflush(p->in);
	if (!fgets(line, sizeof(line), p->out))
		die("the program does not answer");
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_us(struct go_runtime *go)
{
	struct runtime_figures figures;
	static double us[READINGS];

	for (int i = 0; i < READINGS; i++) {
		double begun = now_us();
		struct error *err = go_runtime_read(go, &figures);

		if (err)
			die(err->message);
		us[i] = now_us() - begun;
	}
	qsort(us, READINGS, sizeof(*us), by_value);
	return us[READINGS / 2];
}

/* The proof of the layout is the first reading's, and not measured. */
static void measure(const char *path)
{
	struct address_space *as;
	struct runtime_figures figures;
	struct go_runtime *go = NULL;
	struct program p;
	struct error *err;

	start(&p, path);
	tell(&p, "work 50000");
	as = address_space_create((uint32_t)p.pid);
	err = address_space_refresh(as, NULL);
	if (!err)
		err = go_runtime_open((uint32_t)p.pid, as, &go);
	if (!err && !go)
		die("not recognised");
	if (!err)
		err = go_runtime_read(go, &figures);
	if (err)
		die(err->message);
	printf("bench %.6s_memstats_snapshot %.1f us <=100\n", go_runtime_version(go),
	       median_us(go));
	go_runtime_close(go);
	address_space_destroy(as);
	kill(p.pid, SIGKILL);
	waitpid(p.pid, NULL, 0);
	fclose(p.in);
	fclose(p.out);
}

int main(void)
{
	const char *o = getenv("O");
	glob_t programs;
	char pattern[256];

	snprintf(pattern, sizeof(pattern), "%s/go/*/sites-default", o ? o : "build");
	if (glob(pattern, 0, NULL, &programs))
		die("no Go program: make fetch-targets go-programs");
	for (size_t i = 0; i < programs.gl_pathc; i++)
		measure(programs.gl_pathv[i]);
	globfree(&programs);
	return 0;
}
