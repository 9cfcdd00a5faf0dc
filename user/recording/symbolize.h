/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Naming the frames of a recording after the fact: one that was made without
 * names, or where the debug files were not at hand, perhaps on another machine.
 */
#ifndef HEAPSONDE_RECORDING_SYMBOLIZE_H
#define HEAPSONDE_RECORDING_SYMBOLIZE_H

#include <stddef.h>

#include "base/error.h"
#include "base/strbuf.h"

struct symbolize_result {
	size_t frames, named;		/* frames that lacked something, and now lack less */
	size_t objects, found;		/* the objects that these are in */
	struct strbuf missing;		/* what was not found: "libfoo.so (build id), …" */
};

void symbolize_result_deinit(struct symbolize_result *result);

/*
 * Gives frames without a function or a line what the objects or debug files with
 * their build ids say, in one transaction; see symbol/offline.h for where they are
 * looked for, @dirs first. All moments have the names then. @ret is initialised here
 * and to be deinitialised in any case.
 */
struct error *recording_symbolize(const char *path, const char *const *dirs, size_t dirs_count,
				  struct symbolize_result *ret) __must_check;

#endif
