/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of addresses on their way from a reader (base/reader.h) that takes them from a
 * foreign file: ELF symbols, lines of perf maps. They come in blocks, so neither side holds
 * more of them than it keeps.
 */
#ifndef HEAPSONDE_SYMBOL_NAME_STREAM_H
#define HEAPSONDE_SYMBOL_NAME_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"

#define STREAM_NAME_MAX 65535	/* bytes, longer names are not sent */

struct named_range {
	uint64_t start, size;
	uint64_t limit;		/* of symbols, where it ends at the latest */
	uint8_t rank;		/* of symbols, enum binding_rank */
	uint8_t is_label;	/* of symbols, STT_NOTYPE */
	uint8_t is_exported;	/* of symbols */
};

/* --- the reader's side: begin with { .socket = … } --- */

struct name_sender {
	int socket;
	struct strbuf block;
	bool failed;		/* nobody listens any more */
};

void name_sender_put(struct name_sender *sender, const struct named_range *range,
		     const char *name);
/* The end of it, with a number for who asked. */
void name_sender_end(struct name_sender *sender, uint64_t result);

/* --- our side --- */

/* @name is there for the call. False: it makes no sense, and the whole stream is refused. */
typedef bool name_visitor(void *arg, const struct named_range *range, const char *name);

/*
 * False if the reader went silent, took twice its time (base/reader.h), or sent what is no
 * such stream; names may have been visited by then.
 */
bool name_stream_receive(int socket, name_visitor *visit, void *arg, uint64_t *result_ret);

#endif
