// SPDX-License-Identifier: GPL-2.0-or-later
/* Unwind tables from a confined process; see unwind_reader.h. */
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/reader.h"
#include "symbol/elfread.h"
#include "symbol/go/reader.h"
#include "symbol/unwind_image.h"
#include "symbol/unwind_reader.h"

/* The largest real ones, whole tables of 150 MB files, have 15 MB. */
#define TABLE_MAX (64u << 20)
#define NO_TABLE UINT32_MAX	/* as the kind: there is none */
#define PLAIN_MAX (16u << 20)	/* of .eh_frame; that of a browser has 6 MB */

/* --- packed --------------------------------------------------------------- */

uint64_t unwind_packed_bytes(const struct unwind_packed *p)
{
	return (uint64_t)p->texts * sizeof(struct unwind_text) +
	       ((uint64_t)p->index + p->rows) * sizeof(uint32_t) +
	       (uint64_t)p->rules * sizeof(struct unwind_rule);
}

static uint8_t *put(uint8_t *at, const void *data, size_t size)
{
	if (size)
		memcpy(at, data, size);
	return at + size;
}

void unwind_pack(const struct unwind_table *t, struct unwind_packed *ret, uint8_t *body)
{
	*ret = (struct unwind_packed){
		.kind = t->kind, .machine = t->machine,
		.texts = t->texts.len, .index = t->index.len,
		.rows = t->rows.len, .rules = t->rules.len,
		.fdes = t->stats.fdes, .malformed = t->stats.malformed,
		.rows_seen = t->stats.rows_seen, .unsupported = t->stats.unsupported,
	};
	if (!body)
		return;
	body = put(body, t->texts.data, t->texts.len * sizeof(*t->texts.data));
	body = put(body, t->index.data, t->index.len * sizeof(uint32_t));
	body = put(body, t->rows.data, t->rows.len * sizeof(uint32_t));
	put(body, t->rules.data, t->rules.len * sizeof(*t->rules.data));
}

static void *take(const uint8_t **at, size_t count, size_t size)
{
	void *copy = xmalloc(count * size ?: 1);

	memcpy(copy, *at, count * size);
	*at += count * size;
	return copy;
}

static bool is_in_bounds(const struct unwind_packed *p)
{
	return (p->machine == EM_X86_64 || p->machine == EM_AARCH64) &&
	       p->texts <= UNWIND_SEGMENTS_MAX && p->rules >= FIXED_RULES &&
	       p->rules <= UNWIND_RULES_MAX && unwind_packed_bytes(p) <= TABLE_MAX;
}

static struct unwind_table *take_arrays(const struct unwind_packed *p, const uint8_t *body)
{
	struct unwind_table *t = xcalloc(1, sizeof(*t));
	__cleanup_free struct unwind_rule *rules = NULL;

	t->kind = p->kind;
	t->machine = p->machine;
	t->texts.data = take(&body, p->texts, sizeof(*t->texts.data));
	t->texts.len = t->texts.cap = p->texts;
	t->index.data = take(&body, p->index, sizeof(uint32_t));
	t->index.len = t->index.cap = p->index;
	t->rows.data = take(&body, p->rows, sizeof(uint32_t));
	t->rows.len = t->rows.cap = p->rows;
	rules = take(&body, p->rules, sizeof(*rules));
	unwind_rules_init(&t->rules);
	for (uint32_t i = 0; i < p->rules; i++)
		unwind_rules_intern(&t->rules, rules[i]);
	t->stats.fdes = p->fdes;
	t->stats.malformed = p->malformed;
	t->stats.rows_seen = p->rows_seen;
	t->stats.unsupported = p->unsupported;
	return t;
}

struct unwind_table *unwind_unpack(const struct unwind_packed *p, const uint8_t *body)
{
	struct unwind_table *table;

	if (!is_in_bounds(p))
		return NULL;
	table = take_arrays(p, body);
	if (table->rules.len == p->rules && unwind_table_is_sound(table))
		return table;
	unwind_table_destroy(table);
	return NULL;
}

/* --- in the confined process ---------------------------------------------- */

static void serve_table(int socket, int file, enum unwind_table_kind kind)
{
	struct unwind_packed packed = { .kind = NO_TABLE };
	struct unwind_table *table = NULL;
	uint8_t *body;

	error_destroy(unwind_table_create(file, -1, kind, &table));
	if (!table) {
		reader_send(socket, &packed, sizeof(packed));
		return;
	}
	unwind_pack(table, &packed, NULL);
	body = xmalloc(unwind_packed_bytes(&packed) + 1);
	unwind_pack(table, &packed, body);
	if (reader_send(socket, &packed, sizeof(packed)))
		reader_send(socket, body, unwind_packed_bytes(&packed));
}

static void serve_call_sites(int socket, int file)
{
	serve_table(socket, file, UNWIND_CALL_SITES);
}

static void serve_full(int socket, int file)
{
	serve_table(socket, file, UNWIND_FULL);
}

/* --- on our side ---------------------------------------------------------- */

/* True, and a table or NULL if the file has none to be used; false: the reader failed. */
static bool receive_table(int socket, enum unwind_table_kind kind, struct unwind_table **ret)
{
	__cleanup_free uint8_t *body = NULL;
	struct unwind_packed packed;

	*ret = NULL;
	if (!reader_receive(socket, &packed, sizeof(packed)))
		return false;
	if (packed.kind == NO_TABLE)
		return true;
	if (packed.kind != kind || !is_in_bounds(&packed))
		return false;
	body = xmalloc(unwind_packed_bytes(&packed) + 1);
	if (!reader_receive(socket, body, unwind_packed_bytes(&packed)))
		return false;
	*ret = unwind_unpack(&packed, body);
	return *ret;
}

static void note_failure(int fd)
{
	char link[32], name[256] = "a file";
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, name, sizeof(name) - 1);
	if (len > 0)
		name[len] = '\0';
	reader_note_failure(name, "unwind tables");
}

static bool has_modest_frames(int fd)
{
	struct unwind_image image;
	struct error *err __cleanup_error = unwind_image_init(&image, fd, NULL, 0);
	uint64_t bytes;

	if (err)
		return false;
	bytes = unwind_image_eh_frame_bytes(&image);
	unwind_image_deinit(&image);
	return bytes && bytes <= PLAIN_MAX;
}

/* Whether it may be compiled here: by its headers, only its .eh_frame will be read. */
static bool is_plain(int fd)
{
	__cleanup_elf Elf *elf = elfread_open(fd);

	/* The first is not found where the names of sections are beyond measure. */
	return elf && elfread_has_section(elf, fd, ".eh_frame") &&
	       !elfread_has_section(elf, fd, ".debug_frame") &&
	       !elfread_has_section(elf, fd, ".zdebug_frame") && !go_program_is(fd) &&
	       has_modest_frames(fd);
}

struct error *unwind_read(int fd, enum unwind_table_kind kind, bool hurry,
			  struct unwind_table **ret)
{
	int socket __cleanup_close = -1;

	if (hurry && is_plain(fd))
		return unwind_table_create(fd, -1, kind, ret);
	*ret = NULL;
	socket = reader_start(kind == UNWIND_FULL ? serve_full : serve_call_sites, fd);
	if (socket < 0)
		return error_create(ERROR_UNSUPPORTED, "no process can be had to read a file");
	if (!receive_table(socket, kind, ret)) {
		note_failure(fd);
		return error_create(ERROR_CORRUPT, "its unwind tables could not be read");
	}
	return *ret ? NULL : error_create(ERROR_UNSUPPORTED, "it has no unwind tables");
}
