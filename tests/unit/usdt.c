// SPDX-License-Identifier: GPL-2.0-or-later
/* Notes of probes in programs and their arguments, whole and broken. */
#include "tests/unit/test.h"

#include <elf.h>
#include <string.h>

#include "base/reader.h"
#include "symbol/usdt.h"
#include "tests/unit/symbol_helpers.h"

struct note {
	uint8_t bytes[512];
	size_t size;
};

static void put(struct note *n, const void *data, size_t size)
{
	memcpy(n->bytes + n->size, data, size);
	n->size += size;
}

static void put_note(struct note *n, uint32_t type, const char *provider, const char *name,
		     const char *arguments)
{
	uint64_t addresses[] = { 0x1100, 0x2000, 0x3000 };
	size_t texts = strlen(provider) + strlen(name) + strlen(arguments) + 3;
	Elf64_Nhdr nhdr = { 8, sizeof(addresses) + texts, type };

	put(n, &nhdr, sizeof(nhdr));
	put(n, "stapsdt", 8);
	put(n, addresses, sizeof(addresses));
	put(n, provider, strlen(provider) + 1);
	put(n, name, strlen(name) + 1);
	put(n, arguments, strlen(arguments) + 1);
	put(n, "\0\0\0", -n->size & 3);
}

TEST(probes_of_one_provider)
{
	struct usdt_probe_vec probes = { 0 };
	struct note n = { .size = 0 };

	put_note(&n, 3, "otel_memory", "alloc", "8@%rax");
	put_note(&n, 3, "another", "alloc", "8@%rax");
	put_note(&n, 4, "otel_memory", "of another kind", "");
	put_note(&n, 3, "otel_memory", "free", "");
	/* The file was moved up by 0x500 after the notes were made. */
	usdt_parse_notes(n.bytes, n.size, 0x2500, "otel_memory", &probes);
	check_int(probes.len, 2);
	check_str(probes.data[0].name, "alloc");
	check_str(probes.data[0].arguments, "8@%rax");
	check_int(probes.data[0].vaddr, 0x1600);
	check_int(probes.data[0].semaphore, 0x3500);
	check_str(probes.data[1].name, "free");
	usdt_probes_deinit(&probes);
}

#define X16 "xxxxxxxxxxxxxxxx"
#define X256 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16

static const char with_notes[] =
	"	.macro note provider, name, arguments\n"
	"	.pushsection .note.stapsdt, \"\", %note\n"
	"	.long 8, 2f - 1f, 3\n"
	"	.asciz \"stapsdt\"\n"
	"1:	.quad 0x1100, 0, 0\n"
	"	.asciz \"\\provider\", \"\\name\", \"\\arguments\"\n"
	"2:	.balign 4\n"
	"	.popsection\n"
	"	.endm\n"
	"	note otel_memory, alloc, \"8@%rax 4@%ebx\"\n"
	"	note another, alloc\n"
	"	note otel_memory, long, " X256 X256 X256 X256 "x\n"
	"	note otel_memory, , 8@%rax\n"
	"	note otel_memory, free\n"
	"	.section .note.GNU-stack, \"\"\n";

static struct object *object_of(const char *assembly)
{
	__cleanup_free char *path = scratch("notes.so"), *source = scratch("notes.s");
	struct object *object;

	write_file(source, assembly);
	check(shell("cc -shared -o '%s' '%s'", path, source));
	check_ok(object_create(open(path, O_RDONLY | O_CLOEXEC), path, &object));
	return object;
}

/* By a reader; what is too long, or has no name, is left out. */
TEST(probes_of_a_file)
{
	struct object *object __cleanup(object_destroyp) = object_of(with_notes);
	struct usdt_probe_vec probes = { 0 };

	usdt_probes(object, "otel_memory", &probes);
	check_int(probes.len, 2);
	check_str(probes.data[0].name, "alloc");
	check_str(probes.data[0].arguments, "8@%rax 4@%ebx");
	check_str(probes.data[0].provider, "otel_memory");
	check_int(probes.data[0].vaddr, 0x1100);
	check_str(probes.data[1].name, "free");
	check_str(probes.data[1].arguments, "");
	usdt_probes_deinit(&probes);
	usdt_probes(object, "nobody", &probes);
	check_int(probes.len, 0);
	check_int(reader_failures(), 0);
}

TEST(notes_cut_off_anywhere)
{
	struct note n = { .size = 0 };

	/* As long as needs no padding behind it. */
	put_note(&n, 3, "otel_memory", "alloc", "8@$12");
	check_int((sizeof("otel_memory") + sizeof("alloc") + sizeof("8@$12")) % 4, 0);
	for (size_t size = 0; size <= n.size; size++) {
		struct usdt_probe_vec probes = { 0 };

		usdt_parse_notes(n.bytes, size, 0, "otel_memory", &probes);
		check_int(probes.len, size == n.size);
		usdt_probes_deinit(&probes);
	}
}

TEST(notes_that_lie)
{
	struct note n = { .size = 0 };

	put_note(&n, 3, "otel_memory", "alloc", "8@%rax");
	for (size_t at = 0; at < n.size; at++) {
		for (int value = 0; value < 256; value += 51) {
			struct usdt_probe_vec probes = { 0 };
			struct note broken = n;

			broken.bytes[at] = value;
			usdt_parse_notes(broken.bytes, broken.size, 0, "otel_memory", &probes);
			check(probes.len <= 1);
			usdt_probes_deinit(&probes);
		}
	}
}

static struct usdt_argument one(const char *text, enum usdt_machine machine)
{
	struct usdt_argument a = { 0 };

	check_int(usdt_parse_arguments(text, machine, &a, 1), 1);
	return a;
}

TEST(operands_of_x86)
{
	struct usdt_argument a = one("8@%rdi", USDT_X86_64);

	check_int(a.place, USDT_REGISTER);
	check_int(a.reg, 5);
	check_int(a.bytes, 8);
	check(!a.is_signed);
	a = one("-4@%r10d", USDT_X86_64);
	check_int(a.reg, 10);
	check_int(a.bytes, 4);
	check(a.is_signed);
	a = one("8@$-5", USDT_X86_64);
	check_int(a.place, USDT_CONSTANT);
	check_int(a.value, -5);
	a = one("8@$18446744073709551615", USDT_X86_64);
	check_int(a.value, -1);
	a = one("8@-16(%rbp)", USDT_X86_64);
	check_int(a.place, USDT_MEMORY);
	check_int(a.reg, 6);
	check_int(a.value, -16);
	check_int(a.index, USDT_NO_REGISTER);
	a = one("2@8(%rax,%r9,4)", USDT_X86_64);
	check_int(a.reg, 0);
	check_int(a.index, 9);
	check_int(a.shift, 2);
	a = one("8@(,%rcx,8)", USDT_X86_64);
	check_int(a.reg, USDT_NO_REGISTER);
	check_int(a.index, 2);
	a = one("8@(%rsp)", USDT_X86_64);
	check_int(a.reg, 7);
	a = one("8@pool.sizes+24(%rip)", USDT_X86_64);
	check_int(a.place, USDT_SYMBOL);
	check_str(a.symbol, "pool.sizes");
	check_int(a.value, 24);
}

TEST(operands_of_arm64)
{
	struct usdt_argument a = one("8@x20", USDT_ARM64);

	check_int(a.place, USDT_REGISTER);
	check_int(a.reg, 20);
	a = one("-4@w3", USDT_ARM64);
	check_int(a.reg, 3);
	a = one("8@sp", USDT_ARM64);
	check_int(a.reg, 31);
	a = one("8@[sp, 16]", USDT_ARM64);
	check_int(a.place, USDT_MEMORY);
	check_int(a.reg, 31);
	check_int(a.value, 16);
	a = one("8@[x1, x2]", USDT_ARM64);
	check_int(a.index, 2);
	a = one("8@48", USDT_ARM64);
	check_int(a.place, USDT_CONSTANT);
	check_int(a.value, 48);
}

TEST(several_arguments)
{
	struct usdt_argument a[3];

	check_int(usdt_parse_arguments("8@%rax  -4@$7 8@(%rsp) 8@%xmm0", USDT_X86_64, a, 3), 3);
	check_int(a[1].value, 7);
	check_int(usdt_parse_arguments("", USDT_X86_64, a, 3), 0);
}

TEST(arguments_that_make_no_sense)
{
	static const char *const texts[] = {
		"8", "@", "8@", "3@%rax", "16@%rax", "300@%rax", "-@%rax", "8@%", "8@%xmm0",
		"8@%raxx",
		"8@(", "8@(%rax", "8@(%rax,", "8@(%rax,%rcx,3)", "8@(%rax,%rcx,16)", "8@()x",
		"8@%rax,", "8@$", "8@$x", "8@(%rip)", "8@a(%rax)", "8@1a(%rip)", "f8@%rax",
		"8@$99999999999999999999999", "8@%rax 8@",
	};
	struct usdt_argument a[3];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (usdt_parse_arguments(texts[i], USDT_X86_64, a, 3) != -1)
			test_fail("'%s' was taken", texts[i]);
	check_int(usdt_parse_arguments("8@x31", USDT_ARM64, a, 3), -1);
	check_int(usdt_parse_arguments("8@[x1", USDT_ARM64, a, 3), -1);
	check_int(usdt_parse_arguments("8@d0", USDT_ARM64, a, 3), -1);
	check_int(usdt_parse_arguments("8@x11324434445538011819", USDT_ARM64, a, 3), -1);
}
