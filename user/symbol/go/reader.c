// SPDX-License-Identifier: GPL-2.0-or-later
/* Asking a confined process what a Go program's file tells; see reader.h. */
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/reader.h"
#include "symbol/elfread.h"
#include "symbol/go/layout_dwarf.h"
#include "symbol/go/reader.h"

/* With its tables, its debug data is read, which is compressed. */
#define BYTES_PER_BYTE 2
#define BYTES_MIN (32ull << 20)
#define BYTES_MAX (1ull << 30)

bool go_program_is(int fd)
{
	static const char *const sections[] = {
		".go.buildinfo", ".gopclntab", ".data.rel.ro.gopclntab",
	};
	__cleanup_elf Elf *elf = elfread_open_foreign(fd);

	for (size_t i = 0; elf && i < sizeof(sections) / sizeof(sections[0]); i++)
		if (elfread_section(elf, fd, sections[i], SHT_PROGBITS))
			return true;
	return false;
}

uint64_t go_reader_bytes(int fd)
{
	struct stat st;

	if (!go_program_is(fd) || fstat(fd, &st))
		return 0;
	if ((uint64_t)st.st_size > BYTES_MAX / BYTES_PER_BYTE)
		return BYTES_MAX;
	return (uint64_t)st.st_size * BYTES_PER_BYTE + BYTES_MIN;
}

/* --- what is sent --- */

enum outcome { NO_GO, READ, REFUSED };

/* Behind it the text, version or why it is refused, then births, runtime and allocators. */
struct packed {
	uint32_t outcome;
	uint32_t text_bytes, births, runtime, allocators;
	uint32_t minor, has_layout;
	struct go_layout layout;
	uint64_t text, data, data_end, variables[GO_VARIABLES_COUNT];
	uint64_t refill, large, sweep, swept, mbuckets, profile_rate;
	struct go_range crosscall;
};

/* Beyond what any program has. */
#define TEXT_MAX 512
#define BIRTHS_MAX 1024
#define RANGES_MAX (1u << 20)

static struct packed pack(const struct go_binary *go)
{
	struct packed packed;

	/* With its padding, which is sent too. */
	memset(&packed, 0, sizeof(packed));
	packed.outcome = READ;
	packed.text_bytes = (uint32_t)strlen(go->version);
	packed.births = (uint32_t)go->points.births.len;
	packed.runtime = (uint32_t)go->points.runtime.len;
	packed.allocators = (uint32_t)go->points.allocators.len;
	packed.minor = go->minor;
	packed.has_layout = go->has_layout;
	packed.layout = go->layout;
	packed.text = go->text;
	packed.data = go->data;
	packed.data_end = go->data_end;
	memcpy(packed.variables, go->variables, sizeof(packed.variables));
	packed.refill = go->points.refill;
	packed.large = go->points.large;
	packed.sweep = go->points.sweep;
	packed.swept = go->points.swept;
	packed.mbuckets = go->points.mbuckets;
	packed.profile_rate = go->points.profile_rate;
	packed.crosscall = go->points.crosscall;
	return packed;
}

/* --- in the confined process --- */

static void send_binary(int socket, const struct go_binary *go)
{
	const struct go_points *points = &go->points;
	const struct packed packed = pack(go);

	(void)(reader_send(socket, &packed, sizeof(packed)) &&
	       reader_send(socket, go->version, packed.text_bytes) &&
	       reader_send(socket, points->births.data,
			   points->births.len * sizeof(*points->births.data)) &&
	       reader_send(socket, points->runtime.data,
			   points->runtime.len * sizeof(*points->runtime.data)) &&
	       reader_send(socket, points->allocators.data,
			   points->allocators.len * sizeof(*points->allocators.data)));
}

static void send_refusal(int socket, const struct error *err)
{
	struct packed packed;

	memset(&packed, 0, sizeof(packed));
	packed.outcome = err ? REFUSED : NO_GO;
	packed.text_bytes = err ? (uint32_t)strnlen(err->message, TEXT_MAX) : 0;
	if (reader_send(socket, &packed, sizeof(packed)) && err)
		reader_send(socket, err->message, packed.text_bytes);
}

static void serve_binary(int socket, int file)
{
	struct go_binary *go = NULL;
	struct error *err = go_binary_open(file, &go);

	if (go)
		send_binary(socket, go);
	else
		send_refusal(socket, err);
	go_binary_close(go);
	error_destroy(err);
}

/* --- on our side: whatever comes is checked --- */

static bool is_sound(const struct packed *p)
{
	return p->outcome <= REFUSED && p->text_bytes <= TEXT_MAX && p->births <= BIRTHS_MAX &&
	       p->runtime <= RANGES_MAX && p->allocators <= RANGES_MAX && p->has_layout <= 1 &&
	       (!p->has_layout || go_layout_is_whole(&p->layout));
}

static struct go_binary *unpack(const struct packed *p)
{
	struct go_binary *go = xcalloc(1, sizeof(*go));

	go->minor = p->minor;
	go->has_layout = p->has_layout;
	go->layout = p->layout;
	go->text = p->text;
	go->data = p->data;
	go->data_end = p->data_end;
	memcpy(go->variables, p->variables, sizeof(go->variables));
	go->points = (struct go_points){
		.refill = p->refill, .large = p->large, .sweep = p->sweep, .swept = p->swept,
		.mbuckets = p->mbuckets, .profile_rate = p->profile_rate,
		.crosscall = p->crosscall,
	};
	return go;
}

static bool receive_ranges(int socket, uint32_t count, struct go_range_vec *ret)
{
	ret->data = xcalloc(count + 1, sizeof(*ret->data));
	ret->len = ret->cap = count;
	return reader_receive(socket, ret->data, count * sizeof(*ret->data));
}

static bool receive_births(int socket, uint32_t count, struct go_birth_vec *ret)
{
	ret->data = xcalloc(count + 1, sizeof(*ret->data));
	ret->len = ret->cap = count;
	return reader_receive(socket, ret->data, count * sizeof(*ret->data));
}

/* False if the reader failed. */
static bool receive_binary(int socket, struct error **err_ret, struct go_binary **ret)
{
	__cleanup(go_binary_closep) struct go_binary *go = NULL;
	__cleanup_free char *text = NULL;
	struct packed packed;

	if (!reader_receive(socket, &packed, sizeof(packed)) || !is_sound(&packed))
		return false;
	text = xcalloc(1, packed.text_bytes + 1);
	if (!reader_receive(socket, text, packed.text_bytes))
		return false;
	if (packed.outcome == REFUSED)
		*err_ret = error_create(ERROR_UNSUPPORTED, "%s", text);
	if (packed.outcome != READ)
		return true;
	go = unpack(&packed);
	go->version = steal_ptr(text);
	if (!receive_births(socket, packed.births, &go->points.births) ||
	    !receive_ranges(socket, packed.runtime, &go->points.runtime) ||
	    !receive_ranges(socket, packed.allocators, &go->points.allocators))
		return false;
	*ret = steal_ptr(go);
	return true;
}

struct error *go_binary_read(int fd, const char *path, struct go_binary **ret)
{
	int socket __cleanup_close = -1;
	struct error *err = NULL;

	*ret = NULL;
	if (!go_program_is(fd))
		return NULL;
	socket = reader_start_large(serve_binary, fd, go_reader_bytes(fd));
	if (socket >= 0 && receive_binary(socket, &err, ret))
		return err;
	reader_note_failure(path, "Go runtime's tables");
	return error_create(ERROR_CORRUPT, "a Go program whose tables could not be read");
}
