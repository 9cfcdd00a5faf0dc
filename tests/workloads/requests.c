// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An allocation-heavy server without its network: request after request, as fast as it
 * goes, each a hundred blocks and two system calls, and a session that stays for a
 * while. Prints the CPU time of so many requests, one line each, in nanoseconds, to the
 * end of its stdin. All requests are alike in what they cost, so that lines compare.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REQUESTS 100		/* a line */
#define BLOCKS 100		/* a request */
#define SESSIONS 20000
#define BODY_MIN (16u << 10)
#define BODY_MAX (64u << 10)

static void *sessions[SESSIONS];
static uint64_t seed = 1;
static volatile uint64_t sum;

static uint32_t next(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33);
}

static uint64_t checksum(const unsigned char *bytes, size_t n)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ bytes[i]) * 1099511628211u;
	return hash;
}

static void *filled(size_t size)
{
	void *block = malloc(size);

	if (!block)
		abort();
	memset(block, (int)size, size);
	return block;
}

static void serve(int null, unsigned long nr)
{
	size_t body_bytes = BODY_MIN + next() % (BODY_MAX - BODY_MIN);
	void *blocks[BLOCKS], *body = filled(body_bytes);

	if (read(null, body, 64) < 0)
		abort();
	for (int i = 0; i < BLOCKS; i++) {
		size_t size = 16 + next() % 500;

		blocks[i] = filled(size);
		sum += checksum(blocks[i], size);
	}
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
	if (write(null, body, body_bytes) < 0)
		abort();
	free(body);
	free(sessions[nr % SESSIONS]);
	sessions[nr % SESSIONS] = filled(200 + next() % 1800);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(void)
{
	struct pollfd end = { .fd = 0, .events = POLLIN };
	int null = open("/dev/null", O_RDWR);

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned long nr = 0; !poll(&end, 1, 0);) {
		uint64_t begun = cpu_ns();

		for (int i = 0; i < REQUESTS; i++)
			serve(null, nr++);
		printf("%llu\n", (unsigned long long)(cpu_ns() - begun));
	}
	return 0;
}
