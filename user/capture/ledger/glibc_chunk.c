// SPDX-License-Identifier: GPL-2.0-or-later
/* Whether a chunk of glibc is in use; see glibc_chunk.h. */
#include <sys/uio.h>

#include "capture/ledger/glibc_chunk.h"

#define HEADER 16ull
#define CHUNK_MIN 32ull
#define TCACHE_CHUNK_MAX 1040ull
#define TCACHE_BINS 64
#define TCACHE_CHUNK 0x290ull
#define FAST_CHUNK_MAX 176ull

static bool read_remote(uint32_t pid, uint64_t addr, void *buf, size_t len)
{
	struct iovec local = { buf, len }, remote = { (void *)(uintptr_t)addr, len };

	return process_vm_readv((pid_t)pid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

static bool same_size(uint64_t a, uint64_t b)
{
	return (a & CHUNK_SIZE_MASK) == (b & CHUNK_SIZE_MASK);
}

static bool in_tcache(const struct chunk_view *now, const struct tcache_key *key,
		      const struct chunk_reader *reader)
{
	uint64_t head;

	if ((now->head & CHUNK_SIZE_MASK) > TCACHE_CHUNK_MAX)
		return false;
	if (key->kind == TCACHE_KEY_NUMBER)
		return now->words[1] == key->number;
	return key->kind == TCACHE_KEY_ADDRESS && now->words[1] && now->words[1] % 16 == 0 &&
	       reader->head(reader->arg, now->words[1] - HEADER, &head) &&
	       (head & CHUNK_SIZE_MASK) == TCACHE_CHUNK;
}

/*
 * A fast bin's link is masked by its own place ("safe linking", since 2.32):
 * what unmasks to a chunk of the very same size, and was not there before, is one.
 */
static bool in_fast_bin(uint64_t block, const struct chunk_before *before,
			const struct chunk_view *now, const struct chunk_reader *reader)
{
	uint64_t next = now->words[0] ^ block >> 12, head;

	if ((now->head & CHUNK_SIZE_MASK) > FAST_CHUNK_MAX || now->words[0] == before->word0)
		return false;
	if (next % 16)
		next = now->words[0];
	if (!next)
		return now->words[0] != 0;
	return next % 16 == 0 && reader->head(reader->arg, next, &head) &&
	       same_size(head, now->head);
}

/* One that was merged with the chunk before it keeps its head, which means nothing. */
static bool is_absorbed(uint64_t block, const struct chunk_view *now,
			const struct chunk_reader *reader)
{
	uint64_t head;

	if (now->head & CHUNK_PREV_INUSE)
		return false;
	return !reader->head(reader->arg, block - HEADER - now->prev_size, &head) ||
	       (head & CHUNK_SIZE_MASK) != now->prev_size;
}

bool chunk_has_ended(uint64_t block, const struct chunk_before *before,
		     const struct chunk_view *now, const uint64_t *next_head,
		     const struct tcache_key *key, const struct chunk_reader *reader)
{
	if (!same_size(now->head, before->head))
		return true;
	if (now->head & CHUNK_IS_MAPPED)
		return false;
	return in_tcache(now, key, reader) ||
	       (next_head && !(*next_head & CHUNK_PREV_INUSE)) ||
	       in_fast_bin(block, before, now, reader) || is_absorbed(block, now, reader);
}

/* What is left of a chunk that was split is not less than the smallest chunk. */
bool chunk_fits_request(uint64_t head, uint64_t size)
{
	uint64_t need = (size + 8 + 15) & ~15ull, has = head & CHUNK_SIZE_MASK;

	if (need < CHUNK_MIN)
		need = CHUNK_MIN;
	return head & CHUNK_IS_MAPPED ? has >= need && has <= need + 8192
				      : has >= need && has <= need + CHUNK_MIN;
}

struct tcache { uint16_t counts[TCACHE_BINS]; uint64_t entries[TCACHE_BINS]; };

static bool read_entry(uint32_t pid, uint64_t block, int bin, uint64_t *key_ret)
{
	struct chunk_view chunk;

	if (!read_remote(pid, block - HEADER, &chunk, sizeof(chunk)) ||
	    (chunk.head & CHUNK_SIZE_MASK) != CHUNK_MIN + 16 * (uint64_t)bin)
		return false;
	*key_ret = chunk.words[1];
	return true;
}

bool tcache_key_read(uint32_t pid, uint64_t addr, struct tcache_key *ret)
{
	struct tcache tcache;
	uint64_t key = 0, other;

	if (!read_remote(pid, addr, &tcache, sizeof(tcache)))
		return false;
	for (int bin = 0; bin < TCACHE_BINS; bin++) {
		if (!tcache.counts[bin])
			continue;
		if (!read_entry(pid, tcache.entries[bin], bin, &other) || !other ||
		    (key && other != key))
			return false;
		key = other;
	}
	if (!key)
		return false;
	ret->kind = key == addr ? TCACHE_KEY_ADDRESS : TCACHE_KEY_NUMBER;
	ret->number = key;
	return true;
}
