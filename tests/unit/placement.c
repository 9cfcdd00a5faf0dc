// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Placement: on code written down here, so that no machine's libc decides,
 * and on all functions of this machine's libc, checked against objdump, which
 * shares no code with Capstone.
 */
#include "tests/unit/test.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/discovery/allocators.h"
#include "capture/discovery/placement.h"

#define ARG(n) (1u << (n))

/* What discovery asks for a function of this row. */
static struct placement_request request_for(const char *symbol)
{
	for (size_t i = 0; i < allocator_functions_count; i++) {
		const struct allocator_function *f = &allocator_functions[i];

		if (!strcmp(f->symbol, symbol))
			return (struct placement_request){
				.args = allocator_function_args(f),
				.returns = allocator_kind_returns(f->kind),
				.stack = allocator_kind_reads_stack(f->kind),
			};
	}
	test_fail("no row %s", symbol);
}

static void place(struct placement_request req, const char *code, size_t size,
		  struct placement *ret)
{
	req.code = (const uint8_t *)code;
	req.size = size;
	req.vaddr = 0x99000;
	check_ok(placement_find(&req, ret));
}

#define PLACE(req, code, ret) place(req, code, sizeof(code) - 1, ret)

#define CHECK_PLACE(req, code, want_offset, want_emulated)		\
	do {								\
		struct placement test_p;				\
		PLACE(req, code, &test_p);				\
		check_int(test_p.offset, want_offset);			\
		check_int(test_p.emulated, want_emulated);		\
	} while (0)

/* The entry blocks of glibc 2.36 on Debian 12, x86-64. */

TEST(malloc_entry_push)
{
	struct placement p;

	PLACE(request_for("malloc"), "\x41\x54\x55\x53\x48\x89\xfb\x48\x83\xec\x10\xc3", &p);
	check_int(p.offset, 0);
	check(p.emulated);
	check(strstr(p.instruction, "push"));
	check(strstr(p.instruction, "%r12"));
}

TEST(calloc_entry_push)
{
	CHECK_PLACE(request_for("calloc"),
		    "\x41\x55\x48\x89\xf8\x41\x54\x55\x53\x48\x83\xec\x18\x48\xf7\xe6\xc3",
		    0, true);
}

TEST(free_null_check)
{
	struct placement p;

	PLACE(request_for("free"),
	      "\x48\x85\xff\x0f\x84\xbf\x00\x00\x00\x55\x48\x8d\x77\xf0\x53\x48\x83\xec\x18\xc3",
	      &p);
	check_int(p.offset, 3);
	check(p.emulated);
	check(strstr(p.instruction, "je"));
}

TEST(memalign_branch)
{
	CHECK_PLACE(request_for("memalign"),
		    "\x80\x3d\x71\x0e\x14\x00\x00\x74\x07\xe9\x32\xf6\xff\xff\x66\x90"
		    "\x48\x83\xec\x18\x48\x89\x74\x24\x08\x48\x89\x3c\x24\xc3", 7, true);
}

TEST(posix_memalign_push)
{
	CHECK_PLACE(request_for("posix_memalign"),
		    "\x80\x3d\x01\x02\x14\x00\x00\x41\x54\x49\x89\xd4\x55\x48\x89\xfd\x53",
		    7, true);
}

TEST(valloc_push)
{
	CHECK_PLACE(request_for("valloc"),
		    "\x80\x3d\x31\x0e\x14\x00\x00\x53\x48\x89\xfb\x74\x1b\xc3", 7, true);
}

TEST(reallocarray_overwrites)
{
	struct placement p;

	PLACE(request_for("reallocarray"),
	      "\x48\x89\xf0\x48\xf7\xe2\x48\x89\xc6\x70\x05\xe9\x40\xb8\xf8\xff\x31\xc0\xc3", &p);
	check_int(p.offset, 0);
	check(!p.emulated);
	/* mul's implicit destination */
	check(strstr(p.reason, "rdx is overwritten"));
}

TEST(mmap_branch)
{
	CHECK_PLACE(request_for("mmap"),
		    "\x41\x89\xca\x41\xf7\xc1\xff\x0f\x00\x00\x75\x14\xb8\x09\x00\x00\x00"
		    "\x0f\x05\x48\x3d\x00\xf0\xff\xff\x77\x25\xc3", 10, true);
}

TEST(munmap_syscall)
{
	struct placement p;

	PLACE(request_for("munmap"),
	      "\xb8\x0b\x00\x00\x00\x0f\x05\x48\x3d\x01\xf0\xff\xff\x73\x01\xc3",
	      &p);
	check_int(p.offset, 0);
	check(!p.emulated);
	check(strstr(p.reason, "the entry block ends"));
}

TEST(brk_syscall)
{
	CHECK_PLACE(request_for("brk"),
		    "\xb8\x0c\x00\x00\x00\x0f\x05\x48\x39\xf8\x72\x01\xc3", 0, false);
}

TEST(mremap_moves_stack)
{
	struct placement p;

	PLACE(request_for("mremap"),
	      "\x48\x83\xec\x58\x4c\x89\x44\x24\x40\x31\xc0\x83\xf9\x07\x77\x5a\xc3", &p);
	check_int(p.offset, 0);
	check(!p.emulated);
	check(strstr(p.reason, "stack pointer"));
}

/* What other compilers, distributions and allocators do. */

TEST(endbr64_then_push)
{
	CHECK_PLACE(request_for("malloc"), "\xf3\x0f\x1e\xfa\x55\x48\x89\xe5\xc3", 4, true);
}

TEST(endbr64_then_test_je)
{
	CHECK_PLACE(request_for("free"), "\xf3\x0f\x1e\xfa\x48\x85\xff\x74\x10\x55\xc3", 7, true);
}

TEST(stack_demand)
{
	static const char code[] = "\x48\x83\xec\x18\x48\x85\xff\x74\x10\xc3";
	struct placement_request req = { .args = ARG(0) };

	CHECK_PLACE(req, code, 7, true);
	req.stack = true;
	CHECK_PLACE(req, code, 0, false);
	req.stack = false;
	req.returns = true;
	CHECK_PLACE(req, code, 0, false);
}

TEST(one_byte_nop)
{
	CHECK_PLACE(request_for("malloc"), "\x90\x48\x89\xf8\xc3", 0, true);
}

/* A nop of five bytes is emulated by new kernels only: anything better wins. */
TEST(long_nop_is_second_choice)
{
	CHECK_PLACE(request_for("malloc"), "\x0f\x1f\x44\x00\x00\x55\x48\x89\xe5\xc3", 5, true);
	CHECK_PLACE(request_for("malloc"),
		    "\xf3\x0f\x1e\xfa\x0f\x1f\x44\x00\x00\x48\x8d\x47\x01\xc3",
		    4, false);
	/* Not behind real code, where the red zone may be in use. */
	CHECK_PLACE(request_for("malloc"), "\x48\x89\xf8\x0f\x1f\x44\x00\x00\xc3", 0, false);
}

TEST(tail_jump_and_call)
{
	CHECK_PLACE(request_for("malloc"), "\xe9\x00\x10\x00\x00", 0, true);
	CHECK_PLACE(request_for("malloc"), "\x31\xc0\xe8\x00\x10\x00\x00\xc3", 2, true);
	CHECK_PLACE(request_for("malloc"), "\x31\xc0\xeb\x40", 2, true);
	/* jmp *%rax ends the block and is not emulated */
	CHECK_PLACE(request_for("malloc"), "\x48\x8b\x05\x00\x10\x00\x00\xff\xe0", 0, false);
}

TEST(prefixed_branches_are_not_emulated)
{
	/* data16 je, which the kernel refuses; ret */
	CHECK_PLACE(request_for("free"), "\x48\x85\xff\x66\x0f\x84\x10\x00\x00\x00\xc3", 0, false);
	/* cs je: a refused prefix */
	CHECK_PLACE(request_for("free"), "\x48\x85\xff\x2e\x74\x10\xc3", 0, false);
	/* rex.W push */
	CHECK_PLACE(request_for("malloc"), "\x48\x53\xc3", 0, false);
}

TEST(every_width_of_an_argument)
{
	/* mov $1,%dil; mov %al,%dh; xor %ecx,%ecx; mov %ax,%r9w; then push */
	CHECK_PLACE((struct placement_request){ .args = ARG(0) }, "\x40\xb7\x01\x55\xc3", 0, false);
	CHECK_PLACE((struct placement_request){ .args = ARG(2) }, "\x88\xc6\x55\xc3", 0, false);
	CHECK_PLACE((struct placement_request){ .args = ARG(3) }, "\x31\xc9\x55\xc3", 0, false);
	CHECK_PLACE((struct placement_request){ .args = ARG(5) }, "\x66\x41\x89\xc1\x55\xc3",
		    0, false);
	/* and none of them matters to one who reads another */
	CHECK_PLACE((struct placement_request){ .args = ARG(1) }, "\x40\xb7\x01\x55\xc3", 3, true);
	CHECK_PLACE((struct placement_request){ .args = ARG(1) }, "\x88\xc6\x55\xc3", 2, true);
}

TEST(implicit_writes)
{
	/* cqto, rep stos, xchg, cpuid, each before a push */
	CHECK_PLACE((struct placement_request){ .args = ARG(2) }, "\x48\x99\x55\xc3", 0, false);
	CHECK_PLACE((struct placement_request){ .args = ARG(3) }, "\xf3\x48\xab\x55\xc3", 0, false);
	CHECK_PLACE((struct placement_request){ .args = ARG(1) }, "\x48\x87\xfe\x55\xc3", 0, false);
	CHECK_PLACE((struct placement_request){ .args = ARG(2) }, "\x0f\xa2\x55\xc3", 0, false);
}

/* A free list pushed without a lock: the block is given away before the jne. */
TEST(effects_come_after)
{
	struct placement p;

	PLACE(request_for("free"),
	      "\x48\x8b\x05\x00\x10\x00\x00\x48\x89\x07\xf0\x48"
	      "\x0f\xb1\x3d\x00\x10\x00\x00\x75\x52\xc3",
	      &p);
	check_int(p.offset, 0);
	check(!p.emulated);
	check(strstr(p.reason, "memory is written"));
	/* the same by cmpxchg and by an SSE store, which Capstone 4 calls loads */
	CHECK_PLACE(request_for("free"), "\x48\x89\xf0\xf0\x48\x0f\xb1\x37\x75\x10\xc3",
		    0, false);
	CHECK_PLACE(request_for("free"), "\x90\x66\x0f\xd6\x07\x75\x10\xc3", 0, true);
	CHECK_PLACE(request_for("free"), "\x66\x0f\xd6\x07\x75\x10\xc3", 0, false);
	/* its own frame is nobody else's */
	CHECK_PLACE(request_for("free"), "\x48\x89\x7c\x24\xf8\x75\x10\xc3", 5, true);
}

/* lea; 1: test; je; ...; jmp 1b: the je is hit once a turn. */
TEST(branch_into_the_entry_block)
{
	struct placement p;

	PLACE(request_for("free"), "\x48\x89\xf8\x48\x85\xc0\x74\x05\x48\x8b\x00\xeb\xf6\xc3", &p);
	check_int(p.offset, 0);
	check(!p.emulated);
	check(strstr(p.reason, "loop"));
	/* a branch behind the je is no matter */
	CHECK_PLACE(request_for("free"), "\x48\x85\xc0\x74\x05\x48\x8b\x00\xeb\xfb\xc3", 3, true);
}

TEST(loop_at_the_entry)
{
	static const char *const code[] = { "\xeb\xfe", "\x48\x89\xf8\x48\x85\xc0\x75\xf8\xc3",
					    "\x48\x83\xc7\x08\x75\xfa\xc3" };
	static const size_t size[] = { 2, 9, 7 };

	for (int i = 0; i < 3; i++) {
		struct placement_request req = request_for("malloc");
		struct placement p;
		struct error *err;

		req.code = (const uint8_t *)code[i];
		req.size = size[i];
		err = placement_find(&req, &p);
		check(err);
		check_int(err->code, ERROR_UNSUPPORTED);
		error_destroy(err);
	}
}

/* Older kernels take vzeroupper's opcode for ja; int3 and lock are refused by all. */
TEST(refused_instructions)
{
	static const char *const code[] = { "\xc5\xf8\x77\xc3", "\xcc\xc3", "\xf4\xc3" };

	CHECK_PLACE(request_for("malloc"), "\xc5\xf8\x77\x55\xc3", 3, true);
	CHECK_PLACE(request_for("free"), "\xc5\xf8\x77\x48\x89\xf8\xc3", 3, false);
	for (int i = 1; i < 3; i++) {
		struct placement_request req = request_for("malloc");
		struct placement p;
		struct error *err;

		req.code = (const uint8_t *)code[i];
		req.size = 2;
		err = placement_find(&req, &p);
		check(err);
		check_int(err->code, ERROR_UNSUPPORTED);
		error_destroy(err);
	}
}

TEST(no_code)
{
	struct placement_request req = { .code = (const uint8_t *)"", .size = 0 };
	struct placement p;
	struct error *err = placement_find(&req, &p);

	check(err);
	check_int(err->code, ERROR_UNSUPPORTED);
	error_destroy(err);
}

/* Cut off in the middle of an instruction, and plain noise: no crash, and within bounds. */
TEST(noise)
{
	uint32_t seed = 1;
	uint8_t code[64];
	int found = 0;

	for (int round = 0; round < 20000; round++) {
		struct placement_request req = request_for(round & 1 ? "malloc" : "free");
		struct placement p;
		struct error *err;

		for (size_t i = 0; i < sizeof(code); i++) {
			seed = seed * 1664525 + 1013904223;
			code[i] = seed >> 24;
		}
		req.code = code;
		req.size = 1 + seed % sizeof(code);
		err = placement_find(&req, &p);
		if (!err) {
			found++;
			check(p.offset < req.size);
			check(strlen(p.reason) > 0);
		}
		error_destroy(err);
	}
	check(found > 1000);
}

/* The rest reads this machine's libc by way of objdump. */

struct line {
	uint64_t addr;
	uint8_t size;
	uint8_t bytes[16];
	char mnemonic[16];
	char operands[96];
};

static struct line *lines;
static size_t lines_count;

static const char *libc_path(void)
{
	static char path[4096];
	char line[4096];
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && fgets(line, sizeof(line), maps)) {
		char *name = strchr(line, '/');

		if (!name || (!strstr(name, "/libc.so") && !strstr(name, "/libc-")))
			continue;
		name[strcspn(name, "\n")] = 0;
		snprintf(path, sizeof(path), "%s", name);
		break;
	}
	if (maps)
		fclose(maps);
	return *path ? path : NULL;
}

/* "  99610:\t80 3d 71 0e \tcmpb   $0x0,0x140e71(%rip)        # 1da488 <x>" */
static bool parse_line(const char *text, struct line *l)
{
	char *end;
	int n;

	memset(l, 0, sizeof(*l));
	l->addr = strtoull(text, &end, 16);
	if (end == text || *end++ != ':')
		return false;
	for (end += strspn(end, " \t"); l->size < 15; end += 3) {
		unsigned int byte;

		if (sscanf(end, "%2x%n", &byte, &n) != 1 || n != 2 || end[2] != ' ')
			break;
		l->bytes[l->size++] = byte;
	}
	end += strspn(end, " \t");
	sscanf(end, "%15s%n", l->mnemonic, &n);
	end += n + strspn(end + n, " ");
	snprintf(l->operands, sizeof(l->operands), "%.*s", (int)strcspn(end, "#<\n"), end);
	return l->size && *l->mnemonic;
}

static void read_objdump(const char *path)
{
	char command[4200], text[4096];
	size_t cap = 0;
	FILE *out;

	if (lines)
		return;
	snprintf(command, sizeof(command), "objdump -dw '%s' 2>/dev/null", path);
	out = popen(command, "r");
	while (out && fgets(text, sizeof(text), out)) {
		struct line l;

		if (!parse_line(text, &l))
			continue;
		if (lines_count == cap) {
			cap = cap ? cap * 2 : 1 << 18;
			lines = realloc(lines, cap * sizeof(*lines));
		}
		lines[lines_count++] = l;
	}
	if (out)
		pclose(out);
	if (lines_count < 1000)
		test_skip("objdump does not disassemble %s", path);
}

static const struct line *line_at(uint64_t addr)
{
	size_t lo = 0, hi = lines_count;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (lines[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < lines_count && lines[lo].addr == addr ? &lines[lo] : NULL;
}

static bool one_of(const char *s, const char *words)
{
	size_t len = strlen(s);

	for (const char *p = words; len && (p = strstr(p, s)); p++)
		if ((p == words || p[-1] == ' ') && (p[len] == ' ' || !p[len]))
			return true;
	return false;
}

static const char *const argument_names[6] = {
	"%rdi %edi %di %dil", "%rsi %esi %si %sil", "%rdx %edx %dx %dl %dh",
	"%rcx %ecx %cx %cl %ch", "%r8 %r8d %r8w %r8b", "%r9 %r9d %r9w %r9b",
};

/* The last operand of AT&T syntax: where most instructions write. */
static const char *destination(const struct line *l, char buf[96])
{
	const char *last = l->operands;
	int depth = 0;

	for (const char *p = l->operands; *p; p++) {
		depth += (*p == '(') - (*p == ')');
		if (*p == ',' && !depth)
			last = p + 1;
	}
	snprintf(buf, 96, "%s", last);
	buf[strcspn(buf, " ")] = 0;
	return buf;
}

static bool reads_only(const char *mnemonic)
{
	return !strncmp(mnemonic, "cmp", 3) ? strncmp(mnemonic, "cmpxchg", 7) :
	       !strncmp(mnemonic, "test", 4) || !strncmp(mnemonic, "push", 4) ||
	       !strncmp(mnemonic, "nop", 3) || !strncmp(mnemonic, "prefetch", 8) ||
	       one_of(mnemonic, "endbr64 bt btl btq ucomiss ucomisd comiss comisd data16 cs");
}

static bool names_argument(const struct line *l, int arg)
{
	char names[64], *save, *name;

	snprintf(names, sizeof(names), "%s", argument_names[arg]);
	for (name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save))
		if (strstr(l->operands, name))
			return true;
	return false;
}

static bool writes_argument(const struct line *l, int arg)
{
	char buf[96];
	const char *m = l->mnemonic;

	if (!reads_only(m) && one_of(destination(l, buf), argument_names[arg]))
		return true;
	if ((!strncmp(m, "xchg", 4) || !strncmp(m, "xadd", 4)) && names_argument(l, arg))
		return true;
	if (!strncmp(m, "rep", 3) || !strncmp(m, "stos", 4) || !strncmp(m, "lods", 4) ||
	    !strncmp(m, "scas", 4) || one_of(m, "movsb movsw movsl movsq"))
		return arg == 0 || arg == 1 || arg == 3;
	if (arg == 2 && (one_of(m, "cqto cltd cwtd rdtsc rdtscp cpuid xgetbv cmpxchg16b") ||
			 one_of(m, "mul mulq mull mulb div divq divl divb") ||
			 !strncmp(m, "idiv", 4) ||
			 (!strncmp(m, "imul", 4) && !strchr(l->operands, ','))))
		return true;
	return arg == 3 && one_of(m, "cpuid rdtscp");
}

static bool moves_stack(const struct line *l)
{
	char buf[96];

	return !strncmp(l->mnemonic, "push", 4) || !strncmp(l->mnemonic, "pop", 3) ||
	       one_of(l->mnemonic, "leave enter") ||
	       (!reads_only(l->mnemonic) && one_of(destination(l, buf), "%rsp %esp"));
}

static bool stores(const struct line *l)
{
	char buf[96];
	const char *to = destination(l, buf);

	if (!strncmp(l->mnemonic, "rep", 3))
		return true;
	if (reads_only(l->mnemonic) || strstr(to, "(%rsp") || strstr(to, "%st("))
		return false;
	return strchr(to, '(') || strchr(to, ':') || (*to >= '0' && *to <= '9');
}

static bool ends(const struct line *l)
{
	const char *m = l->mnemonic;

	return *m == 'j' || !strncmp(m, "call", 4) || !strncmp(m, "ret", 3) ||
	       !strncmp(m, "loop", 4) ||
	       one_of(m, "bnd notrack syscall sysenter int int3 ud2 hlt xbegin xabort "
			 "repz repnz (bad)");
}

static bool bytes_emulated(const struct line *l)
{
	uint8_t a = l->bytes[0], b = l->bytes[1];

	return (a >= 0x50 && a <= 0x57) || (a == 0x41 && b >= 0x50 && b <= 0x57) ||
	       a == 0x90 || a == 0xe8 || a == 0xe9 || a == 0xeb ||
	       (a >= 0x70 && a <= 0x7f) || (a == 0x0f && b >= 0x80 && b <= 0x8f);
}

/* The lowest address behind @start that a direct branch in the function names. */
static uint64_t lowest_target(uint64_t start, uint64_t size)
{
	uint64_t lowest = start + size;

	for (const struct line *l = line_at(start); l && l->addr < start + size; l++) {
		char buf[96];
		const char *to = destination(l, buf);
		uint64_t target;

		if (l + 1 >= lines + lines_count)
			break;
		if ((*l->mnemonic != 'j' && strncmp(l->mnemonic, "call", 4) &&
		     strcmp(l->mnemonic, "bnd")) || strchr(to, '%') || strchr(to, '*'))
			continue;
		target = strtoull(to, NULL, 16);
		if (target > start && target < lowest)
			lowest = target;
	}
	return lowest;
}

static const char *broken_rule(const struct placement_request *req, const struct placement *p)
{
	uint64_t probe = req->vaddr + p->offset;
	const struct line *l = line_at(req->vaddr);

	for (; l && l < lines + lines_count && l->addr < probe; l++) {
		if (ends(l))
			return "behind the entry block";
		for (int arg = 0; arg < 6; arg++)
			if (req->args & ARG(arg) && writes_argument(l, arg))
				return "an argument is written before";
		if ((req->returns || req->stack) && moves_stack(l))
			return "the stack pointer moves before";
		if (stores(l))
			return "memory is written before";
	}
	if (!l || l->addr != probe)
		return "not at an instruction";
	if (p->emulated && !bytes_emulated(l))
		return "not emulated";
	if (p->offset && lowest_target(req->vaddr, req->size) <= probe)
		return "a branch leads between entry and probe";
	return NULL;
}

/* The other way round: an entry that stays single-stepped had no better place. */
static uint64_t expected_offset(const struct placement_request *req)
{
	uint64_t end = lowest_target(req->vaddr, req->size);

	for (const struct line *l = line_at(req->vaddr); l && l->addr < end; l++) {
		if (bytes_emulated(l))
			return l->addr - req->vaddr;
		if (ends(l) || stores(l) || ((req->returns || req->stack) && moves_stack(l)))
			break;
		for (int arg = 0; arg < 6; arg++)
			if (req->args & ARG(arg) && writes_argument(l, arg))
				return UINT64_MAX;
	}
	return UINT64_MAX;
}

struct elf_file {
	uint8_t *data;
	size_t size;
};

static uint64_t elf_offset(const struct elf_file *f, uint64_t vaddr)
{
	const Elf64_Ehdr *eh = (const void *)f->data;
	const Elf64_Phdr *ph = (const void *)(f->data + eh->e_phoff);

	for (int i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_flags & PF_X &&
		    vaddr - ph[i].p_vaddr < ph[i].p_filesz)
			return vaddr - ph[i].p_vaddr + ph[i].p_offset;
	return 0;
}

/* Read, not mapped: another's probes on the file would show as int3 in a mapping. */
static struct elf_file read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct elf_file f = { 0 };
	struct stat st;

	check(fd >= 0 && !fstat(fd, &st));
	f.size = st.st_size;
	f.data = malloc(f.size);
	check(f.data && pread(fd, f.data, f.size, 0) == (ssize_t)f.size);
	close(fd);
	return f;
}

struct tally { int functions, emulated, moved, missed; };

static void check_function(const struct elf_file *f, uint64_t vaddr, uint64_t size,
			   const char *name, struct placement_request req, struct tally *t)
{
	uint64_t offset = elf_offset(f, vaddr), want;
	struct placement p;
	struct error *err;
	const char *broken;

	if (!offset || !size || !line_at(vaddr))
		return;
	req.code = f->data + offset;
	req.size = size;
	req.vaddr = vaddr;
	t->functions++;
	err = placement_find(&req, &p);
	if (err) {
		error_destroy(err);
		return;
	}
	broken = broken_rule(&req, &p);
	if (broken)
		test_fail("%s+%u: %s (%s)", name, p.offset, broken, p.instruction);
	want = expected_offset(&req);
	if (p.emulated && p.offset != want)
		test_fail("%s: %u, not the first emulated instruction", name, p.offset);
	t->emulated += p.emulated;
	t->moved += p.offset > 0;
	t->missed += !p.emulated && want != UINT64_MAX;
	if (!p.emulated && want != UINT64_MAX && getenv("VERBOSE"))
		printf("# %s: +%llu would do; %s\n", name, (unsigned long long)want, p.reason);
}

static void check_all(const struct elf_file *f, struct placement_request req, struct tally *t)
{
	const Elf64_Ehdr *eh = (const void *)f->data;
	const Elf64_Shdr *sh = (const void *)(f->data + eh->e_shoff);

	for (int s = 0; s < eh->e_shnum; s++) {
		const Elf64_Sym *sym = (const void *)(f->data + sh[s].sh_offset);

		if (sh[s].sh_type != SHT_DYNSYM)
			continue;
		for (size_t i = 0; i < sh[s].sh_size / sizeof(*sym); i++)
			if (ELF64_ST_TYPE(sym[i].st_info) == STT_FUNC && sym[i].st_value)
				check_function(f, sym[i].st_value, sym[i].st_size,
					       (const char *)f->data + sh[sh[s].sh_link].sh_offset +
					       sym[i].st_name, req, t);
	}
}

static void check_libc(struct placement_request req)
{
	const char *path = libc_path();
	struct tally t = { 0 };
	struct elf_file f;

#if !defined(__x86_64__)
	test_skip("no rules for this machine's instructions");
#endif
	if (!path)
		test_skip("no libc file is mapped");
	read_objdump(path);
	f = read_file(path);
	check_all(&f, req, &t);
	free(f.data);
	printf("# %s: %d functions, %d emulated, %d not at the entry, %d more than strictly safe\n",
	       path, t.functions, t.emulated, t.moved, t.missed);
	check(t.functions > 500);
	check(t.emulated > t.functions / 3);
	/* Caution may cost a place now and then, not as a rule. */
	check(t.missed * 100 < t.functions);
}

TEST(libc_alloc)
{
	check_libc((struct placement_request){ .args = ARG(0), .returns = true });
}

TEST(libc_all_arguments)
{
	check_libc((struct placement_request){ .args = 0x3f, .stack = true });
}

TEST(libc_free)
{
	check_libc((struct placement_request){ .args = ARG(0) });
}

TEST(allocator_table)
{
	check_int(request_for("mmap").args, 0xf);
	check_int(request_for("posix_memalign").args, ARG(0) | ARG(2));
	check_int(request_for("brk").args, 0);
	check_int(request_for("mremap").args, ARG(0) | ARG(1) | ARG(2));
	check(!request_for("free").stack && !request_for("free").returns);
	check(request_for("munmap").stack && !request_for("munmap").returns);
	check(request_for("sbrk").returns);
	for (size_t i = 0; i < allocator_functions_count; i++)
		for (size_t j = 0; j < i; j++)
			check(strcmp(allocator_functions[i].symbol, allocator_functions[j].symbol));
}
