/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The call of an allocator's function, as a place for probes of its own: what it
 * asks for is seen at the call, which the kernel emulates as a rule, and what it
 * was given behind it, where the result is still in its register.
 *
 *	call malloc		<- size in its register
 *	mov  %rax,%rbx
 *	test %rax,%rax
 *	je   ...		<- block in its register; emulated
 *
 * Why not one probe: behind the call the size is gone, and what glibc's chunk has room
 * for is not what was asked for. The instruction that the call returns to is seldom
 * one that is emulated, but a few lines later there often is one, before anything
 * that counts has changed.
 */
#ifndef HEAPSONDE_CAPTURE_DISCOVERY_CALL_SITE_H
#define HEAPSONDE_CAPTURE_DISCOVERY_CALL_SITE_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/discovery/allocators.h"
#include "symbol/object.h"

struct call_site {
	const struct allocator_function *function;	/* that is called, ... */
	uint16_t func;					/* ... and its row */
	uint64_t call_offset, end_offset;		/* of the probes, in the file */
	uint8_t call_bytes;				/* length of the call */
	bool call_stepped, end_stepped;			/* not emulated */
};

/*
 * The call that returns to @vaddr of @object, which must go straight to a function of
 * the allocator table, or by a stub of the object's, that returns a block. Returns
 * why there is none that can be probed; NULL: there is. x86-64 only.
 */
const char *call_site_find(const struct object *object, uint64_t vaddr, struct call_site *ret);

/* Whether code at @vaddr is an allocator's own, as operator new is of malloc's callers. */
bool call_site_is_allocators(struct object *object, uint64_t vaddr);

#endif
