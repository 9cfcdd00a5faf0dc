// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target for all that reads call frame information. The first byte
 * of an input says what the rest is: a section (with its layout in the byte's
 * bits), or an ELF file that goes through the whole compiler.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/cfi.h"
#include "symbol/unwind_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SECTION_DEBUG = 1, SECTION_ARM64 = 2, SECTION_ZERO_ENDS = 4, ELF_FILE = 8, ELF_FULL = 16 };

static void require(bool holds)
{
	if (!holds)
		abort();
}

struct rows {
	const struct cfi *cfi;
	const struct cfi_fde *fde;
	uint64_t next;
};

/* What cfi.h promises of rows. */
static void check_row(void *ctx, const struct cfi_row *row)
{
	struct rows *rows = ctx;

	require(row->start == rows->next && row->end > row->start &&
		row->end <= rows->fde->end);
	rows->next = row->end;
	if (row->cfa.how == CFI_VAL_EXPRESSION)
		cfi_expression(rows->cfi, &row->cfa);
	if (row->bp.how == CFI_EXPRESSION)
		cfi_expression(rows->cfi, &row->bp);
}

static void fuzz_section(uint8_t how, const uint8_t *data, size_t size)
{
	struct cfi_section section = {
		.data = data,
		.size = size,
		.vaddr = 0x400000,
		.machine = how & SECTION_ARM64 ? EM_AARCH64 : EM_X86_64,
		.debug_frame = how & SECTION_DEBUG,
		.ends_at_zero = how & SECTION_ZERO_ENDS,
	};
	struct cfi cfi;

	cfi_init(&cfi, &section);
	vec_for_each(fde, &cfi.fdes) {
		struct rows rows = { &cfi, fde, fde->start };
		bool whole = cfi_fde_rows(&cfi, fde, check_row, &rows);

		require(!whole || rows.next == fde->end);
	}
	cfi_deinit(&cfi);
}

static void check_table(const struct unwind_table *table)
{
	struct unwind_range ranges[UNWIND_TABLE_RANGES_MAX];
	uint32_t *words = malloc(unwind_table_words(table) * sizeof(*words) + 1);
	struct unwind_rules rules;
	struct unwind_rule rule;

	vec_for_each(text, &table->texts) {
		unwind_table_find(table, text->segment, &rule);
		unwind_table_find(table, text->vaddr, &rule);
		for (uint64_t at = text->vaddr; at < text->end; at += 101)
			require(unwind_table_find(table, at, &rule) && rule.cfa < CFA_COUNT);
	}
	unwind_rules_init(&rules);
	unwind_table_place(table, 1000, &rules, words);
	unwind_table_ranges(table, 1000, 0x1000, -4096ul, 0x7f0000000000, ranges);
	unwind_rules_deinit(&rules);
	free(words);
}

static void fuzz_elf(uint8_t how, const uint8_t *data, size_t size)
{
	struct unwind_table *table;
	struct error *err = unwind_table_create_memory(data, size,
			how & ELF_FULL ? UNWIND_FULL : UNWIND_CALL_SITES, &table);

	if (err) {
		error_destroy(err);
		return;
	}
	check_table(table);
	unwind_table_destroy(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (!size)
		return 0;
	copy = malloc(size);	/* aligned as memory is, and with an end that ASan sees */
	memcpy(copy, data + 1, size - 1);
	if (*data & ELF_FILE)
		fuzz_elf(*data, copy, size - 1);
	else
		fuzz_section(*data, copy, size - 1);
	free(copy);
	return 0;
}
