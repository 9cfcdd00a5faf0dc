/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes for reading what others wrote: files of targets, which may be made
 * to harm whoever reads them.
 *
 *	heapsonde ──file, socket──▶ steward ──forks──▶ one reader for each file
 *	    └───────────── questions and answers ─────────────┘
 *
 * The steward is forked before heapsonde knows much, and gives up all privileges.
 * A reader has one file and one socket; seccomp leaves it memory, and files that
 * everybody may read; its memory and its processor time are bounded. When it
 * crashes, hangs or takes too much, its socket falls silent, and that file is
 * what is lost.
 */
#ifndef HEAPSONDE_BASE_READER_H
#define HEAPSONDE_BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes the steward, if there is none yet. The sooner, the less it knows. */
void reader_begin(void);

/*
 * How long a reader may take to answer when it is asked, and how much processor time it
 * may have: half a minute, and a minute, unless a test has less patience. Each reader that
 * has failed halves the former for all others, down to a second: a target with a hundred
 * files that hold us up does so for a minute or two.
 */
void reader_set_patience(int silence_ms, int cpu_s);
int reader_patience_ms(void);

/* How much memory each reader that is started from here on may take. */
void reader_set_memory(uint64_t bytes);

/*
 * For fuzzers, which want to see what crashes: readers are threads of ours from here on.
 * When all sockets are closed, their end can be awaited. One thread's.
 */
void reader_stay_here(void);
void reader_await_guests(void);

/*
 * Starts a reader, which runs serve(socket, file) and ends after it: whatever
 * serve needs was there at reader_begin(). @file is borrowed. Gives our end of
 * the socket, for the caller to close, which ends the reader; -1 if there can
 * be none. It waits for a processor and for the disk behind as many others as this thread.
 */
int reader_start(void (*serve)(int socket, int file), int file);
/* The same for one that may take @memory_bytes if that is more than others may. */
int reader_start_large(void (*serve)(int socket, int file), int file, uint64_t memory_bytes);

/*
 * All of @len bytes, or false: the other end is gone, or they did not come in time.
 * For both sides; readers wait as long as it takes.
 */
bool reader_send(int socket, const void *data, size_t len);
bool reader_receive(int socket, void *data, size_t len);

/* What this process may take if it is a reader, else UINT64_MAX. */
uint64_t reader_memory(void);

/*
 * Files that were not read, or not to their end, for the report; and one more: whose reader
 * failed us, or which has more than we take.
 */
int64_t reader_failures(void);
void reader_note_failure(const char *path, const char *what);
void reader_note_excess(const char *path, const char *what);

#endif
