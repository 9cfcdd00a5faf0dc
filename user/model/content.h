/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a block begins with, in eight bytes: whether it is still as it was can be told
 * without keeping it.
 */
#ifndef HEAPSONDE_MODEL_CONTENT_H
#define HEAPSONDE_MODEL_CONTENT_H

#include <stdint.h>

#include "model/window_fates.h"

#define CONTENT_WORDS 8		/* that are looked at, at most */
#define CONTENT_WORDS_MIN 2	/* in one alone there is too little to go by */

/* How many words of a block of that size are looked at. */
static inline int content_words(uint32_t size)
{
	return size / 8 < CONTENT_WORDS ? (int)(size / 8) : CONTENT_WORDS;
}

/* A byte of each word, by which words that differ are told apart, all but one in 256. */
static inline uint64_t content_print(const uint64_t *words, int count)
{
	uint64_t print = 0;

	for (int i = 0; i < count; i++)
		print |= (words[i] * 0x9e3779b97f4a7c15u >> 56) << 8 * i;
	return print;
}

/* How the one looks to whoever knows the other, both of @count words. */
static inline enum fate_look content_look(uint64_t print, uint64_t other, int count)
{
	int same = 0;

	for (int i = 0; i < count; i++)
		same += !((print ^ other) >> 8 * i & 0xff);
	return same == count ? LOOKS_SAME : 2 * same >= count ? LOOKS_ALIKE : LOOKS_OTHER;
}

#endif
