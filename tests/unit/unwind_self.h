/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unwind tables of this very process: what the loader makes for a target,
 * made for the tests that walk their own stack.
 */
#ifndef HEAPSONDE_TESTS_UNWIND_SELF_H
#define HEAPSONDE_TESTS_UNWIND_SELF_H

#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "symbol/unwind_table.h"

DEFINE_VEC(unwind_range_vec, struct unwind_range);

struct unwind_self {
	struct unwind_word_vec slab;
	struct unwind_range_vec ranges;
	struct unwind_rules rules;
};

/* A line of /proc/self/maps. */
struct self_mapping {
	uint64_t start, end, offset;
	char perms[5];
	char path[512];
};

static inline bool next_mapping(FILE *maps, struct self_mapping *m)
{
	char line[1024];

	if (!fgets(line, sizeof(line), maps))
		return false;
	m->path[0] = 0;
	return sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %*s %511[^\n]",
		      &m->start, &m->end, m->perms, &m->offset, m->path) >= 4;
}

/* Address minus virtual address of the file whose bytes at @offset are at @start. */
static inline bool mapping_bias(int fd, const struct self_mapping *m, uint64_t *ret)
{
	ElfW(Ehdr) eh;
	ElfW(Phdr) ph;

	if (pread(fd, &eh, sizeof(eh), 0) != sizeof(eh))
		return false;
	for (int i = 0; i < eh.e_phnum; i++) {
		if (pread(fd, &ph, sizeof(ph), eh.e_phoff + i * sizeof(ph)) != sizeof(ph))
			return false;
		if (ph.p_type == PT_LOAD && ph.p_flags & PF_X &&
		    m->offset < ph.p_offset + ph.p_filesz &&
		    m->offset + (m->end - m->start) > ph.p_offset) {
			*ret = m->start - m->offset + ph.p_offset - ph.p_vaddr;
			return true;
		}
	}
	return false;
}

static inline void self_add_table(struct unwind_self *self, struct unwind_table *table,
				  const struct self_mapping *m, uint64_t bias)
{
	struct unwind_range ranges[UNWIND_TABLE_RANGES_MAX];
	uint32_t at = self->slab.len, words = unwind_table_words(table);
	size_t n;

	unwind_word_vec_reserve(&self->slab, at + words);
	self->slab.len += words;
	unwind_table_place(table, at, &self->rules, self->slab.data + at);
	n = unwind_table_ranges(table, at, m->start, m->end, bias, ranges);
	for (size_t i = 0; i < n; i++)
		unwind_range_vec_push(&self->ranges, ranges[i]);
}

static inline void self_add_mapping(struct unwind_self *self, const struct self_mapping *m,
				    enum unwind_table_kind kind)
{
	struct unwind_table *table = NULL;
	struct error *err;
	uint64_t bias = 0;

	if (!strcmp(m->path, "[vdso]")) {
		err = unwind_table_create_memory((void *)m->start, m->end - m->start,
						 kind, &table);
		bias = m->start;
	} else {
		__cleanup_close int fd = open(m->path, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || !mapping_bias(fd, m, &bias))
			return;
		err = unwind_table_create(fd, -1, kind, &table);
	}
	if (err)
		error_destroy(err);
	else
		self_add_table(self, table, m, bias);
	unwind_table_destroy(table);
}

static inline void unwind_self_init(struct unwind_self *self, enum unwind_table_kind kind)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	struct self_mapping m;

	memset(self, 0, sizeof(*self));
	unwind_rules_init(&self->rules);
	while (maps && next_mapping(maps, &m))
		if (m.perms[2] == 'x')
			self_add_mapping(self, &m, kind);
	if (maps)
		fclose(maps);
}

static inline void unwind_self_deinit(struct unwind_self *self)
{
	unwind_word_vec_deinit(&self->slab);
	unwind_range_vec_deinit(&self->ranges);
	unwind_rules_deinit(&self->rules);
}

/* Registers as they are in the caller right after this call. */
struct self_regs {
	uint64_t pc, sp, bp;
};

void self_regs(struct self_regs *regs);

/* Calls @fn with the registers that it was itself entered with. */
void self_entered(void (*fn)(uint64_t sp, uint64_t bp));

#ifdef __x86_64__
__asm__(".pushsection .text\n"
	".type self_regs, @function\n"
	"self_regs:\n"
	"	.cfi_startproc\n"
	"	mov (%rsp), %rax\n"
	"	mov %rax, 0(%rdi)\n"
	"	lea 8(%rsp), %rax\n"
	"	mov %rax, 8(%rdi)\n"
	"	mov %rbp, 16(%rdi)\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size self_regs, . - self_regs\n"
	".type self_entered, @function\n"
	"self_entered:\n"
	"	.cfi_startproc\n"
	"	mov %rdi, %rax\n"
	"	mov %rsp, %rdi\n"
	"	mov %rbp, %rsi\n"
	"	sub $8, %rsp\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	call *%rax\n"
	"	add $8, %rsp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size self_entered, . - self_entered\n"
	".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	".type self_regs, @function\n"
	"self_regs:\n"
	"	.cfi_startproc\n"
	"	mov x1, sp\n"
	"	stp x30, x1, [x0]\n"
	"	str x29, [x0, 16]\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size self_regs, . - self_regs\n"
	".popsection\n");
#endif

#endif
