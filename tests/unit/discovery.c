// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Discovery: on this process itself, on libraries built for the purpose and
 * loaded into it, and on statically linked programs.
 */
#include "tests/unit/test.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/discovery/discovery.h"

static char directory[] = "/tmp/heapsonde-discovery-XXXXXX";

static void remove_directory(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", directory);
	if (system(command))
		fprintf(stderr, "%s is left behind\n", directory);
}

/* Compiles @code with @flags; skips the case on a machine without a compiler. */
static const char *build(const char *name, const char *flags, const char *code)
{
	static char path[128];
	char command[512];
	FILE *source;

	if (strstr(directory, "XXXXXX")) {
		check(mkdtemp(directory));
		atexit(remove_directory);
	}
	snprintf(path, sizeof(path), "%s/%s.c", directory, name);
	source = fopen(path, "w");
	check(source);
	fputs(code, source);
	fclose(source);
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	snprintf(command, sizeof(command), "cc -O1 -w -fno-builtin %s -o %s %s.c 2>/dev/null",
		 flags, path, path);
	if (system(command))
		test_skip("cc %s does not work here", flags);
	return path;
}

struct view {
	struct address_space *as;
	struct probe_plan plan;
};

static void view_init(struct view *v, pid_t pid)
{
	v->as = address_space_create(pid);
	check_ok(address_space_refresh(v->as, NULL));
	check_ok(probe_plan_init(&v->plan, v->as, NULL, true));
}

static void view_deinit(struct view *v)
{
	probe_plan_deinit(&v->plan);
	address_space_destroy(v->as);
}

static struct object_plan *find_object(struct view *v, const char *name)
{
	vec_for_each(op, &v->plan.objects)
		if (strstr(op->object->path, name))
			return op;
	return NULL;
}

static struct planned_probe *find_probe(struct object_plan *op, const char *symbol)
{
	vec_for_each(probe, &op->probes)
		if (!strcmp(probe->symbol.name, symbol))
			return probe;
	return NULL;
}

static bool has_note(struct view *v, const char *a, const char *b)
{
	vec_for_each(note, &v->plan.notes)
		if (strstr(*note, a) && strstr(*note, b))
			return true;
	return false;
}

/* Where the probe is in this process, found by the mapping of its file offset. */
static uintptr_t address_here(struct view *v, struct object_plan *op, struct planned_probe *probe)
{
	const struct mapping_vec *mappings = address_space_mappings(v->as);

	vec_for_each(m, mappings) {
		if (m->object == op->object &&
		    probe->file_offset - m->file_offset < m->end - m->start)
			return m->start + probe->file_offset - m->file_offset;
	}
	return 0;
}

static void check_plan(struct view *v)
{
	vec_for_each(op, &v->plan.objects) {
		check(op->probes.len);
		vec_for_each(probe, &op->probes) {
			check(probe->function == &allocator_functions[probe->func]);
			check(probe->text_after);
			check(*probe->placement.instruction && *probe->placement.reason);
			for (struct planned_probe *p = op->probes.data; p < probe; p++)
				check(p->symbol.vaddr != probe->symbol.vaddr);
		}
	}
}

TEST(own_c_library)
{
	static const char *const functions[] = { "malloc", "free", "calloc", "realloc",
						 "posix_memalign", "mmap", "munmap", "sbrk" };
	void *libc = dlopen("libc.so.6", RTLD_NOLOAD | RTLD_LAZY);
	struct object_plan *op;
	struct view v;

	if (!libc)
		test_skip("not linked with glibc");
	view_init(&v, getpid());
	check_plan(&v);
	op = find_object(&v, "/libc");
	check(op);
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		struct planned_probe *probe = find_probe(op, functions[i]);
		uintptr_t address = (uintptr_t)dlsym(libc, functions[i]);

		if (!probe)
			test_fail("%s is not planned", functions[i]);
		check_int(address_here(&v, op, probe), address + probe->placement.offset);
	}
	check(find_probe(op, "malloc")->returns);
	check(!find_probe(op, "free")->returns);
	check(!find_probe(op, "munmap")->returns);
	/* aliases of others on every 64-bit glibc */
	check(!find_probe(op, "mmap64"));
	check(!find_probe(op, "cfree"));
	check(!find_object(&v, "/ld-"));
	view_deinit(&v);
	dlclose(libc);
}

/* The text range holds the probe and ends where the segment does. */
TEST(text_range)
{
	struct view v;

	view_init(&v, getpid());
	vec_for_each(op, &v.plan.objects) {
		const struct object_segment *segments;
		size_t count = object_segments(op->object, &segments);

		vec_for_each(probe, &op->probes) {
			uint64_t vaddr = probe->symbol.vaddr + probe->placement.offset;
			bool found = false;

			for (size_t i = 0; i < count; i++)
				found |= segments[i].vaddr == vaddr - probe->text_before &&
					 segments[i].size == probe->text_before + probe->text_after;
			check(found);
		}
	}
	view_deinit(&v);
}

static const char wrapper_code[] =
	"#include <stddef.h>\n"
	"void *malloc(size_t n) { static char a[4096]; return n < 4096 ? a : NULL; }\n"
	"void free(void *p) { static int calls; calls++; }\n"
	"void *calloc(size_t n, size_t m) { return malloc(n * m); }\n"
	"void cfree(void *) __attribute__((alias(\"calloc\")));\n"
	"void *mmap(void) { return NULL; }\n"
	"asm(\".globl valloc\\n.type valloc, @function\\nvalloc: jmp valloc\\n\"\n"
	"    \".globl pvalloc\\n.type pvalloc, @function\\npvalloc: nop\\nret\\n\");\n";

TEST(allocator_in_front)
{
	const char *path = build("wrapper.so", "-shared -fPIC -Wl,-Bsymbolic", wrapper_code);
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	struct object_plan *front, *libc;
	struct view v;

	if (!lib)
		test_fail("%s", dlerror());
	view_init(&v, getpid());
	check_plan(&v);
	front = find_object(&v, "wrapper.so");
	check(front);
	check(find_probe(front, "malloc") && find_probe(front, "free"));
	check(find_probe(front, "free")->returns);
	check(strstr(find_probe(front, "free")->placement.reason, "nested"));
	/* mmap is looked for in the C library alone */
	check(!find_probe(front, "mmap"));
	/* another kind at the same address: said, and the first row stays */
	check(find_probe(front, "calloc") && !find_probe(front, "cfree"));
	check(has_note(&v, "wrapper.so", "cfree is at the address of calloc"));
#if defined(__x86_64__)
	check(!find_probe(front, "valloc"));
	check(has_note(&v, "wrapper.so", "valloc is not probed"));
	check(find_probe(front, "pvalloc")->placement.emulated);
#endif
	libc = find_object(&v, "/libc");
	check(libc && !find_probe(libc, "free")->returns);
	view_deinit(&v);
	dlclose(lib);
}

static pid_t start(const char *path);
static void stop(pid_t pid);

/* Built for the purpose, with a prefix, aliases and functions that only jump. */
static const char family_code[] =
	"#include <stddef.h>\n"
	"static char a[4096];\n"
	"void *je_malloc(size_t n) { return n < 4096 ? a : NULL; }\n"
	"void je_free(void *p) { a[0]++; }\n"
	"void *je_mallocx(size_t n, int f) { return je_malloc(n + f); }\n"
	"void je_dallocx(void *p, int f) { a[f] = 1; }\n"
	"size_t je_xallocx(void *p, size_t n, size_t e, int f) { return n + e; }\n"
	"void *_Znwm(size_t n) { a[1]++; return n < 4096 ? a : NULL; }\n"
	"void *_Znam(size_t n) __attribute__((alias(\"_Znwm\")));\n"
	"void _ZdlPv(void *p) { je_free(p); }\n"
	"static void *malloc(size_t n) { return a + n; }\n"
	"void *use(void) { return malloc(1); }\n";

TEST(prefixed_family)
{
	const char *path = build("family.so", "-shared -fPIC -O2 -fno-plt", family_code);
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	struct object_plan *op;
	struct view v;

	check(lib);
	view_init(&v, getpid());
	check_plan(&v);
	op = find_object(&v, "family.so");
	check(op && find_probe(op, "je_malloc") && find_probe(op, "je_free"));
	check(find_probe(op, "je_mallocx") && find_probe(op, "je_dallocx"));
	check_int(find_probe(op, "je_xallocx")->function->kind, PROBE_RESIZE);
	/* A name that says so little must be exported. */
	check(!find_probe(op, "malloc"));
	/* An exception may leave it: its return instructions instead of a return probe. */
	check(!!find_probe(op, "_Znwm") != !!find_probe(op, "_Znam"));
	op = find_object(&v, "family.so");
	vec_for_each(probe, &op->probes) {
		bool throws = !strncmp(probe->symbol.name, "_Zn", 3);

		check(!throws || !probe->returns);
		check_int(probe->exits.len > 0, throws);
	}
#if defined(__x86_64__)
	/* It jumps to je_free, which is probed. */
	check(!find_probe(op, "_ZdlPv"));
#endif
	view_deinit(&v);
	dlclose(lib);
}

static const char alias_code[] =
	"#include <stddef.h>\n"
	"static char a[4096];\n"
	"void *xx_malloc(size_t n) { a[0]++; return a + n; }\n"
	"void *xx_valloc(size_t) __attribute__((alias(\"xx_malloc\")));\n"
	"void *xx_pvalloc(size_t) __attribute__((alias(\"xx_malloc\")));\n"
	"void *xx_calloc(size_t) __attribute__((alias(\"xx_malloc\")));\n"
	"void xx_free(void *p) { a[1]++; }\n"
	"void xx_cfree(void *) __attribute__((alias(\"xx_free\")));\n";

/* Of several names of one function one counts, and one that means something else is told of. */
TEST(aliases_at_one_address)
{
	void *lib = dlopen(build("aliases.so", "-shared -fPIC -O2", alias_code),
			   RTLD_NOW | RTLD_LOCAL);
	struct allocator_choice choice = { .prefix = "xx_" };
	struct object_plan *op;
	struct view v;

	check(lib);
	v.as = address_space_create(getpid());
	check_ok(address_space_refresh(v.as, NULL));
	check_ok(probe_plan_init(&v.plan, v.as, &choice, true));
	op = find_object(&v, "aliases.so");
	check(op);
	check_int(op->probes.len, 2);
	check(has_note(&v, "aliases.so", "xx_calloc is at the address of xx_malloc"));
	view_deinit(&v);
	dlclose(lib);
}

#if defined(__x86_64__)
/*
 * A library that only passes on to the C library's functions, through stubs of its
 * linkage table: its own names are probed where they are, the stubs are nobody's.
 */
TEST(stubs_of_the_linkage_table)
{
	static const char code[] =
		"#include <stdlib.h>\n"
		"void *yy_malloc(size_t n) { return malloc(n); }\n"
		"void yy_free(void *p) { free(p); }\n"
		"void *yy_calloc(size_t n, size_t m) { void *p = calloc(n, m); return p; }\n";
	void *lib = dlopen(build("stubs.so", "-shared -fPIC -O2", code), RTLD_NOW | RTLD_LOCAL);
	struct allocator_choice choice = { .prefix = "yy_" };
	struct object_plan *op;
	struct view v;

	check(lib);
	v.as = address_space_create(getpid());
	check_ok(address_space_refresh(v.as, NULL));
	check_ok(probe_plan_init(&v.plan, v.as, &choice, true));
	op = find_object(&v, "stubs.so");
	vec_for_each(object, &v.plan.objects)
		vec_for_each(probe, &object->probes)
			check(!strstr(probe->symbol.name, "@plt"));
	/* Whoever jumps to another library's function is in front of it, and counts. */
	check(op && find_probe(op, "yy_malloc") && find_probe(op, "yy_free"));
	check(find_probe(op, "yy_free")->returns);
	view_deinit(&v);
	dlclose(lib);
}
#endif

/* A static program's je_malloc and a hidden heap count by their local symbols. */
TEST(hidden_heap)
{
	static const char code[] =
		"#include <stddef.h>\n#include <unistd.h>\n"
		"#define HIDE __attribute__((visibility(\"hidden\"), noinline))\n"
		"static char a[4096];\n"
		"HIDE void *malloc(size_t n) { a[0]++; return a + n; }\n"
		"HIDE void *calloc(size_t n, size_t m) { a[1]++; return a + n * m; }\n"
		"HIDE void *realloc(void *p, size_t n) { a[2]++; return a + n; }\n"
		"HIDE void free(void *p) { a[3]++; }\n"
		"int main(void) { free(realloc(calloc(1, (size_t)malloc(2)), 3));\n"
		"	write(1, \"x\", 1); sleep(60); return 0; }\n";
	pid_t pid = start(build("hidden", "", code));
	struct object_plan *op;
	struct view v;

	view_init(&v, pid);
	stop(pid);
	op = find_object(&v, "hidden");
	check(op && find_probe(op, "malloc") && find_probe(op, "free"));
	view_deinit(&v);
}

/* @description applied to this process with @code loaded: what comes of it. */
static void view_described(struct view *v, struct allocator_choice *choice, void **lib,
			   const char *name, const char *code, const char *description)
{
	*lib = dlopen(build(name, "-shared -fPIC -O2", code), RTLD_NOW | RTLD_LOCAL);
	check(*lib);
	check_ok(allocator_choice_add(choice, description));
	v->as = address_space_create(getpid());
	check_ok(address_space_refresh(v->as, NULL));
	check_ok(probe_plan_init(&v->plan, v->as, choice, true));
}

static void refused_because(struct view *v, struct allocator_choice *choice, const char *why)
{
	struct error *err = probe_plan_check(&v->plan, choice);

	check(err && err->code == ERROR_USAGE);
	if (!strstr(err->message, why))
		test_fail("'%s' does not say '%s'", err->message, why);
	error_destroy(err);
}

static void end_described(struct view *v, struct allocator_choice *choice, void *lib)
{
	view_deinit(v);
	allocator_choice_deinit(choice);
	dlclose(lib);
}

/* Two local functions of one name: both are meant, and it is said. */
TEST(symbol_twice_in_one_object)
{
	static const char code[] =
		"static char a[64];\n"
		"static __attribute__((noinline)) void *cut(long n) { a[0]++; return a + n; }\n"
		"void *NAME(long n) { return cut(n) + 1; }\n";
	struct allocator_choice choice = { 0 };
	char flags[256];
	struct view v;
	void *lib;

	snprintf(flags, sizeof(flags), "-shared -fPIC -O2 -DNAME=two %s",
		 build("twin.o", "-c -fPIC -O2 -DNAME=one", code));
	lib = dlopen(build("twice.so", flags, code), RTLD_NOW | RTLD_LOCAL);
	check(lib);
	check_ok(allocator_choice_add(&choice, "cut alloc size=0"));
	v.as = address_space_create(getpid());
	check_ok(address_space_refresh(v.as, NULL));
	check_ok(probe_plan_init(&v.plan, v.as, &choice, true));
	check(find_object(&v, "twice.so"));
	check_int(find_object(&v, "twice.so")->probes.len, 2);
	check(has_note(&v, "twice.so", "cut stands for 2 functions"));
	check_ok(probe_plan_check(&v.plan, &choice));
	end_described(&v, &choice, lib);
}

TEST(indirect_function)
{
	struct allocator_choice choice = { 0 };
	struct view v;
	void *lib;

	view_described(&v, &choice, &lib, "indirect.so",
		       "static char a[64];\n"
		       "static void *real(long n) { return a + n; }\n"
		       "static void *choose(void) { return real; }\n"
		       "void *cut(long n) __attribute__((ifunc(\"choose\")));\n",
		       "cut alloc size=0");
	check(!find_object(&v, "indirect.so"));
	refused_because(&v, &choice, "indirect function");
	end_described(&v, &choice, lib);
}

#if defined(__x86_64__)
TEST(function_that_cannot_be_probed)
{
	struct allocator_choice choice = { 0 };
	struct view v;
	void *lib;

	view_described(&v, &choice, &lib, "short.so",
		       "asm(\".globl cut\\n.type cut, @function\\n"
		       "cut: hlt\\n.size cut, 1\\n\");\n", "cut free ptr=0");
	refused_because(&v, &choice, "cut is not probed");
	end_described(&v, &choice, lib);
}
#endif

TEST(address_outside_of_code)
{
	struct allocator_choice choice = { 0 };
	struct view v;
	void *lib;

	view_described(&v, &choice, &lib, "address.so", "int x;\n",
		       "0x7fffffff0000@address.so free ptr=0");
	refused_because(&v, &choice, "is not probed");
	end_described(&v, &choice, lib);
}

/* Half an allocator is none: a library that interposes malloc alone passes it on. */
TEST(malloc_without_free)
{
	const char *path = build("half.so", "-shared -fPIC",
				 "#include <stddef.h>\nvoid *malloc(size_t n) { return NULL; }\n");
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	struct view v;

	check(lib);
	view_init(&v, getpid());
	check(!find_object(&v, "half.so"));
	view_deinit(&v);
	dlclose(lib);
}

TEST(unwinder)
{
	void *lib = dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_LOCAL);
	struct object_plan *op;
	struct view v;

	if (!lib)
		test_skip("no libgcc_s");
	view_init(&v, getpid());
	op = find_object(&v, "libgcc_s");
	check(op && find_probe(op, "_Unwind_RaiseException"));
	check_int(find_probe(op, "_Unwind_RaiseException")->function->kind, PROBE_LEAVE);
	check(!find_probe(op, "_Unwind_RaiseException")->returns);
	view_deinit(&v);
	dlclose(lib);
}

/* Runs @path until its first byte of output, so that exec and start-up are behind it. */
static pid_t start(const char *path)
{
	int out[2];
	pid_t pid;
	char c;

	check(!pipe(out));
	pid = fork();
	if (!pid) {
		dup2(out[1], STDOUT_FILENO);
		execl(path, path, NULL);
		_exit(127);
	}
	close(out[1]);
	check_int(read(out[0], &c, 1), 1);
	close(out[0]);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static const char static_code[] =
	"#include <stdlib.h>\n#include <unistd.h>\n"
	"int main(void) { void *volatile p = malloc(10); write(1, \"x\", 1);\n"
	"	sleep(60); free(p); return 0; }\n";

TEST(static_program)
{
	static const char *const flags[] = { "-static -no-pie", "-static-pie" };

	for (int i = 0; i < 2; i++) {
		const char *path = build("static", flags[i], static_code);
		pid_t pid = start(path);
		struct object_plan *op;
		struct view v;

		view_init(&v, pid);
		stop(pid);
		check_plan(&v);
		check_int(v.plan.objects.len, 1);
		op = find_object(&v, "static");
		check(op && find_probe(op, "malloc") && find_probe(op, "free"));
		check(find_probe(op, "mmap") && find_probe(op, "munmap"));
		check(!find_probe(op, "free")->returns);
		view_deinit(&v);
	}
}

TEST(stripped_static_program)
{
	pid_t pid = start(build("stripped", "-static -s", static_code));
	struct view v;

	view_init(&v, pid);
	stop(pid);
	check_int(v.plan.objects.len, 0);
	check(has_note(&v, "stripped", "statically linked"));
	view_deinit(&v);
}

TEST(nothing_mapped)
{
	struct address_space *as = address_space_create(getpid());
	struct probe_plan plan;

	check_ok(probe_plan_init(&plan, as, NULL, true));
	check_int(plan.objects.len, 0);
	check_int(plan.notes.len, 0);
	probe_plan_deinit(&plan);
	address_space_destroy(as);
}
