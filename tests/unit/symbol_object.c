// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ELF files: which are taken, and what their symbols are, against readelf and
 * against hand-written assembly whose answers are known. Mutated and cut
 * files must not crash (run this under SAN=address,undefined).
 */
#include <limits.h>
#include <elf.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/reader.h"
#include "symbol/go/reader.h"
#include "symbol/object.h"
#include "symbol/symtab.h"
#include "symbol/unwind_reader.h"
#include "symbol/usdt.h"
#include "tests/unit/symbol_helpers.h"
#include "tests/unit/test.h"

static const char library_source[] =
	"static __attribute__((noinline)) int hidden(int x) { return x * 3 + (x >> 1); }\n"
	"__attribute__((noinline)) int shown(int x) { return hidden(x) + 1; }\n"
	"int alias(int x) __attribute__((alias(\"shown\")));\n"
	"int weak_alias(int x) __attribute__((weak, alias(\"shown\")));\n"
	"static int real(int x) { return x - 7; }\n"
	"static void *resolve(void) { return real; }\n"
	"int chosen(int x) __attribute__((ifunc(\"resolve\")));\n"
	"int data = 5;\n";

static struct object *open_object(const char *path)
{
	struct object *obj;

	check_ok(object_create(open(path, O_RDONLY | O_CLOEXEC), path, &obj));
	return obj;
}

static int count_named(struct object *obj, const char *name)
{
	const struct object_symbol *symbols;
	size_t n = object_symbols(obj, &symbols);
	int count = 0;

	for (size_t i = 0; i < n; i++)
		count += !strcmp(symbols[i].name, name);
	return count;
}

static struct object_symbol exported(struct object *obj, const char *name)
{
	struct object_symbol ret = { 0 };

	check_int(object_find_exported(obj, name, &ret, 1), 1);
	return ret;
}

/* ---- What is taken ---- */

static int memory_file(const void *data, size_t size)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	return fd;
}

static void check_refused(const void *data, size_t size, enum error_code code, const char *word)
{
	struct object *obj = NULL;
	struct error *err __cleanup_error =
		object_create(memory_file(data, size), "/some/file", &obj);

	check(err);
	check_int(err->code, code);
	if (!strstr(err->message, word) || !strstr(err->message, "/some/file"))
		test_fail("\"%s\" does not say \"%s\"", err->message, word);
}

static Elf64_Ehdr plain_header(void)
{
	return (Elf64_Ehdr){
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_DYN,
#if defined(__aarch64__)
		.e_machine = EM_AARCH64,
#else
		.e_machine = EM_X86_64,
#endif
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_shentsize = sizeof(Elf64_Shdr),
	};
}

TEST(refuses_32_bit)
{
	Elf32_Ehdr ehdr = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_386, .e_version = EV_CURRENT,
		.e_ehsize = sizeof(ehdr),
	};

	check_refused(&ehdr, sizeof(ehdr), ERROR_UNSUPPORTED, "32-bit");
}

TEST(refuses_others)
{
	Elf64_Ehdr ehdr = plain_header();

	check_refused("", 0, ERROR_UNSUPPORTED, "not an ELF file");
	check_refused("#!/bin/sh\n", 10, ERROR_UNSUPPORTED, "not an ELF file");
	check_refused(&ehdr, 10, ERROR_UNSUPPORTED, "not an ELF file");
	check_refused(&ehdr, 40, ERROR_CORRUPT, "broken");
	check_refused(&ehdr, sizeof(ehdr), ERROR_CORRUPT, "without segments");
	ehdr.e_machine = EM_PPC64;
	check_refused(&ehdr, sizeof(ehdr), ERROR_UNSUPPORTED, "POWER");
	ehdr.e_machine = 0x1234;
	check_refused(&ehdr, sizeof(ehdr), ERROR_UNSUPPORTED, "4660");
	ehdr = plain_header();
	ehdr.e_ident[EI_DATA] = ELFDATA2MSB;
	check_refused(&ehdr, sizeof(ehdr), ERROR_UNSUPPORTED, "big-endian");
	ehdr = plain_header();
	ehdr.e_type = ET_REL;
	check_refused(&ehdr, sizeof(ehdr), ERROR_UNSUPPORTED, "neither program nor library");
}

TEST(refuses_directory)
{
	struct object *obj;
	struct error *err __cleanup_error =
		object_create(open("/tmp", O_RDONLY | O_CLOEXEC), "/tmp", &obj);

	check(err && err->code == ERROR_UNSUPPORTED);
}

/* ---- One small library ---- */

TEST(small_library)
{
	__cleanup_free char *path = scratch("small.so");
	__cleanup_free char *id_file = scratch("small.id");
	struct object *obj __cleanup(object_destroyp) = NULL;
	struct object_symbol sym;
	char build_id[128] = "";
	FILE *f;

	check(compile_library(path, library_source));
	obj = open_object(path);
	check_int(count_named(obj, "hidden"), 1);
	check_int(count_named(obj, "shown"), 1);
	check_int(count_named(obj, "alias"), 1);
	check_int(count_named(obj, "resolve"), 1);
	check_int(count_named(obj, "chosen"), 0);
	check_int(count_named(obj, "data"), 0);
	check_int(object_find_exported(obj, "hidden", &sym, 1), 0);
	check_int(object_find_exported(obj, "chosen", &sym, 1), 0);
	check_int(exported(obj, "alias").vaddr, exported(obj, "shown").vaddr);
	sym = exported(obj, "shown");
	check(sym.size > 0 && sym.exported);
	/* GLOBAL before WEAK, then the shortest. */
	check_str(object_find_symbol(obj, sym.vaddr)->name, "alias");
	check_str(object_find_symbol(obj, sym.vaddr + sym.size - 1)->name, "alias");
	check(shell("readelf -n '%s' | sed -n 's/.*Build ID: //p' > '%s'", path, id_file));
	f = fopen(id_file, "r");
	check(f && fscanf(f, "%127s", build_id) == 1);
	fclose(f);
	check_str(obj->build_id, build_id);
	check(!obj->deleted);
}

/* Segments, offsets and contents agree with each other and with the file. */
TEST(addresses)
{
	__cleanup_free char *path = scratch("small.so");
	struct object *obj __cleanup(object_destroyp) = NULL;
	const struct object_segment *segments;
	uint8_t by_vaddr[64], by_offset[64];
	uint64_t offset, vaddr, bias;
	struct object_symbol sym;

	check(compile_library(path, library_source));
	obj = open_object(path);
	sym = exported(obj, "shown");
	check_int(object_segments(obj, &segments), 1);
	check(sym.vaddr - segments->vaddr < segments->size);
	check(object_vaddr_to_offset(obj, sym.vaddr, &offset));
	check_int(offset, sym.vaddr - segments->vaddr + segments->offset);
	check(object_offset_to_vaddr(obj, offset, &vaddr));
	check_int(vaddr, sym.vaddr);
	check_int(object_read(obj, sym.vaddr, by_vaddr, sym.size), sym.size);
	check_int(pread(obj->fd, by_offset, sym.size, offset), sym.size);
	check(!memcmp(by_vaddr, by_offset, sym.size));
	check_int(object_read(obj, segments->vaddr + segments->size - 3, by_vaddr, 64), 3);
	check_int(object_read(obj, UINT64_MAX - 3, by_vaddr, 64), 0);
	check(!object_vaddr_to_offset(obj, 1ULL << 60, &offset));
	check(!object_offset_to_vaddr(obj, 1ULL << 60, &vaddr));
	check(object_bias(obj, 0x7f0000000000 + (segments->vaddr & ~0xfffULL),
			  segments->offset & ~0xfffULL, NULL, 0, &bias));
	check_int(bias, 0x7f0000000000);
	check(!object_bias(obj, 0x7f0000000000, 1ULL << 40, NULL, 0, &bias));
}

TEST(demangled_names)
{
	__cleanup_free char *path = scratch("mangled.so");
	struct object *obj __cleanup(object_destroyp) = NULL;
	struct object_symbol sym;

	check(compile_library(path,
		"int _ZN3foo3barEi(int x) { return x + 1; }\n"
		"int plain(int x) { return x + 2; }\n"
		"int piece(int x) __asm__(\"piece.cold\");\n"
		"int piece(int x) { return x + 3; }\n"));
	obj = open_object(path);
	sym = exported(obj, "_ZN3foo3barEi");
	check_str(object_demangle(obj, &sym), "foo::bar(int)");
	/* A copy and the original share what is cached. */
	check(object_demangle(obj, &sym) ==
	      object_demangle(obj, object_find_symbol(obj, sym.vaddr)));
	sym = exported(obj, "plain");
	check(object_demangle(obj, &sym) == sym.name);
	sym = exported(obj, "piece.cold");
	check_str(object_demangle(obj, &sym), "piece");
}

/* Two versions of one name, as glibc has of memcpy and pthread_cond_wait. */
TEST(versions)
{
	__cleanup_free char *path = scratch("versions.so");
	__cleanup_free char *script = scratch("versions.map");
	__cleanup_free char *flags = NULL;
	struct object *obj __cleanup(object_destroyp) = NULL;
	struct object_symbol found[4];

	write_file(script, "OLD { global: f; local: *; };\nNEW { global: f; } OLD;\n");
	flags = xasprintf("-shared -fPIC -Wl,--version-script='%s'", script);
	check(compile(path,
		"int f_old(int x) { return x + 1; }\n"
		"int f_new(int x) { return x * x + 2; }\n"
		"__asm__(\".symver f_old,f@OLD\\n.symver f_new,f@@NEW\");\n", flags));
	obj = open_object(path);
	check_int(object_find_exported(obj, "f", found, 4), 2);
	check(found[0].vaddr != found[1].vaddr);
	check_int(object_find_exported(obj, "f", found, 1), 1);
	check_int(object_find_exported(obj, "f@OLD", found, 4), 0);
	check_int(object_find_exported(obj, "nothing", found, 4), 0);
}

/* ---- The choice among symbols ---- */

static const char assembly[] =
	"__asm__(\".text\\n\"\n"
	/* 0: outer [0, 64) holds inner [16, 32), and overlaps late [48, 96) */
	"\".p2align 12\\n base: \\n\"\n"
	"\".globl outer\\n .type outer,@function\\n outer: .skip 16\\n\"\n"
	"\".globl inner\\n .type inner,@function\\n inner: .skip 16\\n .size inner,16\\n\"\n"
	"\" within: .skip 16\\n\"\n"
	"\".globl late\\n .type late,@function\\n late: .skip 16\\n .size outer,64\\n\"\n"
	"\" .skip 32\\n .size late,48\\n\"\n"
	/* 96: a hole; 112: a label without size; 128: a sized one ends it */
	"\" .skip 16\\n label: .skip 16\\n\"\n"
	"\".globl next\\n .type next,@function\\n next: .skip 16\\n .size next,8\\n\"\n"
	/* 144: sizes differ among aliases; the best one ends first */
	"\".globl best\\n .type best,@function\\n best:\\n\"\n"
	"\" .type longer,@function\\n longer: .skip 32\\n .size best,16\\n .size longer,32\\n\"\n"
	/* 176: a function without size, up to the section's end */
	"\".globl endless\\n .type endless,@function\\n endless: .skip 16\\n\"\n"
	"\".section .text.after,\\\"ax\\\"\\n .p2align 12\\n .skip 64\\n .text\\n\");\n";

static const struct { uint64_t offset; const char *name; } choices[] = {
	{ 0, "outer" }, { 15, "outer" }, { 16, "inner" }, { 31, "inner" },
	{ 32, "outer" }, { 47, "outer" }, { 48, "late" }, { 64, "late" }, { 95, "late" },
	{ 96, NULL }, { 111, NULL }, { 112, "label" }, { 127, "label" },
	{ 128, "next" }, { 135, "next" }, { 136, NULL }, { 143, NULL },
	{ 144, "best" }, { 159, "best" }, { 160, "longer" }, { 175, "longer" },
	{ 176, "endless" }, { 191, "endless" }, { 192, NULL }, { 4095, NULL },
};

TEST(choice)
{
	__cleanup_free char *path = scratch("choice.so");
	struct object *obj __cleanup(object_destroyp) = NULL;
	uint64_t base;

	check(compile(path, assembly, "-shared -fPIC -nostdlib -Wl,--unique=.text.after"));
	obj = open_object(path);
	base = exported(obj, "outer").vaddr;
	for (size_t i = 0; i < sizeof(choices) / sizeof(*choices); i++) {
		const struct object_symbol *sym =
			object_find_symbol(obj, base + choices[i].offset);

		if (choices[i].name ? !sym || strcmp(sym->name, choices[i].name) : !!sym)
			test_fail("at %llu: %s", (unsigned long long)choices[i].offset,
				  sym ? sym->name : "nothing");
	}
	check(!object_find_symbol(obj, base - 1));
	check(!object_find_symbol(obj, 0));
	check(!object_find_symbol(obj, UINT64_MAX));
	check_int(count_named(obj, "label"), 0);
	check_int(count_named(obj, "endless"), 1);
}

/* ---- Files without section headers, without symbols ---- */

static void check_dynamic_only(const char *path)
{
	struct object *obj __cleanup(object_destroyp) = open_object(path);
	struct object_symbol sym = exported(obj, "shown");

	check(object_find_symbol(obj, sym.vaddr + 1));
	check_int(count_named(obj, "hidden"), 0);
	check_int(count_named(obj, "chosen"), 0);
	check_int(count_named(obj, "alias"), 1);
}

static void strip_section_headers(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	Elf64_Ehdr ehdr;

	check(pread(fd, &ehdr, sizeof(ehdr), 0) == sizeof(ehdr));
	ehdr.e_shoff = 0;
	ehdr.e_shnum = ehdr.e_shstrndx = 0;
	check(pwrite(fd, &ehdr, sizeof(ehdr), 0) == sizeof(ehdr));
	close(fd);
}

TEST(no_section_headers)
{
	__cleanup_free char *path = scratch("sectionless.so");
	static const char *const styles[] = { "gnu", "sysv", "both" };

	for (size_t i = 0; i < sizeof(styles) / sizeof(*styles); i++) {
		__cleanup_free char *flags =
			xasprintf("-shared -fPIC -Wl,--hash-style=%s", styles[i]);

		check(compile(path, library_source, flags));
		strip_section_headers(path);
		check_dynamic_only(path);
	}
}

TEST(stripped)
{
	__cleanup_free char *path = scratch("stripped.so");

	check(compile_library(path, library_source));
	check(shell("strip '%s'", path));
	check_dynamic_only(path);
}

/* ---- Debug files ---- */

TEST(debuglink)
{
	__cleanup_free char *path = scratch("linked.so");
	__cleanup_free char *debug = scratch("linked.debug");
	struct object *obj __cleanup(object_destroyp) = NULL;

	check(compile(path, library_source, "-shared -fPIC -Wl,--build-id=none"));
	check(shell("objcopy --only-keep-debug '%s' '%s' && strip '%s' && "
		    "objcopy --add-gnu-debuglink='%s' '%s'", path, debug, path, debug, path));
	obj = open_object(path);
	check_str(obj->build_id, "");
	check_int(count_named(obj, "hidden"), 1);
	check_int(count_named(obj, "shown"), 1);
	check(exported(obj, "shown").exported);
	object_destroy(steal_ptr(obj));

	/* Another file under that name must not be believed. */
	check(shell("printf x >> '%s'", debug));
	check_dynamic_only(path);
}

/* As gdb's manual has it: beside the file, in .debug there, below /usr/lib/debug. */
static void check_debuglink_below(const char *root, const char *path, const char *debug,
				  const char *place)
{
	struct object *obj __cleanup(object_destroyp) = NULL;
	__cleanup_close int root_fd = -1;

	check(shell("mkdir -p '%s%s' && cp '%s' '%s%s/'", root, place, debug, root, place));
	root_fd = open(root, O_PATH | O_CLOEXEC);
	check_dynamic_only(path);
	obj = open_object(path);
	object_set_root(obj, root_fd);
	check_int(count_named(obj, "hidden"), 1);
	check(shell("rm -r '%s'", root));
}

TEST(debuglink_below_the_targets_root)
{
	__cleanup_free char *path = scratch("inside.so"), *debug = scratch("inside.debug");
	__cleanup_free char *away = scratch("away"), *moved = scratch("away/inside.debug");
	__cleanup_free char *root = scratch("linkroot"), *beside = NULL, *global = NULL;

	check(compile(path, library_source, "-shared -fPIC -Wl,--build-id=none"));
	check(shell("objcopy --only-keep-debug '%s' '%s' && strip '%s' && "
		    "objcopy --add-gnu-debuglink='%s' '%s' && mkdir '%s' && mv '%s' '%s'",
		    path, debug, path, debug, path, away, debug, moved));
	beside = xasprintf("%s/.debug", scratch_dir);
	global = xasprintf("/usr/lib/debug%s", scratch_dir);
	check_debuglink_below(root, path, moved, scratch_dir);
	check_debuglink_below(root, path, moved, beside);
	check_debuglink_below(root, path, moved, global);
}

/* Whoever makes a file chooses it: what spells a path is digits here, and no more than a few. */
TEST(build_id_of_somebody_hostile)
{
	__cleanup_free char *path = scratch("hostile.so");
	struct object *obj __cleanup(object_destroyp) = NULL;

	/* "../../e" */
	check(compile(path, library_source, "-shared -fPIC -Wl,--build-id=0x2e2e2f2e2e2f65"));
	obj = open_object(path);
	check_str(obj->build_id, "2e2e2f2e2e2f65");
	object_destroy(steal_ptr(obj));
	check(compile(path, library_source,
		      "-shared -fPIC -Wl,--build-id=0x$(printf '%0600d' 7)"));
	obj = open_object(path);
	check_str(obj->build_id, "");
	check(count_named(obj, "hidden") == 1);
}

TEST(build_id_directory)
{
	__cleanup_free char *path = scratch("identified.so");
	__cleanup_free char *root = scratch("root");
	struct object *obj __cleanup(object_destroyp) = NULL;
	__cleanup_close int root_fd = -1;

	check(compile_library(path, library_source));
	obj = open_object(path);
	check(strlen(obj->build_id) == 40);
	check(shell("d='%s/usr/lib/debug/.build-id/%.2s' && mkdir -p $d && "
		    "objcopy --only-keep-debug '%s' $d/%s.debug && strip '%s'",
		    root, obj->build_id, path, obj->build_id + 2, path));
	object_destroy(steal_ptr(obj));
	check_dynamic_only(path);
	obj = open_object(path);
	root_fd = open(root, O_PATH | O_CLOEXEC);
	object_set_root(obj, root_fd);
	check_int(count_named(obj, "hidden"), 1);
}

/* A library whose .gnu_debugdata is made as rpm's find-debuginfo does, with @padding behind. */
static int count_hidden_in_embedded(const char *padding)
{
	__cleanup_free char *path = scratch("mini.so");
	__cleanup_free char *mini = scratch("mini.symbols");
	struct object *obj __cleanup(object_destroyp) = NULL;

	check(compile_library(path, library_source));
	if (!shell("command -v xz > /dev/null"))
		test_skip("no xz here");
	check(shell("objcopy -S --remove-section .comment --keep-symbol=hidden '%s' '%s' && "
		    "{ cat '%s'; head -c %s /dev/zero; } | xz -1 > '%s.xz' && strip '%s' && "
		    "objcopy --add-section .gnu_debugdata='%s.xz' '%s'",
		    path, mini, mini, padding, mini, path, mini, path));
	obj = open_object(path);
	check_int(count_named(obj, "shown"), 1);
	return count_named(obj, "hidden");
}

TEST(gnu_debugdata)
{
	check_int(count_hidden_in_embedded("0"), 1);
	check_int(count_hidden_in_embedded("1M"), 1);
}

/* Zeros compress a thousandfold: what unpacks to more than anybody has is given up. */
TEST(gnu_debugdata_bomb)
{
	check_int(count_hidden_in_embedded("300M"), 0);
}

/* ---- Against readelf ---- */

struct truth {
	uint64_t vaddr, size;
	bool function;
	char *name;
};

DEFINE_VEC(truth_vec, struct truth);

/* Lines such as "   17: 0000000000001139    11 FUNC    GLOBAL DEFAULT   14 name@@V (2)". */
static void read_truth(const char *path, struct truth_vec *ret)
{
	__cleanup_free char *command = xasprintf("readelf -sW '%s' 2> /dev/null", path);
	FILE *f = popen(command, "r");
	char type[16], bind[16], visibility[16], section[16];
	unsigned long long vaddr;
	char size[32], *line = NULL;
	size_t cap = 0;
	int name_at;

	while (f && getline(&line, &cap, f) > 0) {
		struct truth t = { 0 };

		name_at = 0;
		if (sscanf(line, " %*d: %llx %31s %15s %15s %15s %15s %n", &vaddr, size, type,
			   bind, visibility, section, &name_at) != 6 || !name_at)
			continue;
		if (!strcmp(section, "UND") || !line[name_at])
			continue;
		t.function = !strcmp(type, "FUNC");
		if (!t.function && strcmp(type, "NOTYPE"))
			continue;
		t.vaddr = vaddr;
		t.size = strtoull(size, NULL, 0);
		line[name_at + strcspn(line + name_at, "@ \n")] = '\0';
		t.name = xstrdup(line + name_at);
		truth_vec_push(ret, t);
	}
	free(line);
	if (f)
		pclose(f);
}

static void free_truth(struct truth_vec *truth)
{
	vec_for_each(t, truth)
		free(t->name);
	truth_vec_deinit(truth);
}

/*
 * Whether readelf agrees that @got is the answer at @vaddr: @got begins there
 * where the innermost symbol does, by one of its names.
 */
static void check_answer(const struct truth_vec *truth, uint64_t vaddr,
			 const struct object_symbol *got)
{
	const struct truth *innermost = NULL;
	bool named = false;

	vec_for_each(t, truth) {
		if (vaddr - t->vaddr < t->size && (!innermost || t->vaddr > innermost->vaddr))
			innermost = t;
	}
	if (innermost && (!got || got->vaddr != innermost->vaddr))
		test_fail("%llx is in %s, not %s", (unsigned long long)vaddr,
			  innermost->name, got ? got->name : "nowhere");
	if (!got)
		return;
	if (!innermost && got->size)
		test_fail("%llx is in nothing, not %s", (unsigned long long)vaddr, got->name);
	vec_for_each(t, truth)
		named |= t->vaddr == got->vaddr && !strcmp(t->name, got->name);
	if (!named)
		test_fail("%s is not at %llx", got->name, (unsigned long long)got->vaddr);
}

static uint64_t random64(void)
{
	return (uint64_t)rand() << 31 ^ rand();
}

static bool is_code(const struct object_segment *segments, size_t count, uint64_t vaddr)
{
	for (size_t i = 0; i < count; i++) {
		if (vaddr - segments[i].vaddr < segments[i].size)
			return true;
	}
	return false;
}

/*
 * 10,000 addresses, nine of ten in a random function and the tenth anywhere in
 * the code. The debug file that names a stripped file is a truth as well.
 */
static void compare_with_readelf(const char *path, int rounds)
{
	struct object *obj __cleanup(object_destroyp) = open_object(path);
	__cleanup_free char *debug = xasprintf("/usr/lib/debug/.build-id/%.2s/%s.debug",
					       obj->build_id,
					       *obj->build_id ? obj->build_id + 2 : "");
	const struct object_segment *segments;
	const struct object_symbol *symbols;
	struct truth_vec truth = { 0 };
	size_t functions = 0, found = object_symbols(obj, &symbols), segments_count;

	read_truth(path, &truth);
	read_truth(debug, &truth);
	vec_for_each(t, &truth)
		functions += t->function;
	check(truth.len && found && found <= functions);
	segments_count = object_segments(obj, &segments);
	check(segments_count > 0);
	srand(1);
	for (int i = 0; i < rounds; i++) {
		const struct truth *t = &truth.data[random64() % truth.len];
		uint64_t vaddr = t->vaddr + (t->size ? random64() % t->size : 0);

		if (i % 10 == 0) {
			const struct object_segment *seg = &segments[rand() % segments_count];

			vaddr = seg->vaddr + random64() % seg->size;
		}
		if (is_code(segments, segments_count, vaddr))
			check_answer(&truth, vaddr, object_find_symbol(obj, vaddr));
	}
	for (size_t i = 0; i < found; i++)
		check(i == 0 || symbols[i - 1].vaddr <= symbols[i].vaddr);
	free_truth(&truth);
}

static const char *first_of(const char *const *paths)
{
	while (*paths && access(*paths, R_OK))
		paths++;
	return *paths;
}

TEST(libc_against_readelf)
{
	static const char *const paths[] = {
		"/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6",
		"/lib64/libc.so.6", "/usr/lib/libc.so.6", NULL };
	const char *path = first_of(paths);

	if (!path)
		test_skip("no libc.so.6 where it usually is");
	compare_with_readelf(path, 10000);
}

TEST(large_against_readelf)
{
	static const char *const paths[] = {
		"/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1",
		"/usr/lib/x86_64-linux-gnu/libLLVM-15.so.1",
		"/usr/lib/x86_64-linux-gnu/libLLVM.so.19.1",
		"/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
		"/usr/lib/x86_64-linux-gnu/libstdc++.so.6", NULL };
	const char *path = first_of(paths);

	if (!path)
		test_skip("no large library found");
	compare_with_readelf(path, 10000);
}

/* A program with a symbol table of its own, C++ names and static functions. */
TEST(program_against_readelf)
{
	/* By its own name: the link would mean readelf itself to readelf. */
	char self[PATH_MAX] = "";
	const char *paths[] = { "/usr/bin/node", self, NULL };

	check(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	compare_with_readelf(first_of(paths), 2000);
}

/* ---- Broken files ---- */

/* The most memory that this process ever had. */
static long peak_kib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

/* Everything that can be asked, at places that the file itself proposes. */
static void exercise(int fd)
{
	struct object *obj __cleanup(object_destroyp) = NULL;
	struct error *err __cleanup_error = object_create(fd, "/mutated", &obj);
	const struct object_segment *segments;
	const struct object_symbol *symbols;
	struct object_symbol found[4];
	size_t count, names = 0;
	uint64_t value;
	char buf[256];

	if (err)
		return;
	count = object_symbols(obj, &symbols);
	for (size_t i = 0; i < count; i++) {
		const struct object_symbol *sym = object_find_symbol(obj, symbols[i].vaddr);

		if (!sym || sym->vaddr > symbols[i].vaddr)
			test_fail("no symbol where %s is", symbols[i].name);
		names += strlen(object_demangle(obj, &symbols[i]));
		object_read(obj, symbols[i].vaddr, buf, sizeof(buf));
		object_find_exported(obj, symbols[i].name, found, 4);
	}
	count = object_segments(obj, &segments);
	for (size_t i = 0; i < count; i++) {
		if (!object_vaddr_to_offset(obj, segments[i].vaddr, &value) ||
		    value != segments[i].offset)
			test_fail("segment %zu does not begin where it begins", i);
		object_bias(obj, 0x1000, segments[i].offset & ~0xfffULL, NULL, 0, &value);
		object_find_symbol(obj, segments[i].vaddr + segments[i].size);
	}
	object_find_symbol(obj, random64() & 0xffff);
	check(names < 1 << 28 && strlen(obj->build_id) < 256);
}

static uint8_t *read_whole(const char *path, size_t *size_ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *data;

	check(fd >= 0 && !fstat(fd, &st));
	data = xmalloc(st.st_size);
	check(read(fd, data, st.st_size) == st.st_size);
	close(fd);
	*size_ret = st.st_size;
	return data;
}

/* Where a changed byte matters: headers, tables, notes, dynamic section. */
static size_t interesting_offset(const uint8_t *data, size_t size)
{
	const Elf64_Ehdr *ehdr = (const Elf64_Ehdr *)data;
	const Elf64_Shdr *shdr = (const Elf64_Shdr *)(data + ehdr->e_shoff);

	switch (rand() % 4) {
	case 0:
		return rand() % (sizeof(*ehdr) + ehdr->e_phnum * sizeof(Elf64_Phdr));
	case 1:
		return ehdr->e_shoff + rand() % (ehdr->e_shnum * sizeof(*shdr));
	case 2:
		shdr += rand() % ehdr->e_shnum;
		if (shdr->sh_type != SHT_NOBITS && shdr->sh_size)
			return shdr->sh_offset + random64() % shdr->sh_size;
		/* fall through */
	default:
		return rand() % size;
	}
}

static void mutate(uint8_t *mutant, const uint8_t *data, size_t size)
{
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff, 0xfe, 4, 8 };

	for (int n = 1 + rand() % 8; n > 0; n--) {
		size_t at = interesting_offset(data, size);

		if (at < size)
			mutant[at] = rand() % 2 ? values[rand() % sizeof(values)] : rand();
	}
}

static void check_mutants(const char *path, int rounds)
{
	size_t size;
	__cleanup_free uint8_t *data = read_whole(path, &size);
	__cleanup_free uint8_t *mutant = xmalloc(size);

	for (int i = 0; i < rounds; i++) {
		size_t len = size;

		srand(i);
		memcpy(mutant, data, size);
		if (i % 3)
			mutate(mutant, data, size);
		if (i % 3 != 1)
			len = rand() % (size + 1);
		exercise(memory_file(mutant, len));
	}
}

TEST(mutants)
{
	__cleanup_free char *path = scratch("mutant.so");

	check(compile_library(path, library_source));
	check_mutants(path, 2000);
}

TEST(mutants_without_sections)
{
	__cleanup_free char *path = scratch("mutant.so");
	size_t size;

	check(compile(path, library_source, "-shared -fPIC -Wl,--hash-style=gnu"));
	check(shell("strip '%s'", path));
	/* Section headers stay in the file for mutate(), but nothing leads to them. */
	__cleanup_free uint8_t *data = read_whole(path, &size);
	__cleanup_free uint8_t *mutant = xmalloc(size);

	for (int i = 0; i < 1000; i++) {
		srand(i);
		memcpy(mutant, data, size);
		mutate(mutant, data, size);
		memset(mutant + offsetof(Elf64_Ehdr, e_shoff), 0, 8);
		memset(mutant + offsetof(Elf64_Ehdr, e_shnum), 0, 4);
		exercise(memory_file(mutant, size));
	}
}

/* A sparse file may claim tables of any size: they must not be taken into memory. */
TEST(sparse)
{
	__cleanup_free char *path = scratch("small.so");
	size_t size;
	__cleanup_free uint8_t *data = NULL;
	Elf64_Ehdr *ehdr;
	int fd;

	check(compile_library(path, library_source));
	data = read_whole(path, &size);
	ehdr = (Elf64_Ehdr *)data;
	for (int i = 0; i < ehdr->e_shnum; i++) {
		Elf64_Shdr *shdr = (Elf64_Shdr *)(data + ehdr->e_shoff) + i;

		if (shdr->sh_type == SHT_STRTAB)
			shdr->sh_size = 1ULL << 40;
	}
	fd = memory_file(data, size);
	check(!ftruncate(fd, 1LL << 42));
	exercise(fd);
}

/* A section header of this type, the first. */
static Elf64_Shdr *section_of_type(uint8_t *data, uint32_t type)
{
	const Elf64_Ehdr *ehdr = (const Elf64_Ehdr *)data;
	Elf64_Shdr *shdr = (Elf64_Shdr *)(data + ehdr->e_shoff);

	for (int i = 0; i < ehdr->e_shnum; i++)
		if (shdr[i].sh_type == type)
			return &shdr[i];
	test_fail("no section of type %u", type);
	return NULL;
}

#define LONG_NAME 60000

/* A library whose .symtab has @count symbols, each with another end of one long name. */
static int crowded_file(uint32_t count)
{
	__cleanup_free char *path = scratch("crowded.so"), *name = xcalloc(1, LONG_NAME + 1);
	__cleanup_free uint8_t *data = NULL;
	struct object *obj __cleanup(object_destroyp) = NULL;
	Elf64_Shdr *symtab, *sections;
	uint64_t vaddr;
	size_t size;
	int fd;

	check(compile_library(path, library_source));
	data = read_whole(path, &size);
	symtab = section_of_type(data, SHT_SYMTAB);
	sections = (Elf64_Shdr *)(data + ((Elf64_Ehdr *)data)->e_shoff);
	obj = open_object(path);
	vaddr = exported(obj, "shown").vaddr;
	sections[symtab->sh_link].sh_offset = size;
	sections[symtab->sh_link].sh_size = LONG_NAME + 1;
	symtab->sh_offset = size + LONG_NAME + 1;
	symtab->sh_size = count * sizeof(Elf64_Sym);
	fd = memory_file(data, size);
	memset(name, 'n', LONG_NAME);
	check(write(fd, name, LONG_NAME + 1) == LONG_NAME + 1);
	for (uint32_t i = 0; i < count; i++) {
		const Elf64_Sym sym = {
			.st_name = i % LONG_NAME, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
			.st_shndx = 1, .st_value = vaddr, .st_size = 1,
		};

		check(write(fd, &sym, sizeof(sym)) == sizeof(sym));
	}
	return fd;
}

/* Takes the symbols of @fd, which are to be cut, and at most that much memory. */
static void check_cut(int fd, long most_kib)
{
	long before = peak_kib();
	int64_t failures = reader_failures();
	struct object *obj __cleanup(object_destroyp) = NULL;
	int patience = reader_patience_ms();

	check_ok(object_create(fd, "/crowded", &obj));
	check_int(count_named(obj, "shown"), 1);
	check_int(reader_failures(), failures + 1);
	check_int(reader_patience_ms(), patience);
	if (peak_kib() - before > most_kib)
		test_fail("it took %ld KiB", peak_kib() - before);
}

/* 12000 names that make 700 MB of a file of 350 KB. */
TEST(more_symbols_than_a_file_of_its_size_has)
{
	check_cut(crowded_file(12000), 16 << 10);
}

/* With holes it claims any size; what is left after it is for others. */
TEST(more_symbols_than_there_is_room_for)
{
	__cleanup_free char *path = scratch("honest.so");
	struct object *obj __cleanup(object_destroyp) = NULL;
	int fd = crowded_file(12000);

	check(!ftruncate(fd, 1LL << 42));
	symtab_set_room(64 << 20);
	check_cut(fd, 80 << 10);
	check(compile_library(path, library_source));
	obj = open_object(path);
	check_int(count_named(obj, "hidden"), 1);
	symtab_set_room(1 << 30);
}

/* ---- Files that are written to while they are read ---- */

struct restless {
	int fd;
	const uint8_t *data;
	size_t size;
	atomic_bool over;
	atomic_int cuts;
};

/* Cuts the file somewhere, and makes it whole again. */
static void *be_restless(void *arg)
{
	struct restless *file = arg;
	uint32_t random = 1;

	while (!file->over) {
		random = random * 1664525 + 1013904223;
		if (ftruncate(file->fd, random % file->size) ||
		    pwrite(file->fd, file->data, file->size, 0) != (ssize_t)file->size)
			abort();
		file->cuts++;
	}
	return NULL;
}

/* What heapsonde reads by itself, and what its readers read for it. */
static void read_restless(int fd, bool by_readers)
{
	struct object *obj __cleanup(object_destroyp) = NULL;
	struct error *err __cleanup_error = object_create(dup(fd), "/restless", &obj);
	struct usdt_probe_vec probes = { 0 };
	struct unwind_table *table = NULL;
	struct go_binary *go = NULL;
	uint64_t vaddr;

	if (err)
		return;
	object_has_call_frames(obj);
	object_is_static_program(obj);
	object_find_variable(obj, "data", &vaddr);
	object_is_go(obj);
	usdt_probes(obj, "libc", &probes);
	usdt_probes_deinit(&probes);
	error_destroy(unwind_read(fd, UNWIND_FULL, true, &table));
	unwind_table_destroy(table);
	if (!by_readers)
		return;
	error_destroy(go_binary_read(fd, "/restless", &go));
	go_binary_close(go);
	check_int(count_named(obj, "none"), 0);
}

#define CUTS 300
#define READER_ROUNDS 20	/* each starts some, of which some end by SIGBUS */

TEST(files_cut_while_they_are_read)
{
	__cleanup_free char *path = scratch("restless.so");
	struct restless file = { 0 };
	__cleanup_free uint8_t *data = NULL;
	struct object *obj __cleanup(object_destroyp) = NULL;
	pthread_t thread;

	check(compile_library(path, library_source));
	data = read_whole(path, &file.size);
	file.data = data;
	file.fd = open(path, O_RDWR | O_CLOEXEC);
	check(file.fd >= 0 && !pthread_create(&thread, NULL, be_restless, &file));
	for (int i = 0; i < READER_ROUNDS || file.cuts < CUTS; i++)
		read_restless(file.fd, i < READER_ROUNDS);
	file.over = true;
	pthread_join(thread, NULL);
	close(file.fd);
	obj = open_object(path);
	check_int(count_named(obj, "shown"), 1);
}

/* A debug file without end: whoever sums it up is given up in time. */
TEST(debuglink_to_a_file_without_end)
{
	__cleanup_free char *path = scratch("endless.so");
	__cleanup_free char *debug = scratch("endless.debug");
	int64_t failures = reader_failures();
	struct object *obj __cleanup(object_destroyp) = NULL;
	__cleanup_close int fd = -1;

	check(compile(path, library_source, "-shared -fPIC -Wl,--build-id=none"));
	check(shell("objcopy --only-keep-debug '%s' '%s' && strip '%s' && "
		    "objcopy --add-gnu-debuglink='%s' '%s'", path, debug, path, debug, path));
	fd = open(debug, O_RDWR | O_CLOEXEC);
	if (ftruncate(fd, 1ll << 42))
		test_skip("no file of 4 TB can be had here");
	reader_set_patience(200, 60);
	obj = open_object(path);
	check_int(count_named(obj, "shown"), 1);
	check_int(count_named(obj, "hidden"), 0);
	check(reader_failures() > failures);
	reader_set_patience(30000, 60);
}

#define BOMB_MIB 200

/* A .debug_frame of zeros, compressed a thousandfold, is not unpacked in a hurry. */
TEST(hurried_tables_of_a_bomb)
{
	__cleanup_free char *path = scratch("bomb.so");
	__cleanup_free char *zeros = scratch("zeros");
	struct unwind_table *table = NULL;
	__cleanup_close int fd = -1;
	long before;

	check(compile_library(path, library_source));
	check(shell("truncate -s %dM '%s' && objcopy --add-section .debug_frame='%s' '%s' && "
		    "objcopy --compress-debug-sections=zlib '%s'", BOMB_MIB, zeros, zeros, path,
		    path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	before = peak_kib();
	error_destroy(unwind_read(fd, UNWIND_FULL, true, &table));
	check(peak_kib() - before < BOMB_MIB / 4 << 10);
	check(table && table->texts.len);
	unwind_table_destroy(table);
}
