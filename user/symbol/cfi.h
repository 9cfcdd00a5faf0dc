/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Call frame information (.eh_frame and .debug_frame), interpreted: bytes of
 * a section in, rows out. A row says for a range of addresses where the
 * canonical frame address (CFA) is and where the caller's frame pointer and
 * return address lie. All other registers are followed past and forgotten,
 * for nobody here restores them.
 *
 * The bytes are foreign and read as root. Whatever they hold, work is bounded
 * by their number and nothing outside them is touched; what cannot be
 * understood is counted and left out.
 *
 * After DWARF 5 section 6.4 and the Linux Standard Base's "Exception Frames".
 */
#ifndef HEAPSONDE_SYMBOL_CFI_H
#define HEAPSONDE_SYMBOL_CFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"

struct cfi_section {
	const uint8_t *data;	/* borrowed as long as the struct cfi lives */
	size_t size;		/* below 4 GiB; what is beyond is not looked at */
	uint64_t vaddr;		/* of data[0]: what DW_EH_PE_pcrel counts from */
	uint64_t text_base;	/* DW_EH_PE_textrel */
	uint64_t data_base;	/* DW_EH_PE_datarel */
	uint16_t machine;	/* EM_X86_64 or EM_AARCH64 */
	bool debug_frame;	/* .debug_frame's layout, not .eh_frame's */
	bool ends_at_zero;	/* the size is only a bound: stop at a terminator */
	/* Reads the image for DW_EH_PE_indirect; may be NULL. */
	bool (*read_word)(void *ctx, uint64_t vaddr, uint64_t *ret);
	void *read_ctx;
};

enum cfi_how {
	CFI_UNSPECIFIED,	/* no instruction has named the register */
	CFI_UNDEFINED,		/* cannot be recovered */
	CFI_SAME,		/* has the caller's value already */
	CFI_OFFSET,		/* saved at CFA + value */
	CFI_VAL_OFFSET,		/* is CFA + value */
	CFI_REGISTER,		/* is in reg; the CFA: is reg + value */
	CFI_EXPRESSION,		/* saved where the expression says */
	CFI_VAL_EXPRESSION,	/* is what the expression says; also for the CFA */
};

struct cfi_where {
	uint8_t how;		/* enum cfi_how */
	uint32_t reg;		/* DWARF number */
	uint32_t expr, expr_size; /* expression: bytes of the section */
	int64_t value;
};

struct cfi_row {
	uint64_t start, end;
	struct cfi_where cfa;
	struct cfi_where bp;	/* x86-64 rbp, arm64 x29 */
	struct cfi_where ra;	/* the return address column: rip, x30 */
	bool signal_frame;	/* augmentation 'S' */
	bool other_stack;	/* the caller's frame is not on this stack (symbol/go/frames.h) */
};

struct cfi_cie {
	uint32_t offset;	/* in the section */
	bool usable;
	bool has_size;		/* augmentation 'z' */
	bool signal_frame;
	uint8_t pointer_encoding;
	uint64_t code_align;
	int64_t data_align;
	uint32_t ra_reg;
	struct cfi_row initial;	/* after the CIE's own instructions */
};

struct cfi_fde {
	uint64_t start, end;	/* end > start */
	uint32_t cie;		/* index */
	uint32_t insns, insns_end; /* in the section */
};

DEFINE_VEC(cfi_cie_vec, struct cfi_cie);
DEFINE_VEC(cfi_fde_vec, struct cfi_fde);

struct cfi {
	struct cfi_section section;
	struct cfi_cie_vec cies;	/* sorted by offset */
	struct cfi_fde_vec fdes;	/* in file order */
	size_t malformed;		/* entries left out */
};

/* Lists what is in @section. Cannot fail: an unreadable section has no FDEs. */
void cfi_init(struct cfi *cfi, const struct cfi_section *section);
void cfi_deinit(struct cfi *cfi);

/*
 * Calls @fn for every row of @fde, ascending and without holes; rows that
 * would be empty are not given, equal neighbours are not joined. Returns
 * false if the instructions are broken: the rows then end early.
 */
typedef void cfi_row_fn(void *ctx, const struct cfi_row *row);
bool cfi_fde_rows(const struct cfi *cfi, const struct cfi_fde *fde,
		  cfi_row_fn *fn, void *ctx);

/*
 * An expression in one of the forms that compilers and assemblers use, or
 * CFI_FORM_OTHER. The address is
 *	PLAIN	reg + offset
 *	DEREF	*(reg + offset) + addend
 *	PLT	rsp + 8, and 8 more from byte `offset` of each 16-byte stub on
 */
enum cfi_form { CFI_FORM_OTHER, CFI_FORM_PLAIN, CFI_FORM_DEREF, CFI_FORM_PLT };

struct cfi_expression {
	enum cfi_form form;
	uint32_t reg;
	int64_t offset, addend;
};

struct cfi_expression cfi_expression(const struct cfi *cfi,
				     const struct cfi_where *where);

#endif
