// SPDX-License-Identifier: GPL-2.0-or-later
/* Asking a confined process for source lines; see line_reader.h. */
#include <fcntl.h>
#include <string.h>

#include "base/alloc.h"
#include "base/reader.h"
#include "base/strbuf.h"
#include "base/strpool.h"
#include "base/vec.h"
#include "symbol/dwarf_safe.h"
#include "symbol/go/lines.h"
#include "symbol/go/reader.h"
#include "symbol/line_reader.h"

/*
 * A question is an address; so many bytes follow the head of its answer, first
 * the frames, then their strings. The first answer, to no question, has a frame
 * if there are such tables, and so many if there are but do not fit into the process.
 */
struct answer_head { uint32_t frames, bytes; };

#define TOO_LARGE UINT32_MAX

#define STRINGS 4		/* function, raw, file and type */
#define FRAMES_MAX 1024
#define ANSWER_MAX (16u << 20)

struct answer_frame {
	uint32_t line, column, start_line;
	uint32_t is_called;
	uint32_t lens[STRINGS];		/* 0: unknown, else with NUL */
};

DEFINE_VEC(source_frame_vec, struct source_frame);

/* What was answered: to ask again would cost two switches of process. */
struct known {
	uint64_t vaddr;
	uint32_t first;			/* in frames */
	uint32_t count_plus_1;		/* 0: this slot is free */
};

#define KNOWN_MAX (1u << 18)

struct line_reader {
	enum lines_source source;
	int fd;				/* of the file; -1: it has failed */
	int socket;			/* -1: its process was ended to make room */
	int starts;
	bool too_large;			/* said its process */
	uint64_t used;			/* when, in questions to all of them */
	char *path;
	struct strpool *strings;
	struct source_frame_vec frames;	/* of all answers that are known, the last one's last */
	struct known *known;
	size_t known_size, known_count;
};

/* Processes that are there: each holds what it has read. */
static struct line_reader *awake[LINE_READERS_MAX];
static int awake_max = LINE_READERS_MAX;
static bool dwarf_is_read = true;
static uint64_t questions;

#define STARTS_MAX 16	/* of one file: more would be more work than it is worth */

void line_reader_allow(int count)
{
	dwarf_is_read = count > 0;
	awake_max = count < 1 ? 1 : count < LINE_READERS_MAX ? count : LINE_READERS_MAX;
}

/* --- in the confined process ---------------------------------------------- */

static uint32_t string_len(const char *s)
{
	return s ? (uint32_t)strlen(s) + 1 : 0;
}

static void put_strings(struct strbuf *ret, const struct source_frame *frame)
{
	const char *const strings[STRINGS] = { frame->function, frame->raw, frame->file,
					       frame->type };

	for (int i = 0; i < STRINGS; i++)
		strbuf_add(ret, strings[i] ?: "", string_len(strings[i]));
}

static void put_frame(struct strbuf *ret, const struct source_frame *frame)
{
	const struct answer_frame packed = {
		frame->line, frame->column, frame->start_line, frame->is_called,
		{ string_len(frame->function), string_len(frame->raw), string_len(frame->file),
		  string_len(frame->type) },
	};

	strbuf_add(ret, (const char *)&packed, sizeof(packed));
}

static bool answer(int socket, const struct source_frame *frames, size_t count)
{
	struct strbuf body __cleanup_strbuf = { 0 };
	struct answer_head head = { (uint32_t)count, 0 };

	strbuf_add(&body, &head, sizeof(head));
	for (size_t i = 0; i < count; i++)
		put_frame(&body, &frames[i]);
	for (size_t i = 0; i < count; i++)
		put_strings(&body, &frames[i]);
	head.bytes = (uint32_t)(body.len - sizeof(head));
	memcpy(body.data, &head, sizeof(head));
	return reader_send(socket, body.data, body.len);
}

typedef size_t find_fn(void *lines, uint64_t vaddr, const struct source_frame **ret);

/* @lines: NULL if there are none. */
static void serve(int socket, void *lines, find_fn *find)
{
	const struct source_frame *frames, there = { 0 };
	uint64_t vaddr;

	if (!answer(socket, &there, lines != NULL) || !lines)
		return;
	while (reader_receive(socket, &vaddr, sizeof(vaddr))) {
		size_t count = find(lines, vaddr, &frames);

		if (!answer(socket, frames, count))
			return;
	}
}

static size_t find_by_dwarf(void *lines, uint64_t vaddr, const struct source_frame **ret)
{
	return dwarf_lines_find(lines, vaddr, ret);
}

static void serve_dwarf(int socket, int file)
{
	const struct answer_head too_large = { TOO_LARGE, 0 };

	/* libdw would say that there is nothing. */
	if (dwarf_bytes(file) > reader_memory())
		reader_send(socket, &too_large, sizeof(too_large));
	else
		serve(socket, dwarf_lines_create(file), find_by_dwarf);
}

static size_t find_by_go(void *lines, uint64_t vaddr, const struct source_frame **ret)
{
	return go_lines_find(lines, vaddr, ret);
}

static void serve_go(int socket, int file)
{
	struct go_lines *lines = go_lines_create(file);

	serve(socket, lines, find_by_go);
	go_lines_destroy(lines);
}

/* --- on our side: whatever comes is checked -------------------------------- */

/* The next string, or NULL; @at is moved behind it. False if there is no such string. */
static bool take_string(struct line_reader *r, const char **at, const char *end, uint32_t len,
			const char **ret)
{
	*ret = NULL;
	if (!len)
		return true;
	if (len > end - *at || (*at)[len - 1] || memchr(*at, '\0', len - 1))
		return false;
	*ret = strpool_intern(r->strings, *at);
	*at += len;
	return true;
}

static bool unpack(struct line_reader *r, const char *body, const struct answer_head *head)
{
	const char *at = body + head->frames * sizeof(struct answer_frame);
	const char *end = body + head->bytes;

	for (uint32_t i = 0; i < head->frames; i++) {
		struct source_frame *frame = source_frame_vec_append(&r->frames);
		struct answer_frame packed;

		memcpy(&packed, body + i * sizeof(packed), sizeof(packed));
		*frame = (struct source_frame){ .line = packed.line, .column = packed.column,
						.start_line = packed.start_line,
						.is_called = packed.is_called };
		if (!take_string(r, &at, end, packed.lens[0], &frame->function) ||
		    !take_string(r, &at, end, packed.lens[1], &frame->raw) ||
		    !take_string(r, &at, end, packed.lens[2], &frame->file) ||
		    !take_string(r, &at, end, packed.lens[3], &frame->type))
			return false;
	}
	return at == end;
}

static bool receive_answer(struct line_reader *r)
{
	__cleanup_free char *body = NULL;
	struct answer_head head;

	if (!reader_receive(r->socket, &head, sizeof(head)))
		return false;
	r->too_large = head.frames == TOO_LARGE;
	if (head.frames > FRAMES_MAX || head.bytes > ANSWER_MAX ||
	    head.bytes < head.frames * sizeof(struct answer_frame))
		return false;
	body = xmalloc(head.bytes + 1);
	return reader_receive(r->socket, body, head.bytes) && unpack(r, body, &head);
}

static void sleep_now(struct line_reader *r)
{
	for (int i = 0; i < LINE_READERS_MAX; i++)
		if (awake[i] == r)
			awake[i] = NULL;
	if (r->socket >= 0)
		close(r->socket);
	r->socket = -1;
}

void line_readers_rest(void)
{
	for (int i = 0; i < LINE_READERS_MAX; i++) {
		if (!awake[i])
			continue;
		/* Not for its own sake. */
		awake[i]->starts--;
		sleep_now(awake[i]);
	}
}

static void fail(struct line_reader *r)
{
	(r->too_large ? reader_note_excess : reader_note_failure)(
		r->path, "debug information (source lines)");
	sleep_now(r);
	close(r->fd);
	r->fd = -1;
}

/* A place among those that are awake; whoever was not asked for the longest makes room. */
static struct line_reader **place(void)
{
	struct line_reader **oldest = &awake[0];

	for (int i = 0; i < awake_max; i++) {
		if (!awake[i])
			return &awake[i];
		if (awake[i]->used < (*oldest)->used)
			oldest = &awake[i];
	}
	sleep_now(*oldest);
	return oldest;
}

/* False if its process cannot be had or does not answer; what it says first is in frames. */
static bool wake(struct line_reader *r)
{
	if (++r->starts > STARTS_MAX)
		return false;
	*place() = r;
	r->socket = r->source == LINES_GO ?
		    reader_start_large(serve_go, r->fd, go_reader_bytes(r->fd)) :
		    reader_start(serve_dwarf, r->fd);
	return r->socket >= 0 && receive_answer(r);
}

struct line_reader *line_reader_create(int fd, const char *path, enum lines_source source)
{
	struct line_reader *r __cleanup(line_reader_destroyp) = NULL;

	if (source == LINES_DWARF && !dwarf_is_read)
		return NULL;
	r = xcalloc(1, sizeof(*r));
	r->source = source;
	r->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	r->socket = -1;
	r->used = ++questions;
	r->path = xstrdup(path);
	r->strings = strpool_create();
	if (r->fd >= 0 && !wake(r))
		fail(r);
	return r->fd >= 0 && r->frames.len ? steal_ptr(r) : NULL;
}

void line_reader_destroy(struct line_reader *r)
{
	if (!r)
		return;
	sleep_now(r);
	if (r->fd >= 0)
		close(r->fd);
	source_frame_vec_deinit(&r->frames);
	free(r->known);
	strpool_destroy(r->strings);
	free(r->path);
	free(r);
}

static struct known *slot_of(const struct line_reader *r, uint64_t vaddr)
{
	size_t i = vaddr * 0x9e3779b97f4a7c15u >> 20;

	for (;; i++) {
		struct known *known = &r->known[i & (r->known_size - 1)];

		if (!known->count_plus_1 || known->vaddr == vaddr)
			return known;
	}
}

/* Room for one answer more; too many are forgotten. */
static void make_room(struct line_reader *r)
{
	struct known *old = r->known;
	size_t old_size = r->known_size;

	if (r->known_count >= KNOWN_MAX) {
		memset(old, 0, old_size * sizeof(*old));
		r->known_count = r->frames.len = 0;
	}
	if (r->known_count * 2 < old_size)
		return;
	r->known_size = old_size ? old_size * 2 : 256;
	r->known = xcalloc(r->known_size, sizeof(*old));
	for (size_t i = 0; i < old_size; i++)
		if (old[i].count_plus_1)
			*slot_of(r, old[i].vaddr) = old[i];
	free(old);
}

/* Appends what is answered to frames; how many. */
static size_t ask(struct line_reader *r, uint64_t vaddr)
{
	size_t first;

	r->used = ++questions;
	if (r->socket < 0 && !wake(r)) {
		fail(r);
		return 0;
	}
	/* Waking appends too. */
	first = r->frames.len;
	if (!reader_send(r->socket, &vaddr, sizeof(vaddr)) || !receive_answer(r)) {
		fail(r);
		r->frames.len = first;
	}
	return r->frames.len - first;
}

size_t line_reader_find(struct line_reader *r, uint64_t vaddr, const struct source_frame **ret)
{
	struct known *known;

	make_room(r);
	known = slot_of(r, vaddr);
	if (!known->count_plus_1) {
		size_t count = r->fd < 0 ? 0 : ask(r, vaddr);

		*known = (struct known){ vaddr, (uint32_t)(r->frames.len - count),
					 (uint32_t)count + 1 };
		r->known_count++;
	}
	*ret = r->frames.data + known->first;
	return known->count_plus_1 - 1;
}
