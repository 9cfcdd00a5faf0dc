// SPDX-License-Identifier: GPL-2.0-or-later
/* A file's own probes, read by a confined process; see usdt.h. */
#include <string.h>

#include "base/alloc.h"
#include "base/reader.h"
#include "symbol/elfread.h"
#include "symbol/usdt.h"

#define NOTES_MAX (16u << 20)	/* bytes; thousands of probes have a tenth of it */

/* Beyond what any program has: what is more, or longer, is left out. */
#define PROBES_MAX (1u << 14)
#define TEXT_MAX 1024

/* What is sent of each: behind it its name and arguments, without NULs. */
struct packed {
	uint64_t vaddr, semaphore;
	uint32_t name_len, arguments_len;
};

/* The notes of a file, NULL if there are none, and what usdt_parse_notes() takes as base. */
static void *read_notes(int fd, size_t *size_ret, uint64_t *base_ret)
{
	__cleanup_elf Elf *elf = elfread_open(fd);
	const Elf64_Shdr *notes, *base;

	notes = elf ? elfread_section(elf, fd, ".note.stapsdt", SHT_NOTE) : NULL;
	if (!notes)
		return NULL;
	base = elfread_section(elf, fd, ".stapsdt.base", SHT_PROGBITS);
	*base_ret = base ? base->sh_addr : 0;
	*size_ret = notes->sh_size;
	return elfread_whole(fd, notes->sh_offset, notes->sh_size, NOTES_MAX);
}

/* --- in the confined process ---------------------------------------------- */

static bool send_probe(int socket, const struct usdt_probe *probe)
{
	const struct packed packed = {
		probe->vaddr, probe->semaphore,
		(uint32_t)strlen(probe->name), (uint32_t)strlen(probe->arguments),
	};

	if (packed.name_len > TEXT_MAX || packed.arguments_len > TEXT_MAX)
		return true;
	return reader_send(socket, &packed, sizeof(packed)) &&
	       reader_send(socket, probe->name, packed.name_len) &&
	       reader_send(socket, probe->arguments, packed.arguments_len);
}

/* Of the provider that is asked for, and one without a name in the end. */
static void serve_probes(int socket, int file)
{
	__cleanup(usdt_probes_deinit) struct usdt_probe_vec probes = { 0 };
	const struct packed end = { 0 };
	char provider[USDT_PROVIDER_MAX + 1] = "";
	__cleanup_free void *notes = NULL;
	uint64_t base;
	size_t size;

	if (!reader_receive(socket, provider, USDT_PROVIDER_MAX))
		return;
	notes = read_notes(file, &size, &base);
	if (notes)
		usdt_parse_notes(notes, size, base, provider, &probes);
	for (size_t i = 0; i < probes.len && i < PROBES_MAX; i++)
		if (*probes.data[i].name && !send_probe(socket, &probes.data[i]))
			return;
	reader_send(socket, &end, sizeof(end));
}

/* --- on our side: whatever comes is checked -------------------------------- */

static char *receive_text(int socket, uint32_t len)
{
	__cleanup_free char *text = xcalloc(1, len + 1);

	return reader_receive(socket, text, len) && strlen(text) == len ? steal_ptr(text) : NULL;
}

/* False if that is no probe. */
static bool receive_probe(int socket, const struct packed *packed, const char *provider,
			  struct usdt_probe_vec *ret)
{
	__cleanup_free char *name = NULL, *arguments = NULL;

	if (packed->name_len > TEXT_MAX || packed->arguments_len > TEXT_MAX)
		return false;
	name = receive_text(socket, packed->name_len);
	arguments = name ? receive_text(socket, packed->arguments_len) : NULL;
	if (!arguments)
		return false;
	usdt_probe_vec_push(ret, (struct usdt_probe){
		.vaddr = packed->vaddr,
		.semaphore = packed->semaphore,
		.provider = xstrdup(provider),
		.name = steal_ptr(name),
		.arguments = steal_ptr(arguments),
	});
	return true;
}

static bool receive_probes(int socket, const char *provider, struct usdt_probe_vec *ret)
{
	struct packed packed;

	for (unsigned int i = 0; i <= PROBES_MAX; i++) {
		if (!reader_receive(socket, &packed, sizeof(packed)))
			return false;
		if (!packed.name_len)
			return true;
		if (!receive_probe(socket, &packed, provider, ret))
			return false;
	}
	return false;
}

/* Without looking at what they mean: libraries have many notes, and of others. */
static bool notes_name(int fd, const char *provider)
{
	uint64_t base;
	size_t size;
	__cleanup_free void *notes = read_notes(fd, &size, &base);

	return notes && memmem(notes, size, provider, strlen(provider) + 1);
}

void usdt_probes(const struct object *object, const char *provider, struct usdt_probe_vec *ret)
{
	char asked[USDT_PROVIDER_MAX] = "";
	int socket __cleanup_close = -1;
	size_t before = ret->len;

	if (strlen(provider) > sizeof(asked) || !notes_name(object->fd, provider))
		return;
	memcpy(asked, provider, strlen(provider));
	socket = reader_start(serve_probes, object->fd);
	if (socket >= 0 && reader_send(socket, asked, sizeof(asked)) &&
	    receive_probes(socket, provider, ret))
		return;
	usdt_probes_cut(ret, before);
	reader_note_failure(object->path, "own probes (USDT)");
}
