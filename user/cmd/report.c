// SPDX-License-Identifier: GPL-2.0-or-later
/* heapsonde report: what a recording, or some seconds of a live process, shows. */
#include "cmd/command.h"
#include "cmd/source.h"
#include "export/json.h"
#include "export/output.h"
#include "export/text.h"

struct error *cmd_report(const struct options *opts, int *status)
{
	__cleanup(snapshot_destroyp) struct snapshot *snap = NULL;
	struct output *out __cleanup_output = NULL;
	const char *sort;
	struct error *err;

	/* First, so that nobody watches for an hour and then learns that it is refused. */
	err = output_open(opts->output.path, opts->output.force, &out);
	if (!err)
		err = source_snapshot(opts, &snap);
	if (err)
		return err;
	sort = snapshot_metric(snap, opts->output.sort);
	snapshot_sort(snap, sort);
	if (opts->output.json)
		export_json(snap, output_file(out), opts->output.limit);
	else
		export_text(snap, output_file(out), &(struct text_options){
			.limit = opts->output.limit, .sort = sort });
	if (conditions_check(&opts->output.fail_on, snap))
		*status = 1;
	return output_commit(steal_ptr(out));
}
