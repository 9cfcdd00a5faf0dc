/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unwind tables on disk, so that a file met before need not be compiled again.
 *
 * One directory, one file per table, named by build id. A build id is what its
 * file claims, and targets may lie: an entry also names the very file that it
 * was made of (device, inode, size, times), and is for no other one.
 *
 * What is read is believed only if it belongs to us, nobody else can write it,
 * its checksum is right, it was made by this very program (by build id), and every
 * number in it is within its bounds; else it is as if it were not there. Entries
 * appear whole, by rename. No failure here is more than a table to compile.
 */
#ifndef HEAPSONDE_SYMBOL_UNWIND_CACHE_H
#define HEAPSONDE_SYMBOL_UNWIND_CACHE_H

#include "base/cleanup.h"
#include "symbol/unwind_table.h"

#define UNWIND_CACHE_BYTES_MAX (128ull << 20)

struct unwind_cache;

/*
 * Where the cache is: $HEAPSONDE_CACHE_DIR (empty: nowhere); else of root
 * /var/cache/heapsonde, of others $XDG_CACHE_HOME/heapsonde or
 * ~/.cache/heapsonde. The caller frees it; NULL if nowhere.
 */
char *unwind_cache_default_dir(void);

/*
 * @dir is made if it is not there. NULL if it is not ours alone or cannot be
 * had. @max_bytes bounds what unwind_cache_close() leaves in it.
 */
struct unwind_cache *unwind_cache_open(const char *dir, uint64_t max_bytes);
/* Removes the entries that were not asked for the longest, when it is too full. */
void unwind_cache_close(struct unwind_cache *cache);
DEFINE_CLEANUP(struct unwind_cache *, unwind_cache_close);

/*
 * As unwind_table_create() of the open ELF file @fd with this build id
 * (hexadecimal, may be ""), from the cache if it is there, else compiled and
 * kept. @cache may be NULL. @hurry: see unwind_read().
 */
struct error *unwind_cache_table(struct unwind_cache *cache, int fd, const char *build_id,
				 enum unwind_table_kind kind, bool hurry,
				 struct unwind_table **ret)
	__must_check;

struct unwind_cache_counts { unsigned int hits, compiled, stored; };
struct unwind_cache_counts unwind_cache_counts(const struct unwind_cache *cache);

#endif
