// SPDX-License-Identifier: GPL-2.0-or-later
/* The interpreter of call frame information; see cfi.h. */
#include <dwarf.h>
#include <elf.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/cfi.h"

/* remember_state nests once or twice in practice. */
#define CFI_MAX_REMEMBERED 32

/* Not in every <dwarf.h>. */
#define CFA_MIPS_ADVANCE_LOC8		0x1d
#define CFA_AARCH64_NEGATE_RA_STATE_PC	0x2c
#define CFA_AARCH64_NEGATE_RA_STATE	0x2d	/* on SPARC: GNU_window_save */

/* Reads within [p, end); past it everything is 0 and bad is set. */
struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

static uint64_t read_fixed(struct cursor *c, size_t size)
{
	uint64_t value = 0;

	if ((size_t)(c->end - c->p) < size) {
		c->p = c->end;
		c->bad = true;
		return 0;
	}
	memcpy(&value, c->p, size);	/* little-endian, as both machines are */
	c->p += size;
	return value;
}

static uint8_t read_u8(struct cursor *c)
{
	return read_fixed(c, 1);
}

static int64_t sign_extend(uint64_t value, unsigned int bits)
{
	return (int64_t)(value << (64 - bits)) >> (64 - bits);
}

/* Bits above 64 are dropped, as every consumer does. */
static uint64_t read_leb(struct cursor *c, bool is_signed)
{
	uint64_t value = 0;
	unsigned int shift = 0;
	uint8_t byte;

	do {
		byte = read_u8(c);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (is_signed && shift < 64 && (byte & 0x40))
		value |= UINT64_MAX << shift;
	return value;
}

static uint64_t read_uleb(struct cursor *c)
{
	if (c->p < c->end && *c->p < 0x80)
		return *c->p++;
	return read_leb(c, false);
}

static int64_t read_sleb(struct cursor *c)
{
	return read_leb(c, true);
}

/* Register numbers that do not fit are nobody's. */
static uint32_t read_reg(struct cursor *c)
{
	uint64_t reg = read_uleb(c);

	return reg > UINT32_MAX ? UINT32_MAX : reg;
}

static void skip(struct cursor *c, uint64_t size)
{
	if (size > (size_t)(c->end - c->p)) {
		c->p = c->end;
		c->bad = true;
	} else {
		c->p += size;
	}
}

static uint64_t vaddr_of(const struct cfi_section *s, const uint8_t *p)
{
	return s->vaddr + (p - s->data);
}

/* The value as stored, before its base is added. */
static uint64_t read_encoded_value(struct cursor *c, uint8_t encoding)
{
	switch (encoding & 0x0f) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
	case DW_EH_PE_signed:
		return read_fixed(c, 8);
	case DW_EH_PE_uleb128:
		return read_uleb(c);
	case DW_EH_PE_sleb128:
		return read_sleb(c);
	case DW_EH_PE_udata2:
		return read_fixed(c, 2);
	case DW_EH_PE_sdata2:
		return sign_extend(read_fixed(c, 2), 16);
	case DW_EH_PE_udata4:
		return read_fixed(c, 4);
	case DW_EH_PE_sdata4:
		return sign_extend(read_fixed(c, 4), 32);
	}
	c->bad = true;
	return 0;
}

/* @func: what DW_EH_PE_funcrel counts from. */
static uint64_t read_encoded(struct cursor *c, const struct cfi_section *s,
			     uint8_t encoding, uint64_t func)
{
	uint64_t base = 0, value;

	if (encoding == DW_EH_PE_omit)
		return 0;
	switch (encoding & 0x70) {
	case DW_EH_PE_absptr:
		break;
	case DW_EH_PE_pcrel:
		base = vaddr_of(s, c->p);
		break;
	case DW_EH_PE_textrel:
		base = s->text_base;
		break;
	case DW_EH_PE_datarel:
		base = s->data_base;
		break;
	case DW_EH_PE_funcrel:
		base = func;
		break;
	case DW_EH_PE_aligned:
		skip(c, -vaddr_of(s, c->p) & 7);
		break;
	default:
		c->bad = true;
	}
	value = base + read_encoded_value(c, encoding);
	if (encoding & DW_EH_PE_indirect && !c->bad &&
	    !(s->read_word && s->read_word(s->read_ctx, value, &value)))
		c->bad = true;
	return value;
}

struct interp {
	const struct cfi_section *section;
	const struct cfi_cie *cie;
	const struct cfi_row *initial;	/* what DW_CFA_restore restores */
	uint32_t bp_reg;
	struct cursor c;
	struct cfi_row row;		/* end is unknown until the next advance */
	uint64_t limit;
	cfi_row_fn *fn;
	void *ctx;
	unsigned int remembered;
	struct cfi_row stack[CFI_MAX_REMEMBERED];
};

static uint32_t bp_register(uint16_t machine)
{
	return machine == EM_AARCH64 ? 29 : 6;
}

/* Ends the current row at @pc and begins the next there. */
static void advance_to(struct interp *in, uint64_t pc)
{
	if (pc < in->row.start) {	/* backwards, or wrapped around */
		in->c.bad = true;
		return;
	}
	if (pc > in->limit)
		pc = in->limit;
	if (pc > in->row.start && in->fn) {
		in->row.end = pc;
		in->fn(in->ctx, &in->row);
	}
	in->row.start = pc;
}

static void advance(struct interp *in, uint64_t delta)
{
	advance_to(in, in->row.start + delta * in->cie->code_align);
}

static void set_where(struct interp *in, uint32_t reg, struct cfi_where where)
{
	if (reg == in->bp_reg)
		in->row.bp = where;
	if (reg == in->cie->ra_reg)
		in->row.ra = where;
}

static void set_offset(struct interp *in, uint32_t reg, enum cfi_how how,
		       uint64_t factored)
{
	set_where(in, reg, (struct cfi_where){
		.how = how,
		.value = factored * (uint64_t)in->cie->data_align,
	});
}

/* A CIE that restores (linkers merge such) means "not saved", as for libgcc. */
static void restore(struct interp *in, uint32_t reg)
{
	static const struct cfi_row unsaved;
	const struct cfi_row *from = in->initial ? in->initial : &unsaved;

	if (reg == in->bp_reg)
		in->row.bp = from->bp;
	if (reg == in->cie->ra_reg)
		in->row.ra = from->ra;
}

static void read_expression(struct interp *in, enum cfi_how how,
			    struct cfi_where *where)
{
	uint64_t size = read_uleb(&in->c);

	where->how = how;
	where->expr = in->c.p - in->section->data;
	skip(&in->c, size);
	where->expr_size = in->c.bad ? 0 : size;
}

static void set_expression(struct interp *in, uint32_t reg, enum cfi_how how)
{
	struct cfi_where where = { 0 };

	read_expression(in, how, &where);
	set_where(in, reg, where);
}

/*
 * An expression for the CFA leaves its register and offset as they were: like
 * libgcc's, and unlike libdw's, a later def_cfa_register finds the offset
 * again. libgcrypt's hand-written CFI is right only so.
 */
static void set_cfa(struct interp *in, uint32_t reg, uint64_t offset)
{
	in->row.cfa = (struct cfi_where){
		.how = CFI_REGISTER, .reg = reg, .value = offset,
	};
}

static void remember_state(struct interp *in)
{
	if (in->remembered == CFI_MAX_REMEMBERED)
		in->c.bad = true;
	else
		in->stack[in->remembered++] = in->row;
}

static void restore_state(struct interp *in)
{
	const struct cfi_row *from;

	if (!in->remembered) {
		in->c.bad = true;
		return;
	}
	from = &in->stack[--in->remembered];
	in->row.cfa = from->cfa;
	in->row.bp = from->bp;
	in->row.ra = from->ra;
}

/* The instructions that move the CFA. False if @op is none of them. */
static bool step_cfa(struct interp *in, uint8_t op)
{
	struct cursor *c = &in->c;
	uint32_t reg;

	switch (op) {
	case DW_CFA_def_cfa:
		reg = read_reg(c);
		set_cfa(in, reg, read_uleb(c));
		return true;
	case DW_CFA_def_cfa_sf:
		reg = read_reg(c);
		set_cfa(in, reg, read_sleb(c) * (uint64_t)in->cie->data_align);
		return true;
	case DW_CFA_def_cfa_register:
		set_cfa(in, read_reg(c), in->row.cfa.value);
		return true;
	case DW_CFA_def_cfa_offset:
		set_cfa(in, in->row.cfa.reg, read_uleb(c));
		return true;
	case DW_CFA_def_cfa_offset_sf:
		set_cfa(in, in->row.cfa.reg,
			read_sleb(c) * (uint64_t)in->cie->data_align);
		return true;
	case DW_CFA_def_cfa_expression:
		read_expression(in, CFI_VAL_EXPRESSION, &in->row.cfa);
		return true;
	}
	return false;
}

/* The instructions that move the location, or that change nothing here. */
static bool step_location(struct interp *in, uint8_t op)
{
	struct cursor *c = &in->c;

	switch (op) {
	case DW_CFA_nop:
	case CFA_AARCH64_NEGATE_RA_STATE:	/* pointers are always stripped */
	case CFA_AARCH64_NEGATE_RA_STATE_PC:
		return true;
	case DW_CFA_GNU_args_size:
		read_uleb(c);
		return true;
	case DW_CFA_set_loc:
		advance_to(in, read_encoded(c, in->section,
					    in->cie->pointer_encoding, 0));
		return true;
	case DW_CFA_advance_loc1:
		advance(in, read_u8(c));
		return true;
	case DW_CFA_advance_loc2:
		advance(in, read_fixed(c, 2));
		return true;
	case DW_CFA_advance_loc4:
		advance(in, read_fixed(c, 4));
		return true;
	case CFA_MIPS_ADVANCE_LOC8:
		advance(in, read_fixed(c, 8));
		return true;
	}
	return false;
}

/* The instructions that say where one register is. */
static bool step_register(struct interp *in, uint8_t op)
{
	struct cursor *c = &in->c;
	uint32_t reg = read_reg(c);

	switch (op) {
	case DW_CFA_undefined:
		set_where(in, reg, (struct cfi_where){ .how = CFI_UNDEFINED });
		return true;
	case DW_CFA_same_value:
		set_where(in, reg, (struct cfi_where){ .how = CFI_SAME });
		return true;
	case DW_CFA_register:
		set_where(in, reg, (struct cfi_where){
			.how = CFI_REGISTER, .reg = read_reg(c) });
		return true;
	case DW_CFA_restore_extended:
		restore(in, reg);
		return true;
	case DW_CFA_offset_extended:
		set_offset(in, reg, CFI_OFFSET, read_uleb(c));
		return true;
	case DW_CFA_offset_extended_sf:
		set_offset(in, reg, CFI_OFFSET, read_sleb(c));
		return true;
	case DW_CFA_GNU_negative_offset_extended:
		set_offset(in, reg, CFI_OFFSET, -read_uleb(c));
		return true;
	case DW_CFA_val_offset:
		set_offset(in, reg, CFI_VAL_OFFSET, read_uleb(c));
		return true;
	case DW_CFA_val_offset_sf:
		set_offset(in, reg, CFI_VAL_OFFSET, read_sleb(c));
		return true;
	case DW_CFA_expression:
		set_expression(in, reg, CFI_EXPRESSION);
		return true;
	case DW_CFA_val_expression:
		set_expression(in, reg, CFI_VAL_EXPRESSION);
		return true;
	}
	return false;
}

static void step(struct interp *in)
{
	uint8_t op = read_u8(&in->c);

	switch (op & 0xc0) {
	case DW_CFA_advance_loc:
		advance(in, op & 0x3f);
		return;
	case DW_CFA_offset:
		set_offset(in, op & 0x3f, CFI_OFFSET, read_uleb(&in->c));
		return;
	case DW_CFA_restore:
		restore(in, op & 0x3f);
		return;
	}
	if (op == DW_CFA_remember_state)
		remember_state(in);
	else if (op == DW_CFA_restore_state)
		restore_state(in);
	else if (!step_cfa(in, op) && !step_location(in, op) &&
		 !step_register(in, op))
		in->c.bad = true;
}

/* Stops at the end, at the FDE's limit, or at what it cannot understand. */
static bool run(struct interp *in)
{
	while (in->c.p < in->c.end && !in->c.bad && in->row.start < in->limit)
		step(in);
	return !in->c.bad;
}

bool cfi_fde_rows(const struct cfi *cfi, const struct cfi_fde *fde,
		  cfi_row_fn *fn, void *ctx)
{
	const struct cfi_section *s = &cfi->section;
	const struct cfi_cie *cie = &cfi->cies.data[fde->cie];
	struct interp in;

	in.section = s;
	in.cie = cie;
	in.initial = &cie->initial;
	in.bp_reg = bp_register(s->machine);
	in.c = (struct cursor){ s->data + fde->insns, s->data + fde->insns_end, false };
	in.row = cie->initial;
	in.row.start = fde->start;
	in.limit = fde->end;
	in.fn = fn;
	in.ctx = ctx;
	in.remembered = 0;
	if (!run(&in))
		return false;
	advance_to(&in, in.limit);
	return true;
}

/* Instructions of a CIE have no location to advance. */
static bool run_initial(const struct cfi_section *s, struct cfi_cie *cie,
			struct cursor c)
{
	struct interp in = {
		.section = s,
		.cie = cie,
		.bp_reg = bp_register(s->machine),
		.c = c,
		.limit = 1,
	};

	if (!run(&in) || in.row.start)
		return false;
	cie->initial = in.row;
	cie->initial.signal_frame = cie->signal_frame;
	return true;
}

/* The letters after 'z'. An unknown one ends it: its data is skipped by size. */
static void read_augmentation(const struct cfi_section *s, struct cfi_cie *cie,
			      const char *letters, struct cursor c)
{
	for (; *letters && !c.bad; letters++) {
		switch (*letters) {
		case 'R':
			cie->pointer_encoding = read_u8(&c);
			break;
		case 'P':
			/* Only its size matters: an indirect one is not followed. */
			read_encoded(&c, s, read_u8(&c) & ~DW_EH_PE_indirect, 0);
			break;
		case 'L':
			read_u8(&c);
			break;
		case 'S':
			cie->signal_frame = true;
			break;
		case 'B':	/* arm64: signed with key B */
		case 'G':	/* arm64: memory-tagged stack */
			break;
		default:
			return;
		}
	}
}

/* What stands between a CIE's id and its instructions. */
static bool read_cie(const struct cfi_section *s, struct cfi_cie *cie,
		     struct cursor c)
{
	uint8_t version = read_u8(&c);
	const char *augmentation = (const char *)c.p;
	uint64_t size;

	if (version != 1 && version != 3 && version != 4)
		return false;
	while (read_u8(&c))
		;
	if (c.bad)
		return false;
	if (!strcmp(augmentation, "eh"))	/* gcc before 3.0 */
		skip(&c, 8);
	else if (*augmentation && *augmentation != 'z')
		return false;
	if (version == 4 && (read_u8(&c) != 8 || read_u8(&c) != 0))
		return false;			/* address and segment size */
	cie->code_align = read_uleb(&c);
	cie->data_align = read_sleb(&c);
	cie->ra_reg = version == 1 ? read_u8(&c) : read_reg(&c);
	if (*augmentation == 'z') {
		struct cursor data;

		size = read_uleb(&c);
		data = c;
		skip(&c, size);
		data.end = c.p;
		cie->has_size = true;
		read_augmentation(s, cie, augmentation + 1, data);
	}
	return !c.bad && run_initial(s, cie, c);
}

/* One entry of the section, its length and id read. */
struct entry {
	uint32_t offset;
	bool is_cie;
	uint64_t cie_offset;	/* of an FDE's CIE */
	struct cursor body;	/* after the id */
};

/*
 * Reads the entry at *@offset and moves on to the next one. False at the end
 * of the section, which is also where a length leads out of it.
 */
static bool next_entry(const struct cfi_section *s, size_t *offset,
		       struct entry *ret)
{
	struct cursor c = { s->data + *offset, s->data + s->size, false };
	size_t id_size = 4;
	uint64_t size, id;
	const uint8_t *id_at;

	/* Linkers leave terminators in the middle when crtend.o is not last. */
	do {
		ret->offset = c.p - s->data;
		size = read_fixed(&c, 4);
	} while (!size && !c.bad && !s->ends_at_zero);
	if (size == 0xffffffff) {
		size = read_fixed(&c, 8);
		id_size = s->debug_frame ? 8 : 4;
	}
	if (c.bad || size < id_size || size > (size_t)(c.end - c.p))
		return false;
	c.end = c.p + size;
	*offset = c.end - s->data;
	id_at = c.p;
	id = read_fixed(&c, id_size);
	if (s->debug_frame) {
		ret->is_cie = id == (id_size == 8 ? UINT64_MAX : UINT32_MAX);
		ret->cie_offset = id;
	} else {
		ret->is_cie = id == 0;
		ret->cie_offset = (id_at - s->data) - id;
	}
	ret->body = c;
	return true;
}

static void list_cies(struct cfi *cfi)
{
	const struct cfi_section *s = &cfi->section;
	struct entry entry;
	size_t offset = 0;

	while (next_entry(s, &offset, &entry)) {
		struct cfi_cie *cie;

		if (!entry.is_cie)
			continue;
		cie = cfi_cie_vec_append(&cfi->cies);
		*cie = (struct cfi_cie){ .offset = entry.offset };
		cie->usable = read_cie(s, cie, entry.body);
		cfi->malformed += !cie->usable;
	}
}

static int cmp_cie(const void *key, const void *elem)
{
	uint64_t offset = *(const uint64_t *)key;
	const struct cfi_cie *cie = elem;

	return offset < cie->offset ? -1 : offset > cie->offset;
}

/* FDEs of one CIE stand together: @last saves the search. */
static const struct cfi_cie *find_cie(const struct cfi *cfi, uint64_t offset,
				      const struct cfi_cie *last)
{
	if (last && last->offset == offset)
		return last;
	if (!cfi->cies.len)
		return NULL;
	return bsearch(&offset, cfi->cies.data, cfi->cies.len,
		       sizeof(*cfi->cies.data), cmp_cie);
}

static bool read_fde(struct cfi *cfi, const struct cfi_cie *cie, struct cursor c)
{
	const struct cfi_section *s = &cfi->section;
	struct cfi_fde fde = { .cie = cie - cfi->cies.data };
	uint64_t size;

	fde.start = read_encoded(&c, s, cie->pointer_encoding, 0);
	size = read_encoded_value(&c, cie->pointer_encoding);
	fde.end = fde.start + size;
	if (cie->has_size)
		skip(&c, read_uleb(&c));
	if (c.bad)
		return false;
	if (!size)		/* a function the linker dropped: no error */
		return true;
	if (fde.end < fde.start)
		return false;
	fde.insns = c.p - s->data;
	fde.insns_end = c.end - s->data;
	cfi_fde_vec_push(&cfi->fdes, fde);
	return true;
}

static void list_fdes(struct cfi *cfi)
{
	const struct cfi_cie *cie = NULL;
	struct entry entry;
	size_t offset = 0;

	while (next_entry(&cfi->section, &offset, &entry)) {
		if (entry.is_cie)
			continue;
		cie = find_cie(cfi, entry.cie_offset, cie);
		if (!cie || !cie->usable || !read_fde(cfi, cie, entry.body))
			cfi->malformed++;
	}
}

void cfi_init(struct cfi *cfi, const struct cfi_section *section)
{
	*cfi = (struct cfi){ .section = *section };
	if (cfi->section.size > UINT32_MAX)
		cfi->section.size = UINT32_MAX;
	list_cies(cfi);
	list_fdes(cfi);
}

void cfi_deinit(struct cfi *cfi)
{
	cfi_cie_vec_deinit(&cfi->cies);
	cfi_fde_vec_deinit(&cfi->fdes);
}

/*
 * DW_OP_breg7 8, breg16 0, lit15, and, lit11, ge, lit3, shl, plus: how ld
 * describes all of .plt in one row. Other linkers push 10 bytes into the stub.
 */
static bool is_plt(const uint8_t *p, size_t size, int64_t *push_at)
{
	static const uint8_t plt[] = {
		DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and,
		DW_OP_lit0, DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus,
	};

	if (size != sizeof(plt) || memcmp(p, plt, 6) || memcmp(p + 7, plt + 7, 4) ||
	    p[6] < DW_OP_lit0 || p[6] > DW_OP_lit15)
		return false;
	*push_at = p[6] - DW_OP_lit0;
	return true;
}

/* A constant operand of plus; false if @op pushes none. */
static bool read_constant(struct cursor *c, uint8_t op, uint64_t *ret)
{
	switch (op) {
	case DW_OP_lit0 ... DW_OP_lit31:
		*ret = op - DW_OP_lit0;
		return true;
	case DW_OP_const1u:
		*ret = read_u8(c);
		return true;
	case DW_OP_const1s:
		*ret = sign_extend(read_u8(c), 8);
		return true;
	case DW_OP_const2u:
		*ret = read_fixed(c, 2);
		return true;
	case DW_OP_const2s:
		*ret = sign_extend(read_fixed(c, 2), 16);
		return true;
	case DW_OP_const4u:
		*ret = read_fixed(c, 4);
		return true;
	case DW_OP_const4s:
		*ret = sign_extend(read_fixed(c, 4), 32);
		return true;
	case DW_OP_constu:
		*ret = read_uleb(c);
		return true;
	case DW_OP_consts:
		*ret = read_sleb(c);
		return true;
	}
	return false;
}

/* One operation that changes reg + offset or *(reg + offset) + addend. */
static bool apply_operation(struct cursor *c, struct cfi_expression *e)
{
	uint8_t op = read_u8(c);
	uint64_t value;

	if (op == DW_OP_nop)
		return true;
	if (op == DW_OP_deref) {
		if (e->form != CFI_FORM_PLAIN)
			return false;
		e->form = CFI_FORM_DEREF;
		return true;
	}
	if (op == DW_OP_plus_uconst) {
		value = read_uleb(c);
	} else {
		if (!read_constant(c, op, &value))
			return false;
		op = read_u8(c);
		if (op != DW_OP_plus && op != DW_OP_minus)
			return false;
		if (op == DW_OP_minus)
			value = -value;
	}
	if (e->form == CFI_FORM_PLAIN)
		e->offset = (uint64_t)e->offset + value;
	else
		e->addend = (uint64_t)e->addend + value;
	return true;
}

/*
 * The known forms are short. Longer ones are not looked at, lest a forged
 * function with one long expression and many rows take its time.
 */
#define EXPRESSION_MAX 64

struct cfi_expression cfi_expression(const struct cfi *cfi,
				     const struct cfi_where *where)
{
	const uint8_t *start = cfi->section.data + where->expr;
	struct cursor c = { start, start + where->expr_size, false };
	struct cfi_expression e = { .form = CFI_FORM_PLAIN };
	uint8_t op;

	if (cfi->section.machine == EM_X86_64 &&
	    is_plt(start, where->expr_size, &e.offset)) {
		e.form = CFI_FORM_PLT;
		return e;
	}
	if (where->expr_size > EXPRESSION_MAX)
		return (struct cfi_expression){ .form = CFI_FORM_OTHER };
	op = read_u8(&c);
	if (op == DW_OP_bregx)
		e.reg = read_reg(&c);
	else if (op >= DW_OP_breg0 && op <= DW_OP_breg31)
		e.reg = op - DW_OP_breg0;
	else
		return (struct cfi_expression){ .form = CFI_FORM_OTHER };
	e.offset = read_sleb(&c);
	while (c.p < c.end && !c.bad)
		if (!apply_operation(&c, &e))
			c.bad = true;
	if (c.bad)
		e.form = CFI_FORM_OTHER;
	return e;
}
