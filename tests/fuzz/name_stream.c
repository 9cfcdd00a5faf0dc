// SPDX-License-Identifier: GPL-2.0-or-later
/* libFuzzer target for what a reader sends that fell for its file: names in blocks. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "symbol/name_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool visit(void *arg, const struct named_range *range, const char *name)
{
	uint64_t *sum = arg;

	*sum += strlen(name) + range->start;
	return *name != '!';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t sum = 0, result;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		abort();
	/* What does not fit into the socket would wait for us. */
	if (send(ends[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && size)
		size = 0;
	close(ends[1]);
	name_stream_receive(ends[0], visit, &sum, &result);
	close(ends[0]);
	return 0;
}
