// SPDX-License-Identifier: GPL-2.0-or-later
/* Names in blocks; see name_stream.h. */
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/reader.h"
#include "symbol/name_stream.h"

#define BLOCK_FULL (64u << 10)
#define ENOUGH 2		/* times what is waited for a block */

struct block_head {
	uint64_t result;
	uint32_t bytes;
	uint32_t is_last;
};

/* A name's head; its bytes and a NUL are behind it. */
struct packed_name {
	struct named_range range;
	uint32_t len;
};

#define BLOCK_MAX (BLOCK_FULL + sizeof(struct packed_name) + STREAM_NAME_MAX + 1)

static void flush(struct name_sender *s, bool is_last, uint64_t result)
{
	const struct block_head head = { result, (uint32_t)s->block.len, is_last };

	s->failed = s->failed || !reader_send(s->socket, &head, sizeof(head)) ||
		    !reader_send(s->socket, s->block.data, s->block.len);
	strbuf_reset(&s->block);
}

void name_sender_put(struct name_sender *s, const struct named_range *range, const char *name)
{
	struct packed_name packed;
	size_t len = strlen(name);

	if (s->failed || len > STREAM_NAME_MAX)
		return;
	/* With its padding, which is sent too. */
	memset(&packed, 0, sizeof(packed));
	packed.range = *range;
	packed.len = (uint32_t)len;
	strbuf_add(&s->block, &packed, sizeof(packed));
	strbuf_add(&s->block, name, len + 1);
	if (s->block.len >= BLOCK_FULL)
		flush(s, false, 0);
}

void name_sender_end(struct name_sender *s, uint64_t result)
{
	flush(s, true, result);
	strbuf_deinit(&s->block);
}

static bool visit_block(const char *at, const char *end, name_visitor *visit, void *arg)
{
	while (at < end) {
		struct packed_name packed;
		const char *name = at + sizeof(packed);

		if ((size_t)(end - at) < sizeof(packed))
			return false;
		memcpy(&packed, at, sizeof(packed));
		if (packed.len >= (size_t)(end - name) || strnlen(name, packed.len) < packed.len ||
		    name[packed.len])
			return false;
		if (!visit(arg, &packed.range, name))
			return false;
		at = name + packed.len + 1;
	}
	return true;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool name_stream_receive(int socket, name_visitor *visit, void *arg, uint64_t *result_ret)
{
	__cleanup_free char *block = xmalloc(BLOCK_MAX);
	int64_t until_ms = now_ms() + ENOUGH * reader_patience_ms();
	struct block_head head;

	do {
		if (!reader_receive(socket, &head, sizeof(head)) || head.bytes > BLOCK_MAX ||
		    !reader_receive(socket, block, head.bytes) ||
		    !visit_block(block, block + head.bytes, visit, arg) || now_ms() > until_ms)
			return false;
	} while (!head.is_last);
	*result_ret = head.result;
	return true;
}
