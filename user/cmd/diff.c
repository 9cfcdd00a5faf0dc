// SPDX-License-Identifier: GPL-2.0-or-later
/* heapsonde diff: what changed between two recordings, or two moments of one. */
#include "cmd/command.h"
#include "cmd/moment.h"
#include "export/diff.h"
#include "export/output.h"
#include "export/svg.h"

static struct error *write_diff(const struct diff *diff, FILE *f,
				const struct output_options *options)
{
	switch (options->json ? DIFF_FORMAT_JSON : options->diff_format) {
	case DIFF_FORMAT_FOLDED:
		return export_diff_folded(diff, f);
	case DIFF_FORMAT_SVG:
		return export_svg_diff(diff, f, &(struct svg_options){
			.icicle = options->icicle, .inverted = options->inverted });
	case DIFF_FORMAT_JSON:
		export_diff_json(diff, f, options->limit);
		return NULL;
	default:
		export_diff_text(diff, f, options->limit);
		return NULL;
	}
}

struct error *cmd_diff(const struct options *opts, int *status)
{
	__cleanup(snapshot_destroyp) struct snapshot *old = NULL, *new = NULL;
	struct diff *diff __cleanup(diff_destroyp) = NULL;
	struct output *out __cleanup_output = NULL;
	const char *const *files = opts->files.data;
	struct error *err = moment_read(files[0], NULL, &old);

	if (!err)
		err = moment_read(files[1], files[0], &new);
	if (!err)
		err = output_open(opts->output.path, opts->output.force, &out);
	if (err)
		return err;
	diff = diff_create(old, new, opts->output.sort);
	err = write_diff(diff, output_file(out), &opts->output);
	return err ? err : output_commit(steal_ptr(out));
}
