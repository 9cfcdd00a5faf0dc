// SPDX-License-Identifier: GPL-2.0-or-later
/* heapsonde export: a recording, or some seconds of a live process, in another tool's format. */
#include "cmd/command.h"
#include "cmd/source.h"
#include "export/folded.h"
#include "export/html.h"
#include "export/json.h"
#include "export/output.h"
#include "export/pprof.h"
#include "export/speedscope.h"
#include "export/svg.h"

struct error *export_write(const struct snapshot *snap, struct history *history, FILE *f,
			   const struct output_options *options)
{
	const char *metric = snapshot_metric(snap, options->metric);

	switch (options->format) {
	case FORMAT_FOLDED:
		return export_folded(snap, f, metric);
	case FORMAT_HTML:
		return export_html(snap, history, f);
	case FORMAT_PPROF:
		return export_pprof(snap, f, metric);
	case FORMAT_SPEEDSCOPE:
		return export_speedscope(snap, f, metric);
	case FORMAT_SVG:
		return export_svg(snap, f, &(struct svg_options){
			.metric = metric, .icicle = options->icicle,
			.inverted = options->inverted });
	case FORMAT_JSON:
		export_json(snap, f, 0);
		return NULL;
	}
	return NULL;
}

static void add_moment(void *history, const struct snapshot *snap)
{
	history_add(history, snap);
}

/* The snapshot to export; with those before it where the format shows them. */
static struct error *read_source(const struct options *opts, struct history *history,
				 struct snapshot **ret)
{
	struct error *err;

	if (opts->output.format != FORMAT_HTML)
		return source_snapshot(opts, ret);
	err = export_html_check();
	return err ? err : source_history(opts, add_moment, history, ret);
}

struct error *cmd_export(const struct options *opts, int *status)
{
	struct history *history __cleanup(history_destroyp) = history_create();
	__cleanup(snapshot_destroyp) struct snapshot *snap = NULL;
	struct output *out __cleanup_output = NULL;
	struct error *err;

	err = output_open(opts->output.path, opts->output.force, &out);
	if (!err)
		err = read_source(opts, history, &snap);
	if (err)
		return err;
	snapshot_sort(snap, opts->output.sort);
	err = export_write(snap, history, output_file(out), &opts->output);
	return err ? err : output_commit(steal_ptr(out));
}
