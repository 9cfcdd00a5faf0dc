// SPDX-License-Identifier: GPL-2.0-or-later
/* heapsonde export: a recording, or some seconds of a live process, in another tool's format. */
#include "cmd/command.h"
#include "cmd/source.h"
#include "export/folded.h"
#include "export/json.h"
#include "export/output.h"

static struct error *write_format(const struct snapshot *snap, FILE *f,
				  const struct output_options *options)
{
	switch (options->format) {
	case FORMAT_FOLDED:
		return export_folded(snap, f, options->metric);
	case FORMAT_JSON:
		export_json(snap, f, 0);
		return NULL;
	}
	return NULL;
}

struct error *cmd_export(const struct options *opts, int *status)
{
	__cleanup(snapshot_destroyp) struct snapshot *snap = NULL;
	struct output *out __cleanup_output = NULL;
	struct error *err;

	err = output_open(opts->output.path, opts->output.force, &out);
	if (!err)
		err = source_snapshot(opts, &snap);
	if (err)
		return err;
	snapshot_sort(snap, opts->output.sort);
	err = write_format(snap, output_file(out), &opts->output);
	return err ? err : output_commit(steal_ptr(out));
}
