// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every call frame instruction and every pointer encoding, on sections made
 * here byte by byte: those that no compiler on this machine emits as well.
 */
#include <dwarf.h>
#include <elf.h>

#include "symbol/cfi.h"
#include "tests/unit/test.h"

#define TEXT 0x10000		/* where the function lies */
#define SECTION 0x8000		/* where the section lies */

/* ---- a section in the making ---- */

static uint8_t bytes[65536];
static size_t len;
static size_t entry;		/* offset of the open entry */

static void put(uint64_t value, size_t size)
{
	memcpy(bytes + len, &value, size);
	len += size;
}

static void put_all(const uint8_t *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[len++] = p[i];
}

static void open_entry(void)
{
	entry = len;
	put(0, 4);
}

static void close_entry(void)
{
	uint32_t size = len - entry - 4;

	memcpy(bytes + entry, &size, 4);
}

/* code align 1, data align -8, rip; CFA rsp+8, rip at CFA-8 */
static void put_cie(const char *augmentation, const uint8_t *data, size_t size)
{
	len = 0;
	open_entry();
	put(0, 4);
	put(1, 1);
	put_all((const uint8_t *)augmentation, strlen(augmentation) + 1);
	put(1, 1);
	put(0x78, 1);
	put(16, 1);
	if (*augmentation == 'z') {
		put(size, 1);
		put_all(data, size);
	}
	put_all((const uint8_t[]){ DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1 }, 5);
	close_entry();
}

/* Its start is encoded already; @start_size bytes of each of start and size. */
static void put_fde(uint64_t start, size_t start_size, uint64_t size, bool has_size,
		    const uint8_t *insns, size_t insns_size)
{
	open_entry();
	put(len, 4);
	put(start, start_size);
	put(size, start_size);
	if (has_size)
		put(0, 1);
	put_all(insns, insns_size);
	close_entry();
}

/* ---- what comes out ---- */

static struct cfi cfi;
static struct cfi_row rows[64];
static size_t rows_count;
static bool whole;

static void keep_row(void *ctx, const struct cfi_row *row)
{
	check(rows_count < 64);
	rows[rows_count++] = *row;
	(void)ctx;
}

static bool read_image(void *ctx, uint64_t vaddr, uint64_t *ret)
{
	*ret = TEXT;
	return !ctx && vaddr == 0x7777;
}

static void parse(bool debug_frame, uint16_t machine)
{
	struct cfi_section section = {
		.data = bytes, .size = len, .vaddr = SECTION,
		.text_base = 0x100, .data_base = 0x200,
		.machine = machine, .debug_frame = debug_frame,
		.read_word = read_image,
	};

	cfi_deinit(&cfi);
	cfi_init(&cfi, &section);
	rows_count = 0;
	whole = cfi.fdes.len && cfi_fde_rows(&cfi, &cfi.fdes.data[0], keep_row, NULL);
}

#define RUN(...)							\
	do {								\
		const uint8_t insns[] = { __VA_ARGS__ };		\
		put_cie("", NULL, 0);					\
		put_fde(TEXT, 8, 0x10000, false, insns, sizeof(insns)); \
		parse(false, EM_X86_64);				\
	} while (0)

static void check_row(size_t i, uint64_t start, uint64_t end, uint32_t reg, int64_t offset)
{
	check(i < rows_count);
	check_int(rows[i].start, start);
	check_int(rows[i].end, end);
	check_int(rows[i].cfa.how, CFI_REGISTER);
	check_int(rows[i].cfa.reg, reg);
	check_int(rows[i].cfa.value, offset);
}

TEST(no_instructions)
{
	RUN();
	check(whole);
	check_int(rows_count, 1);
	check_row(0, TEXT, TEXT + 0x10000, 7, 8);
	check_int(rows[0].ra.how, CFI_OFFSET);
	check_int(rows[0].ra.value, -8);
	check_int(rows[0].bp.how, CFI_UNSPECIFIED);
}

TEST(advances)
{
	RUN(DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16,
	    DW_CFA_advance_loc1, 0xff, DW_CFA_def_cfa_offset, 24,
	    DW_CFA_advance_loc2, 0x00, 0x10, DW_CFA_def_cfa_offset, 32,
	    DW_CFA_advance_loc4, 0x00, 0x20, 0, 0, DW_CFA_def_cfa_offset, 40,
	    0x1d, 1, 0, 0, 0, 0, 0, 0, 0, DW_CFA_def_cfa_offset, 48,
	    DW_CFA_set_loc, 0, 0x80, 1, 0, 0, 0, 0, 0, DW_CFA_def_cfa_offset, 56);
	check(whole);
	check_int(rows_count, 7);
	check_row(0, TEXT, TEXT + 1, 7, 8);
	check_row(1, TEXT + 1, TEXT + 0x100, 7, 16);
	check_row(2, TEXT + 0x100, TEXT + 0x1100, 7, 24);
	check_row(3, TEXT + 0x1100, TEXT + 0x3100, 7, 32);
	check_row(4, TEXT + 0x3100, TEXT + 0x3101, 7, 40);
	check_row(5, TEXT + 0x3101, TEXT + 0x8000, 7, 48);
	check_row(6, TEXT + 0x8000, TEXT + 0x10000, 7, 56);
}

TEST(cfa_definitions)
{
	RUN(DW_CFA_def_cfa, 6, 0x90, 1, DW_CFA_advance_loc | 1,
	    DW_CFA_def_cfa_register, 7, DW_CFA_advance_loc | 1,
	    DW_CFA_def_cfa_offset_sf, 0x7e, DW_CFA_advance_loc | 1,
	    DW_CFA_def_cfa_sf, 6, 0x7f, DW_CFA_advance_loc | 1,
	    DW_CFA_def_cfa_expression, 3, DW_OP_breg7, 8, DW_OP_deref, DW_CFA_advance_loc | 1,
	    DW_CFA_def_cfa_register, 7);
	check(whole);
	check_row(0, TEXT, TEXT + 1, 6, 144);
	check_row(1, TEXT + 1, TEXT + 2, 7, 144);
	check_row(2, TEXT + 2, TEXT + 3, 7, 16);
	check_row(3, TEXT + 3, TEXT + 4, 6, 8);
	check_int(rows[4].cfa.how, CFI_VAL_EXPRESSION);
	check_int(cfi_expression(&cfi, &rows[4].cfa).form, CFI_FORM_DEREF);
	check_row(5, TEXT + 5, TEXT + 0x10000, 7, 8);	/* as libgcc: the offset is kept */
}

TEST(register_rules)
{
	static const struct { int how; int64_t value; } want[] = {
		{ CFI_OFFSET, -16 }, { CFI_OFFSET, -24 }, { CFI_OFFSET, 8 },
		{ CFI_OFFSET, 16 }, { CFI_VAL_OFFSET, -8 }, { CFI_VAL_OFFSET, 8 },
		{ CFI_REGISTER, 0 }, { CFI_SAME, 0 }, { CFI_UNDEFINED, 0 },
		{ CFI_UNSPECIFIED, 0 }, { CFI_OFFSET, -16 }, { CFI_UNSPECIFIED, 0 },
	};
	uint8_t next = DW_CFA_advance_loc | 1;

	RUN(DW_CFA_offset | 6, 2, next, DW_CFA_offset_extended, 6, 3, next,
	    DW_CFA_offset_extended_sf, 6, 0x7f, next,
	    DW_CFA_GNU_negative_offset_extended, 6, 2, next,
	    DW_CFA_val_offset, 6, 1, next, DW_CFA_val_offset_sf, 6, 0x7f, next,
	    DW_CFA_register, 6, 12, next, DW_CFA_same_value, 6, next,
	    DW_CFA_undefined, 6, next, DW_CFA_restore_extended, 6, next,
	    DW_CFA_offset | 6, 2, next, DW_CFA_restore | 6);
	check(whole);
	check_int(rows_count, 12);
	for (int i = 0; i < 12; i++) {
		check_int(rows[i].bp.how, want[i].how);
		check_int(rows[i].bp.value, want[i].value);
	}
	check_int(rows[6].bp.reg, 12);
}

TEST(expressions_of_registers)
{
	RUN(DW_CFA_expression, 6, 2, DW_OP_breg6, 0, DW_CFA_advance_loc | 1,
	    DW_CFA_val_expression, 6, 2, DW_OP_breg7, 0x78);
	check(whole);
	check_int(rows[0].bp.how, CFI_EXPRESSION);
	check_int(cfi_expression(&cfi, &rows[0].bp).form, CFI_FORM_PLAIN);
	check_int(cfi_expression(&cfi, &rows[0].bp).reg, 6);
	check_int(rows[1].bp.how, CFI_VAL_EXPRESSION);
	check_int(cfi_expression(&cfi, &rows[1].bp).offset, -8);
}

TEST(remember_and_restore)
{
	RUN(DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2, DW_CFA_remember_state,
	    DW_CFA_advance_loc | 1, DW_CFA_def_cfa, 6, 99, DW_CFA_restore | 6,
	    DW_CFA_advance_loc | 1, DW_CFA_restore_state,
	    DW_CFA_GNU_args_size, 0x80, 1, DW_CFA_nop);
	check(whole);
	check_row(0, TEXT, TEXT + 1, 7, 16);
	check_row(1, TEXT + 1, TEXT + 2, 6, 99);
	check_int(rows[1].bp.how, CFI_UNSPECIFIED);
	check_row(2, TEXT + 2, TEXT + 0x10000, 7, 16);
	check_int(rows[2].bp.how, CFI_OFFSET);
}

TEST(broken_instructions_end_the_rows)
{
	RUN(DW_CFA_advance_loc | 1, 0x3f);
	check(!whole);
	check_int(rows_count, 1);
	RUN(DW_CFA_restore_state);
	check(!whole);
	RUN(DW_CFA_def_cfa_expression, 200, 1);
	check(!whole);
	RUN(DW_CFA_advance_loc | 2, DW_CFA_set_loc, 1, 0, 0, 0, 0, 0, 0, 0);	/* back */
	check(!whole);
}

TEST(rows_end_with_the_function)
{
	RUN(DW_CFA_advance_loc4, 0xff, 0xff, 0xff, 0x7f, DW_CFA_def_cfa_offset, 16,
	    DW_CFA_advance_loc | 1, 0x3f);
	check(whole);
	check_int(rows_count, 1);
	check_row(0, TEXT, TEXT + 0x10000, 7, 8);
}

/* ---- pointer encodings ---- */

static void check_encoding(uint8_t encoding, uint64_t stored, size_t size)
{
	put_cie("zR", &encoding, 1);
	put_fde(stored, size, 0x100, true, NULL, 0);
	parse(false, EM_X86_64);
	check_int(cfi.malformed, 0);
	check_int(cfi.fdes.len, 1);
	check_int(cfi.fdes.data[0].start, TEXT);
	check_int(cfi.fdes.data[0].end, TEXT + 0x100);
}

TEST(pointer_encodings)
{
	uint64_t at;

	check_encoding(DW_EH_PE_absptr, TEXT, 8);
	check_encoding(DW_EH_PE_udata8, TEXT, 8);
	check_encoding(DW_EH_PE_sdata8, TEXT, 8);
	check_encoding(DW_EH_PE_udata4, TEXT, 4);
	check_encoding(DW_EH_PE_sdata4, TEXT, 4);
	check_encoding(DW_EH_PE_textrel | DW_EH_PE_sdata4, TEXT - 0x100, 4);
	check_encoding(DW_EH_PE_datarel | DW_EH_PE_udata4, TEXT - 0x200, 4);
	check_encoding(DW_EH_PE_textrel | DW_EH_PE_udata2, TEXT - 0x100, 2);
	check_encoding(DW_EH_PE_indirect | DW_EH_PE_udata4, 0x7777, 4);
	at = SECTION + entry + 8;	/* of the FDE's start, the same each time */
	check_encoding(DW_EH_PE_pcrel | DW_EH_PE_sdata4, TEXT - at, 4);
	check_encoding(DW_EH_PE_pcrel | DW_EH_PE_sdata2, TEXT - at, 2);
	check_encoding(DW_EH_PE_pcrel | DW_EH_PE_sdata8, TEXT - at, 8);
}

TEST(unreadable_indirection_is_malformed)
{
	uint8_t encoding = DW_EH_PE_indirect | DW_EH_PE_udata4;

	put_cie("zR", &encoding, 1);
	put_fde(0x7778, 4, 0x100, true, NULL, 0);
	parse(false, EM_X86_64);
	check_int(cfi.fdes.len, 0);
	check_int(cfi.malformed, 1);
}

TEST(augmentations)
{
	put_cie("zPLR", (const uint8_t[]){ DW_EH_PE_pcrel | DW_EH_PE_sdata4, 1, 2, 3, 4,
					   DW_EH_PE_sdata4, DW_EH_PE_udata4 }, 7);
	put_fde(TEXT, 4, 0x100, true, NULL, 0);
	parse(false, EM_X86_64);
	check_int(cfi.fdes.len, 1);
	check_int(cfi.fdes.data[0].start, TEXT);
	check(!rows[0].signal_frame);
	put_cie("zRSB", (const uint8_t[]){ DW_EH_PE_udata4 }, 1);
	put_fde(TEXT, 4, 0x100, true, NULL, 0);
	parse(false, EM_X86_64);
	check(whole && rows[0].signal_frame);
	put_cie("zRX", (const uint8_t[]){ DW_EH_PE_udata4, 9 }, 2);	/* X: unknown */
	put_fde(TEXT, 4, 0x100, true, NULL, 0);
	parse(false, EM_X86_64);
	check_int(cfi.fdes.len, 1);
	put_cie("armcc", NULL, 0);
	put_fde(TEXT, 8, 0x100, false, NULL, 0);
	parse(false, EM_X86_64);
	check_int(cfi.fdes.len, 0);
	check_int(cfi.malformed, 2);
}

/* ---- entries ---- */

TEST(terminators_in_the_middle)
{
	struct cfi_section section;

	put_cie("", NULL, 0);
	put(0, 4);
	put_fde(TEXT, 8, 0x10, false, NULL, 0);
	parse(false, EM_X86_64);
	check_int(cfi.fdes.len, 1);
	section = cfi.section;
	section.ends_at_zero = true;
	cfi_deinit(&cfi);
	cfi_init(&cfi, &section);
	check_int(cfi.fdes.len, 0);
}

TEST(odd_functions)
{
	put_cie("", NULL, 0);
	put_fde(TEXT, 8, 0, false, NULL, 0);		/* empty: left out, no error */
	put_fde(-16ul, 8, 32, false, NULL, 0);		/* wraps around */
	put_fde(0, 8, 32, false, NULL, 0);		/* dropped by the linker */
	parse(false, EM_X86_64);
	check_int(cfi.fdes.len, 1);
	check_int(cfi.malformed, 1);
	check_int(cfi.fdes.data[0].start, 0);
}

TEST(cut_off_anywhere)
{
	size_t whole_len;

	put_cie("zR", (const uint8_t[]){ DW_EH_PE_absptr }, 1);
	put_fde(TEXT, 8, 0x10, true, (const uint8_t[]){ DW_CFA_offset | 6, 2 }, 2);
	whole_len = len;
	for (len = 0; len < whole_len; len++) {
		parse(false, EM_X86_64);
		check_int(cfi.fdes.len, 0);
	}
}

TEST(debug_frame_of_64_bit_dwarf)
{
	size_t fde;

	len = 0;
	put(0xffffffff, 4);
	put(0, 8);
	put(UINT64_MAX, 8);
	put_all((const uint8_t[]){ 4, 0, 8, 0, 1, 0x78, 16, DW_CFA_def_cfa, 7, 8,
				   DW_CFA_offset | 16, 1 }, 12);
	memcpy(bytes + 4, &(uint64_t){ len - 12 }, 8);
	fde = len;
	put(0xffffffff, 4);
	put(0, 8);
	put(0, 8);		/* the CIE's offset */
	put(TEXT, 8);
	put(0x10, 8);
	memcpy(bytes + fde + 4, &(uint64_t){ len - fde - 12 }, 8);
	parse(true, EM_X86_64);
	check_int(cfi.fdes.len, 1);
	check_row(0, TEXT, TEXT + 0x10, 7, 8);
}

TEST(arm64_registers)
{
	len = 0;
	open_entry();
	put(0, 4);
	/* version 1, "", 4, -8, x30; CFA sp+0 */
	put_all((const uint8_t[]){ 1, 0, 4, 0x78, 30, DW_CFA_def_cfa, 31, 0 }, 8);
	close_entry();
	put_fde(TEXT, 8, 0x100, false, (const uint8_t[]){
		DW_CFA_advance_loc | 1, 0x2d, DW_CFA_def_cfa_offset, 32,
		DW_CFA_offset | 29, 4, DW_CFA_offset | 30, 3 }, 8);
	parse(false, EM_AARCH64);
	check(whole);
	check_row(0, TEXT, TEXT + 4, 31, 0);
	check_int(rows[0].ra.how, CFI_UNSPECIFIED);
	check_row(1, TEXT + 4, TEXT + 0x100, 31, 32);
	check_int(rows[1].bp.value, -32);
	check_int(rows[1].ra.value, -24);
}

/* ---- expressions ---- */

static struct cfi_expression expression(const uint8_t *p, size_t size)
{
	struct cfi_where where = { .how = CFI_VAL_EXPRESSION, .expr_size = size };

	len = 0;
	put_all(p, size);
	parse(false, EM_X86_64);
	return cfi_expression(&cfi, &where);
}

#define EXPRESSION(...) \
	expression((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

TEST(forms_of_expressions)
{
	struct cfi_expression e;

	e = EXPRESSION(DW_OP_breg7, 0x98, 1, DW_OP_deref, DW_OP_plus_uconst, 8);
	check_int(e.form, CFI_FORM_DEREF);
	check_int(e.reg, 7);
	check_int(e.offset, 152);
	check_int(e.addend, 8);
	e = EXPRESSION(DW_OP_bregx, 6, 0x70, DW_OP_lit8, DW_OP_minus, DW_OP_deref);
	check_int(e.form, CFI_FORM_DEREF);
	check_int(e.reg, 6);
	check_int(e.offset, -24);
	e = EXPRESSION(DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and, DW_OP_lit10,
		       DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus);
	check_int(e.form, CFI_FORM_PLT);
	check_int(e.offset, 10);
	e = EXPRESSION(DW_OP_breg7, 0, DW_OP_deref, DW_OP_deref);
	check_int(e.form, CFI_FORM_OTHER);
	e = EXPRESSION(DW_OP_lit1);
	check_int(e.form, CFI_FORM_OTHER);
	e = EXPRESSION(DW_OP_breg7);
	check_int(e.form, CFI_FORM_OTHER);
}
