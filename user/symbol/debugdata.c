// SPDX-License-Identifier: GPL-2.0-or-later
/* Unpacking .gnu_debugdata; see debugdata.h. */
#include <lzma.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/reader.h"
#include "symbol/debugdata.h"
#include "symbol/elfread.h"

/* It is a fraction of the file; what is larger is a trap. */
#define PACKED_MAX (64ULL << 20)
#define UNPACKED_MAX (256ULL << 20)
#define LZMA_MEMORY_MAX (128ULL << 20)

#define PIECE_MAX 65536

/* What is sent: pieces, each behind its length, and one of these in the end. */
#define END_WHOLE 0
#define END_BROKEN UINT32_MAX

/* --- in the confined process ---------------------------------------------- */

/* Sends the rest of what @stream decodes to; false if it is broken or too long. */
static bool send_decoded(int socket, lzma_stream *stream)
{
	static uint8_t piece[PIECE_MAX];
	lzma_ret status;

	do {
		uint32_t len;

		stream->next_out = piece;
		stream->avail_out = sizeof(piece);
		status = lzma_code(stream, LZMA_FINISH);
		len = (uint32_t)(sizeof(piece) - stream->avail_out);
		if (stream->total_out > UNPACKED_MAX ||
		    (len && (!reader_send(socket, &len, sizeof(len)) ||
			     !reader_send(socket, piece, len))))
			return false;
	} while (status == LZMA_OK);
	return status == LZMA_STREAM_END;
}

static bool send_section(int socket, int file)
{
	__cleanup_elf Elf *elf = elfread_open(file);
	const Elf64_Shdr *shdr = elf ? elfread_section(elf, file, ".gnu_debugdata", SHT_PROGBITS) :
				       NULL;
	__cleanup_free uint8_t *packed = NULL;
	lzma_stream stream = LZMA_STREAM_INIT;
	bool whole;

	packed = shdr ? elfread_whole(file, shdr->sh_offset, shdr->sh_size, PACKED_MAX) : NULL;
	if (!packed || lzma_stream_decoder(&stream, LZMA_MEMORY_MAX, 0) != LZMA_OK)
		return false;
	stream.next_in = packed;
	stream.avail_in = shdr->sh_size;
	whole = send_decoded(socket, &stream);
	lzma_end(&stream);
	return whole;
}

static void serve_debugdata(int socket, int file)
{
	const uint32_t end = send_section(socket, file) ? END_WHOLE : END_BROKEN;

	reader_send(socket, &end, sizeof(end));
}

/* --- on our side ---------------------------------------------------------- */

static bool has_section(int fd)
{
	__cleanup_elf Elf *elf = elfread_open(fd);

	return elf && elfread_section(elf, fd, ".gnu_debugdata", SHT_PROGBITS);
}

/* Writes what comes to @fd, and how it ends to @end_ret; false if the reader failed. */
static bool receive_pieces(int socket, int fd, uint32_t *end_ret)
{
	__cleanup_free uint8_t *piece = xmalloc(PIECE_MAX);
	uint64_t total = 0;
	uint32_t len;

	while (reader_receive(socket, &len, sizeof(len))) {
		if (len == END_WHOLE || len == END_BROKEN) {
			*end_ret = len;
			return true;
		}
		total += len;
		if (len > PIECE_MAX || total > UNPACKED_MAX ||
		    !reader_receive(socket, piece, len) || write(fd, piece, len) != (ssize_t)len)
			return false;
	}
	return false;
}

int debugdata_open(const struct object *obj)
{
	__cleanup_close int fd = -1, socket = -1;
	uint32_t end;

	if (!has_section(obj->fd))
		return -1;
	fd = memfd_create("gnu_debugdata", MFD_CLOEXEC);
	if (fd < 0)
		return -1;
	socket = reader_start_large(serve_debugdata, obj->fd, LZMA_MEMORY_MAX + PACKED_MAX);
	if (socket < 0 || !receive_pieces(socket, fd, &end)) {
		reader_note_failure(obj->path, "compressed symbols");
		return -1;
	}
	return end == END_WHOLE ? steal_fd(&fd) : -1;
}
