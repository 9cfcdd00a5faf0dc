// SPDX-License-Identifier: GPL-2.0-or-later
/* heapsonde export: a recording in another tool's format. */
#include "cmd/command.h"
#include "cmd/moment.h"
#include "export/folded.h"
#include "export/json.h"
#include "export/output.h"

struct error *cmd_export(const struct options *opts, int *status)
{
	__cleanup(snapshot_destroyp) struct snapshot *snap = NULL;
	struct output *out __cleanup_output = NULL;
	struct error *err;

	err = moment_read(opts->files.data[0], NULL, &snap);
	if (!err)
		err = output_open(opts->output.path ? opts->output.path : "-",
				  opts->output.force, &out);
	if (err)
		return err;
	snapshot_sort(snap, opts->output.sort);
	switch (opts->output.format) {
	case FORMAT_FOLDED:
		err = export_folded(snap, output_file(out), opts->output.metric);
		break;
	case FORMAT_JSON:
		export_json(snap, output_file(out), 0);
		break;
	}
	return err ? err : output_commit(steal_ptr(out));
}
