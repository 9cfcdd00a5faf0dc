// SPDX-License-Identifier: GPL-2.0-or-later
/* Finding call instructions; see call_sites.h. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "symbol/call_sites.h"

#define WINDOW_SIZE (128 << 10)
#define CALL_SIZE_MAX 7		/* FF /2 with SIB byte and disp32 */

void call_sites_init(struct call_sites *sites, const struct unwind_image *image)
{
	*sites = (struct call_sites){
		.image = image,
		.window = xmalloc(WINDOW_SIZE),
	};
}

void call_sites_deinit(struct call_sites *sites)
{
	free(sites->window);
	sites->window = NULL;
}

static bool is_executable(const struct unwind_image *image, uint64_t vaddr)
{
	for (size_t i = 0; i < image->segments_count; i++) {
		const struct unwind_segment *seg = &image->segments[i];

		if (seg->executable && vaddr - seg->vaddr < seg->size)
			return true;
	}
	return false;
}

/* Bytes of FF /2 from its opcode on; 0 if the ModRM byte says another operation. */
static size_t indirect_call_size(uint8_t modrm, uint8_t sib)
{
	uint8_t mod = modrm >> 6, rm = modrm & 7;
	size_t size = 2;

	if ((modrm >> 3 & 7) != 2)
		return 0;
	if (mod == 3)
		return size;
	if (rm == 4) {
		size++;
		if (mod == 0 && (sib & 7) == 5)
			size += 4;
	}
	if (mod == 0 && rm == 5)
		size += 4;
	return mod == 1 ? size + 1 : mod == 2 ? size + 4 : size;
}

/* Is there a call that begins at p[0] and ends by p[@len]? */
static bool x86_call_at(const struct unwind_image *image, const uint8_t *p,
			size_t len, uint64_t vaddr)
{
	size_t size;
	int32_t rel;

	if (p[0] == 0xe8) {
		if (len < 5)
			return false;
		memcpy(&rel, p + 1, sizeof(rel));
		return is_executable(image, vaddr + 5 + rel);
	}
	if (len < 2)
		return false;
	size = indirect_call_size(p[1], len > 2 ? p[2] : 0);
	return size && size <= len;
}

static bool x86_calls(const struct unwind_image *image, const uint8_t *p,
		      size_t len, uint64_t vaddr)
{
	for (size_t i = 0; i < len; i++)
		if ((p[i] == 0xe8 || p[i] == 0xff) &&
		    x86_call_at(image, p + i, len - i, vaddr + i))
			return true;
	return false;
}

static bool arm64_calls(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i + 4 <= len; i += 4) {
		uint32_t insn;

		memcpy(&insn, p + i, sizeof(insn));
		if ((insn & 0xfc000000) == 0x94000000 ||	/* bl */
		    (insn & 0xfffffc1f) == 0xd63f0000 ||	/* blr */
		    (insn & 0xfefff800) == 0xd63f0800)		/* blraa and kin */
			return true;
	}
	return false;
}

/* The bytes at @vaddr, at least @want of them unless the segment ends; NULL if none. */
static const uint8_t *bytes_at(struct call_sites *sites, uint64_t vaddr,
			       size_t want, size_t *len_ret)
{
	uint64_t offset = vaddr - sites->vaddr;

	if (offset >= sites->len || sites->len - offset < want) {
		sites->vaddr = vaddr;
		sites->len = unwind_image_read(sites->image, vaddr, sites->window,
					       WINDOW_SIZE);
		offset = 0;
	}
	*len_ret = sites->len - offset;
	return sites->len ? sites->window + offset : NULL;
}

bool call_sites_in(struct call_sites *sites, uint64_t start, uint64_t end)
{
	bool x86 = sites->image->machine == EM_X86_64;

	while (start < end) {
		uint64_t rest = end - start;
		size_t len;
		const uint8_t *p = bytes_at(sites, start,
					    rest < CALL_SIZE_MAX ? rest : CALL_SIZE_MAX,
					    &len);

		if (!p || (len < CALL_SIZE_MAX && len < rest))
			return true;
		if (len > rest)
			len = rest;
		if (x86 ? x86_calls(sites->image, p, len, start) : arm64_calls(p, len))
			return true;
		if (len == rest)
			return false;
		/* One that crosses the window's end is seen in the next one. */
		start += x86 ? len - (CALL_SIZE_MAX - 1) : len & ~3ul;
	}
	return false;
}
