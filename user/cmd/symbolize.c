// SPDX-License-Identifier: GPL-2.0-or-later
/* heapsonde symbolize: names the frames of a recording after the fact. */
#include "base/log.h"
#include "cmd/command.h"
#include "recording/symbolize.h"

struct error *cmd_symbolize(const struct options *opts, int *status)
{
	__cleanup(symbolize_result_deinit) struct symbolize_result result = { 0 };
	struct error *err = recording_symbolize(opts->files.data[0], opts->debug_dirs.data,
						opts->debug_dirs.len, &result);

	if (err)
		return err;
	if (result.missing.len)
		log_warn("no file with its build id was found for %s: give the directory that"
			 " has it, or its debug file, with --debug-dir",
			 strbuf_str(&result.missing));
	log_info("%zu of %zu frames without a name or a line have more now, from %zu of %zu"
		 " objects", result.named, result.frames, result.found, result.objects);
	return NULL;
}
