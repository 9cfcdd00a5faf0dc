// SPDX-License-Identifier: GPL-2.0-or-later
/* Notes of probes in programs; see usdt.h. */
#include "symbol/usdt.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define NT_STAPSDT 3

void usdt_probes_cut(struct usdt_probe_vec *probes, size_t count)
{
	while (probes->len > count) {
		struct usdt_probe *last = &probes->data[--probes->len];

		free(last->provider);
		free(last->name);
		free(last->arguments);
	}
}

void usdt_probes_deinit(struct usdt_probe_vec *probes)
{
	usdt_probes_cut(probes, 0);
	usdt_probe_vec_deinit(probes);
}

/* The string at *@at, which then is behind it; NULL if it does not end before @end. */
static const char *next_string(const char **at, const char *end)
{
	const char *text = *at, *nul = memchr(text, '\0', end - text);

	if (nul)
		*at = nul + 1;
	return nul ? text : NULL;
}

/* What a note holds: three addresses, then three strings. */
static void parse_note(const char *desc, size_t size, uint64_t base, const char *wanted,
		       struct usdt_probe_vec *ret)
{
	const char *at = desc + 3 * sizeof(uint64_t), *end = desc + size;
	const char *provider, *name, *arguments;
	uint64_t addresses[3], moved;

	if (size < sizeof(addresses))
		return;
	memcpy(addresses, desc, sizeof(addresses));
	provider = next_string(&at, end);
	name = provider ? next_string(&at, end) : NULL;
	arguments = name ? next_string(&at, end) : NULL;
	if (!arguments || strcmp(provider, wanted))
		return;
	moved = base && addresses[1] ? base - addresses[1] : 0;
	usdt_probe_vec_push(ret, (struct usdt_probe){
		.vaddr = addresses[0] + moved,
		.semaphore = addresses[2] ? addresses[2] + moved : 0,
		.provider = xstrdup(provider),
		.name = xstrdup(name),
		.arguments = xstrdup(arguments),
	});
}

/* Sizes are at most 32 bits wide, so none of this can overflow. */
static uint64_t padded(uint64_t size)
{
	return (size + 3) & ~3ull;
}

void usdt_parse_notes(const void *notes, size_t size, uint64_t base, const char *provider,
		      struct usdt_probe_vec *ret)
{
	const char *at = notes;

	while (size >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr nhdr;
		uint64_t desc, next;

		memcpy(&nhdr, at, sizeof(nhdr));
		desc = sizeof(nhdr) + padded(nhdr.n_namesz);
		next = desc + padded(nhdr.n_descsz);
		if (desc + nhdr.n_descsz > size)
			return;
		if (nhdr.n_type == NT_STAPSDT && nhdr.n_namesz == sizeof("stapsdt") &&
		    !memcmp(at + sizeof(nhdr), "stapsdt", sizeof("stapsdt")))
			parse_note(at + desc, nhdr.n_descsz, base, provider, ret);
		if (next >= size)
			return;
		at += next;
		size -= next;
	}
}
