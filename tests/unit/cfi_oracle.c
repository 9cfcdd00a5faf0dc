// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The CFI interpreter against libdw, row by row: every row of every FDE of
 * every ELF file below the directories of $HEAPSONDE_ORACLE_ROOTS
 * (colon-separated; "/usr:/root" takes minutes), or else below a sample that
 * fits a test run. At a row's first and last address libdw must give the same
 * CFA, frame pointer and return address, and must know of no change between.
 *
 * libdw's own start of a row is not used: it is stale after
 * DW_CFA_restore_state. Left out are FDEs that another one overlaps, for
 * libdw keeps an arbitrary one; FDEs of code that was not linked in; and
 * what stands behind a terminator in .debug_frame, where libdw stops.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <ftw.h>
#include <gelf.h>
#include <time.h>
#include <unistd.h>

#include "symbol/unwind_image.h"
#include "tests/unit/test.h"

static struct {
	size_t files, fdes, rows, overlapped, unlinked, malformed, broken, differences;
	size_t debug_frames, unseen, refused;
} total;

static const char *current_path;
static double deadline_s;

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

struct comparison {
	const struct cfi *cfi;
	Dwarf_CFI *oracle;
	int bp_reg, ra_reg;
};

static void difference(const struct cfi_row *row, uint64_t pc, const char *what)
{
	if (total.differences++ < 20)
		fprintf(stderr, "%s: row %#lx-%#lx at %#lx: %s\n", current_path,
			(long)row->start, (long)row->end, (long)pc, what);
}

static uint64_t take_uleb(const uint8_t **p)
{
	uint64_t value = 0;
	int shift = 0;

	do {
		value |= (uint64_t)(**p & 0x7f) << shift;
		shift += 7;
	} while (*(*p)++ & 0x80);
	return value;
}

static int64_t take_sleb(const uint8_t **p)
{
	uint64_t value = 0;
	int shift = 0;
	uint8_t byte;

	do {
		byte = *(*p)++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (byte & 0x40 && shift < 64)
		value |= UINT64_MAX << shift;
	return value;
}

/* Raw expression bytes against libdw's decoded operations. */
static bool same_expression(const struct comparison *cmp, const struct cfi_where *w,
			    const Dwarf_Op *ops, size_t count)
{
	const uint8_t *p = cmp->cfi->section.data + w->expr;
	const uint8_t *end = p + w->expr_size;

	for (size_t i = 0; i < count; i++) {
		if (p >= end || *p++ != ops[i].atom)
			return false;
		switch (ops[i].atom) {
		case DW_OP_breg0 ... DW_OP_breg31:
			if (take_sleb(&p) != (int64_t)ops[i].number)
				return false;
			break;
		case DW_OP_bregx:
			if (take_uleb(&p) != ops[i].number ||
			    take_sleb(&p) != (int64_t)ops[i].number2)
				return false;
			break;
		case DW_OP_plus_uconst:
		case DW_OP_constu:
			if (take_uleb(&p) != ops[i].number)
				return false;
			break;
		case DW_OP_const1u:
		case DW_OP_const1s:
			p += 1;
			break;
		case DW_OP_const2u:
		case DW_OP_const2s:
			p += 2;
			break;
		case DW_OP_const4u:
		case DW_OP_const4s:
			p += 4;
			break;
		}
	}
	return p == end;
}

/*
 * libdw refuses two things that libgcc, whose reading is the one programs are
 * tested with, accepts: def_cfa_register after def_cfa_expression (libgcrypt)
 * and a restore in a CIE (merged by a linker; CUDA's compilers). Both are rare.
 */
static bool may_refuse(void)
{
	return ++total.refused <= 50;
}

static bool same_cfa(const struct comparison *cmp, const struct cfi_row *row,
		     Dwarf_Frame *frame)
{
	const struct cfi_where *w = &row->cfa;
	Dwarf_Op *ops;
	size_t count;

	if (dwarf_frame_cfa(frame, &ops, &count))
		return w->how == CFI_UNSPECIFIED || (w->how == CFI_REGISTER && may_refuse());
	if (w->how == CFI_VAL_EXPRESSION)
		return same_expression(cmp, w, ops, count);
	if (w->how != CFI_REGISTER || count != 1)
		return w->how == CFI_UNSPECIFIED && !count;
	if (ops->atom == DW_OP_bregx)
		return w->reg == ops->number && w->value == (int64_t)ops->number2;
	return ops->atom == DW_OP_breg0 + w->reg && w->value == (int64_t)ops->number;
}

/*
 * libdw's presets of the x86-64 ABI make no difference here: it calls an
 * unnamed rbp "same", an unnamed return address "undefined".
 */
static bool same_register(const struct comparison *cmp, const struct cfi_where *w,
			  int reg, Dwarf_Frame *frame)
{
	Dwarf_Op mem[3], *ops;
	size_t count;

	if (dwarf_frame_register(frame, reg, mem, &ops, &count))
		return false;
	switch (w->how) {
	case CFI_UNSPECIFIED:
		return !count;
	case CFI_UNDEFINED:
		return !count && ops == mem;
	case CFI_SAME:
		return !count && !ops;
	case CFI_REGISTER:
		return count == 1 && (ops->atom == DW_OP_regx ?
				      ops->number == w->reg :
				      ops->atom == DW_OP_reg0 + w->reg);
	case CFI_EXPRESSION:
		return count && same_expression(cmp, w, ops + 1, count - 1);
	case CFI_VAL_EXPRESSION:
		return count > 1 && ops[count - 1].atom == DW_OP_stack_value &&
		       same_expression(cmp, w, ops + 1, count - 2);
	}
	if (w->how == CFI_VAL_OFFSET) {
		if (!count || ops[count - 1].atom != DW_OP_stack_value)
			return false;
		count--;
	}
	if (!count || ops[0].atom != DW_OP_call_frame_cfa)
		return false;
	if (count == 1)
		return w->value == 0;
	return count == 2 && ops[1].atom == DW_OP_plus_uconst &&
	       (int64_t)ops[1].number == w->value;
}

static void compare_at(const struct comparison *cmp, const struct cfi_row *row,
		       uint64_t pc)
{
	Dwarf_Addr start, end;
	Dwarf_Frame *frame;
	bool signal_frame;

	if (dwarf_cfi_addrframe(cmp->oracle, pc, &frame)) {
		const char *why = dwarf_errmsg(-1);

		if (strcmp(why, "invalid CFI section") || !may_refuse())
			difference(row, pc, why);
		return;
	}
	dwarf_frame_info(frame, &start, &end, &signal_frame);
	if (end < row->end)
		difference(row, pc, "a change in the middle");
	if (signal_frame != row->signal_frame)
		difference(row, pc, "signal frame");
	if (!same_cfa(cmp, row, frame))
		difference(row, pc, "CFA");
	if (!same_register(cmp, &row->bp, cmp->bp_reg, frame))
		difference(row, pc, "frame pointer");
	if (!same_register(cmp, &row->ra, cmp->ra_reg, frame))
		difference(row, pc, "return address");
	free(frame);
}

static void compare_row(void *ctx, const struct cfi_row *row)
{
	const struct comparison *cmp = ctx;

	total.rows++;
	compare_at(cmp, row, row->start);
	if (row->end - 1 != row->start)
		compare_at(cmp, row, row->end - 1);
}

static int cmp_fde(const void *a, const void *b)
{
	const struct cfi_fde *x = a, *y = b;

	return x->start != y->start ? (x->start < y->start ? -1 : 1) :
	       x->end < y->end ? -1 : x->end > y->end;
}

/* Sorted FDEs: does number @i share an address with one before or after it? */
static bool overlaps(const struct cfi *cfi, size_t i, uint64_t end_before)
{
	const struct cfi_fde *fde = &cfi->fdes.data[i];

	return fde->start < end_before ||
	       (i + 1 < cfi->fdes.len && fde[1].start < fde->end);
}

static bool is_text(const struct unwind_image *image, const struct cfi_fde *fde)
{
	uint8_t byte;

	return fde->start && unwind_image_read(image, fde->start, &byte, 1);
}

/* Offset of the first entry of length 0. */
static size_t find_terminator(const struct cfi_section *s)
{
	size_t offset = 0;
	uint32_t size;

	while (offset + 4 <= s->size) {
		memcpy(&size, s->data + offset, 4);
		if (!size || size >= 0xfffffff0)
			break;
		offset += 4ul + size;
	}
	return offset;
}

static void report_left_out(const struct cfi *cfi)
{
	if (cfi->malformed)
		fprintf(stderr, "%s: %zu malformed entries\n", current_path,
			cfi->malformed);
	total.malformed += cfi->malformed;
}

static void compare_section(const struct unwind_image *image, struct cfi *cfi,
			    Dwarf_CFI *oracle)
{
	struct comparison cmp = {
		.cfi = cfi,
		.oracle = oracle,
		.bp_reg = image->machine == EM_AARCH64 ? 29 : 6,
		.ra_reg = image->machine == EM_AARCH64 ? 30 : 16,
	};
	size_t terminator = find_terminator(&cfi->section);
	uint64_t end_before = 0;

	if (cfi->fdes.len)
		qsort(cfi->fdes.data, cfi->fdes.len, sizeof(*cfi->fdes.data), cmp_fde);
	report_left_out(cfi);
	for (size_t i = 0; i < cfi->fdes.len; i++) {
		const struct cfi_fde *fde = &cfi->fdes.data[i];

		if (!is_text(image, fde)) {
			total.unlinked++;
		} else if (overlaps(cfi, i, end_before)) {
			total.overlapped++;
		} else if (cfi->section.debug_frame && fde->insns > terminator) {
			total.unseen++;
		} else {
			total.fdes++;
			if (!cfi_fde_rows(cfi, fde, compare_row, &cmp)) {
				total.broken++;
				fprintf(stderr, "%s: FDE of %#lx is broken\n",
					current_path, (long)fde->start);
			}
		}
		if (fde->end > end_before)
			end_before = fde->end;
	}
}

static void compare_eh_frame(struct unwind_image *image, Elf *elf)
{
	struct unwind_cfi mine;
	Dwarf_CFI *oracle;

	if (!unwind_image_eh_frame(image, &mine))
		return;
	oracle = dwarf_getcfi_elf(elf);
	if (oracle) {
		compare_section(image, &mine.cfi, oracle);
		dwarf_cfi_end(oracle);
	} else if (mine.cfi.fdes.len) {
		fprintf(stderr, "%s: libdw: %s\n", current_path, dwarf_errmsg(-1));
	}
	unwind_cfi_deinit(&mine);
}

static void compare_debug_frame(struct unwind_image *image, Elf *elf)
{
	struct unwind_cfi mine;
	Dwarf_CFI *oracle;
	Dwarf *dwarf;

	if (!unwind_image_debug_frame(image, &mine))
		return;
	dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	oracle = dwarf ? dwarf_getcfi(dwarf) : NULL;
	if (oracle) {
		total.debug_frames++;
		compare_section(image, &mine.cfi, oracle);
	}
	dwarf_end(dwarf);
	unwind_cfi_deinit(&mine);
}

static void compare_file(const char *path)
{
	__cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct unwind_image image;
	struct error *err;
	Elf *elf;

	if (fd < 0)
		return;
	err = unwind_image_init(&image, fd, NULL, 0);
	if (err) {
		error_destroy(err);
		return;
	}
	current_path = path;
	total.files++;
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	compare_eh_frame(&image, elf);
	compare_debug_frame(&image, elf);
	elf_end(elf);
	unwind_image_deinit(&image);
}

static bool is_elf(const char *path)
{
	__cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char magic[4];

	return fd >= 0 && read(fd, magic, 4) == 4 && !memcmp(magic, "\177ELF", 4);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if (deadline_s && now_s() > deadline_s)
		return 1;
	if (type == FTW_F && S_ISREG(st->st_mode) && is_elf(path))
		compare_file(path);
	return 0;
}

static void compare_tree(char *roots)
{
	char *save = NULL;

	for (char *root = strtok_r(roots, ":", &save); root;
	     root = strtok_r(NULL, ":", &save))
		nftw(root, visit, 64, FTW_PHYS | FTW_MOUNT);
}

/* Files of another machine, as a cross compiler brings them. */
TEST(every_row_of_arm64_equals_libdw)
{
	char roots[] = "/usr/aarch64-linux-gnu/lib";

	if (access(roots, F_OK))
		test_skip("no %s (libc6-arm64-cross)", roots);
	deadline_s = 0;
	compare_tree(roots);
	printf("# arm64: %zu files, %zu FDEs, %zu rows, %zu differences\n",
	       total.files, total.fdes, total.rows, total.differences);
	check(total.rows > 10000);
	check_int(total.differences, 0);
	memset(&total, 0, sizeof(total));
}

TEST(every_row_equals_libdw)
{
	const char *env = getenv("HEAPSONDE_ORACLE_ROOTS");
	__cleanup_free char *roots = xstrdup(env ? env :
		"/lib/x86_64-linux-gnu/libc.so.6:/lib/aarch64-linux-gnu:"
		"/usr/lib/x86_64-linux-gnu:/usr/lib64:/usr/bin");
	double begin_s = now_s();

	if (!env)
		deadline_s = begin_s + 30;
	compare_tree(roots);
	printf("# %zu files, %zu FDEs, %zu rows, %zu differences; left out: %zu overlapped, "
	       "%zu not linked, %zu malformed, %zu broken, %zu unseen, %zu refused by libdw; "
	       "%zu .debug_frames; %.1f s\n",
	       total.files, total.fdes, total.rows, total.differences, total.overlapped,
	       total.unlinked, total.malformed, total.broken, total.unseen,
	       total.refused, total.debug_frames, now_s() - begin_s);
	check(total.rows > 10000);
	check_int(total.differences, 0);
	if (!env)
		check_int(total.broken, 0);
}


