/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The few instructions of Go code that tell where calls lead and where variables
 * lie, on x86-64 and arm64. No disassembler: Go's compiler writes them in few forms,
 * and bytes that only look like them do not agree on an address that makes sense.
 */
#ifndef HEAPSONDE_SYMBOL_GO_CODE_H
#define HEAPSONDE_SYMBOL_GO_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct go_module;

/* The code of a function. */
struct go_code {
	uint64_t pc;		/* of its first byte */
	uint8_t *bytes;
	size_t size;
	bool arm64;
};

/* False, with nothing to give back, if the file does not have it or it is longer than @max. */
bool go_code_read(const struct go_module *module, uint64_t pc, uint64_t size, uint64_t max,
		  struct go_code *ret);
void go_code_deinit(struct go_code *code);

/* Instructions begin at multiples of this. */
size_t go_code_step(const struct go_code *code);

/* What the instruction at byte @at calls; 0 if it is no such call. */
uint64_t go_code_call(const struct go_code *code, size_t at);

/* The address that was last put into the first argument's register before byte @at; 0. */
uint64_t go_code_argument(const struct go_code *code, size_t at);

/* The variable that the instruction at byte @at loads, one or more words of it; 0. */
uint64_t go_code_load(const struct go_code *code, size_t at, unsigned int *words_ret);

#endif
