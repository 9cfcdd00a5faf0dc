// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading a running Go program's books: which layouts are believed, and which not. */
#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/go_programs.h"
#include "tests/unit/test.h"
#include "tests/unit/symbol_helpers.h"
#include "capture/go/runtime.h"
#include "symbol/symbolizer.h"

/* A program of `make go-programs`, told what to do by lines. */
struct program {
	pid_t pid;
	FILE *in, *out;
	struct address_space *as;
	struct go_runtime *go;
};

static void program_deinit(struct program *p)
{
	go_runtime_close(p->go);
	address_space_destroy(p->as);
	if (p->pid) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	if (p->in)
		fclose(p->in);
	if (p->out)
		fclose(p->out);
}

static void tell(struct program *p, const char *command)
{
	char line[8192];

	fprintf(p->in, "%s\n", command);
	fflush(p->in);
	check(fgets(line, sizeof(line), p->out));
}

static void start(struct program *p, const char *path)
{
	int in[2], out[2];

	check(!pipe(in) && !pipe(out));
	p->pid = fork();
	if (!p->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	p->in = fdopen(in[1], "w");
	p->out = fdopen(out[0], "r");
	tell(p, "keep 1000 600");
	tell(p, "gc");
	tell(p, "keep 100 100000");
	p->as = address_space_create((uint32_t)p->pid);
	check(!address_space_refresh(p->as, NULL));
	check(!go_runtime_open((uint32_t)p->pid, p->as, &p->go));
	check(p->go);
}

static void for_each_program(void (*body)(struct program *, unsigned int minor))
{
	const glob_t *found = go_programs("server", "small");

	for (size_t i = 0; i < found->gl_pathc; i++) {
		__cleanup(program_deinit) struct program p = { 0 };
		unsigned int minor = 0;

		start(&p, found->gl_pathv[i]);
		check(sscanf(go_runtime_version(p.go), "go1.%u", &minor) == 1);
		body(&p, minor);
	}
}

static void check_own(struct program *p, unsigned int minor)
{
	struct runtime_figures f;
	__cleanup_error struct error *err = go_runtime_read(p->go, &f);

	if (err)
		test_fail("1.%u: %s", minor, err->message);
	check(f.HeapAlloc > 10000000 && f.HeapAlloc <= f.HeapInuse);
	check_int(f.NumForcedGC, 1);
	check_int(f.GOGC, 100);
	check_int(f.MemoryLimit, RUNTIME_NO_LIMIT);
}

TEST(every_version_fits_its_own_layout)
{
	for_each_program(check_own);
}

/* Versions between which no offset that is read changed may fit each other. */
static bool are_kin(unsigned int a, unsigned int b)
{
	return a == b || (a >= 22 && a <= 24 && b >= 22 && b <= 24) || (a >= 25 && b >= 25);
}

static void check_others(struct program *p, unsigned int minor)
{
	for (int i = 0; i < GO_VERSIONS; i++) {
		struct runtime_figures f;
		struct error *err;
		bool refused;

		if (are_kin(minor, go_layouts[i].minor))
			continue;
		go_runtime_pretend(p->go, go_layouts[i].minor);
		err = go_runtime_read(p->go, &f);
		refused = err != NULL;
		error_destroy(err);
		if (!refused)
			test_fail("1.%u is believed to be 1.%u", minor, go_layouts[i].minor);
	}
}

TEST(no_version_fits_anothers_layout)
{
	for_each_program(check_others);
}

static void check_unknown(struct program *p, unsigned int minor)
{
	go_runtime_pretend(p->go, 99);
	check_own(p, minor);
}

TEST(an_unknown_version_is_tried_with_all)
{
	for_each_program(check_unknown);
}

static void check_gone(struct program *p, unsigned int minor)
{
	struct runtime_figures f;
	struct error *err;
	enum error_code code;

	check_own(p, minor);
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	p->pid = 0;
	err = go_runtime_read(p->go, &f);
	check(err);
	code = err->code;
	error_destroy(err);
	check_int(code, ERROR_GONE);
}

TEST(a_process_that_ended_is_gone)
{
	for_each_program(check_gone);
}
