// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target for all that reads recordings. The first byte of an input
 * says what the rest is: a packed moment, or a whole file, of which the moment
 * is read that the byte names.
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iuser -I. \
 *		tests/fuzz/recording.c \
 *		user/recording/{open,reader,columns,database,delta,schema}.c \
 *		user/model/{snapshot,fields,frames,map64}.c \
 *		user/base/{alloc,error,intern,strbuf,strpool,format,utf8}.c -lsqlite3 -lz -lm
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "recording/delta.h"
#include "recording/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool apply(void *arg, const struct delta_change *change)
{
	struct delta_state *state = arg;

	delta_apply(state, change, 12.5);
	return true;
}

static void fuzz_delta(const uint8_t *data, size_t size)
{
	struct delta_state state = { 0 };

	delta_unpack(data, size, apply, &state);
}

/* What snapshot.h promises of every snapshot. */
static void check_snapshot(const struct snapshot *snap)
{
	vec_for_each(stack, &snap->stacks) {
		if (stack->target >= snap->targets.len || stack->kind >= MEMORY_KINDS_COUNT ||
		    stack->frame_first + (uint64_t)stack->frame_count > snap->frames.len)
			abort();
		for (uint32_t i = 0; i < stack->frame_count; i++)
			if (!snapshot_frames(snap, stack)[i].module)
				abort();
	}
	vec_for_each(mark, &snap->marks)
		if (!mark->name)
			abort();
}

static void fuzz_file(const uint8_t *data, size_t size, double t_s)
{
	struct recording_reader *rec __cleanup(recording_reader_destroyp) = NULL;
	struct snapshot *snap __cleanup(snapshot_destroyp) = NULL;
	int fd __cleanup_close = memfd_create("recording", MFD_CLOEXEC);
	struct error *err __cleanup_error = NULL;
	char path[32];

	if (write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = recording_open(path, &rec);
	if (!err)
		err = recording_snapshot(rec, t_s, &snap);
	if (!err)
		check_snapshot(snap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	if (data[0] & 1)
		fuzz_delta(data + 1, size - 1);
	else
		fuzz_file(data + 1, size - 1, (data[0] >> 1) - 1.0);
	return 0;
}
