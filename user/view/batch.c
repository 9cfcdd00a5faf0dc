// SPDX-License-Identifier: GPL-2.0-or-later
/* One refresh as plain text; see batch.h. */
#include <math.h>

#include "base/format.h"
#include "view/columns.h"
#include "view/batch.h"

#define COLUMNS_WIDE 160	/* a line's columns, but for long call paths */
#define PATH_BYTES 400
#define TARGETS_TOLD 3		/* of more, those that ended are only counted */

struct batch {
	struct past past;
	enum column sort;
	size_t limit;
};

struct batch *batch_create(const char *sort, size_t limit)
{
	struct batch *batch = xcalloc(1, sizeof(*batch));

	batch->sort = column_of_metric(sort);
	batch->limit = limit;
	return batch;
}

void batch_destroy(struct batch *batch)
{
	if (!batch)
		return;
	past_deinit(&batch->past);
	free(batch);
}

static const char *bytes(int64_t value, char buf[FORMAT_MAX])
{
	return value < 0 ? "?" : format_bytes(value, buf);
}

static void put_targets(const struct snapshot *snap, FILE *f)
{
	struct strbuf line __cleanup_strbuf = { 0 };
	size_t ended = 0;
	char buf[FORMAT_MAX];

	strbuf_addf(&line, "heapsonde  %s  %s level", format_duration(snap->duration_s, buf),
		    snap->mode);
	vec_for_each(target, &snap->targets) {
		if (target->exited && target > snap->targets.data &&
		    snap->targets.len > TARGETS_TOLD) {
			ended++;
			continue;
		}
		strbuf_addf(&line, "  pid %u ", target->pid);
		format_escaped(&line, target->comm);
		if (target->exited)
			strbuf_addf(&line, " (%s)", target->exit_reason);
	}
	if (ended)
		strbuf_addf(&line, "  %zu more ended", ended);
	fprintf(f, "%s\n", strbuf_str(&line));
}

static void put_totals(const struct snapshot *snap, const struct rates *rates, FILE *f)
{
	const struct metrics *m = &snap->totals.m;
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX], d[FORMAT_MAX];

	fprintf(f, "live %s", bytes(m->live_bytes, a));
	if (m->live_bytes_error > 0)
		fprintf(f, " (+- %s)", bytes(llround(m->live_bytes_error), a));
	fprintf(f, " in %s blocks   RSS %s   limit %s (%s)\n",
		format_count(m->live_count, b), bytes(snap->memory.rss_bytes, c),
		bytes(snap->memory.limit_bytes, d), snap->memory.limit_kind);
	fprintf(f, "%s allocations/s, %s frees/s   %s stacks whole, %s not\n",
		format_count(llround(rates->allocs), a), format_count(llround(rates->frees), b),
		format_count(snap->unwind.complete, c),
		format_count(snap->unwind.truncated + snap->unwind.guessed +
			     snap->unwind.failed, d));
}

static void put_losses(const struct snapshot_loss *loss, FILE *f)
{
	if (loss->complete)
		fputs("nothing lost\n", f);
	else
		fprintf(f, "INCOMPLETE: %lld events and %lld stacks dropped, "
			"%lld allocations untracked, %lld probes missed\n",
			(long long)loss->dropped_events, (long long)loss->dropped_stacks,
			(long long)loss->untracked_allocs, (long long)loss->missed_probes);
}

static void put_header(const struct snapshot *snap, const bool show[COLUMNS_COUNT], FILE *f)
{
	for (int i = 0; i < COLUMN_PATH; i++)
		if (show[i])
			fprintf(f, "%*s ", column_width(i), column_header(i));
	fprintf(f, "%s < called by\n", column_path_header(snap));
}

static void put_thread(const struct snapshot *snap, const struct site *site, FILE *f)
{
	struct strbuf name __cleanup_strbuf = { 0 }, safe __cleanup_strbuf = { 0 };

	site_thread(&name, snap, site);
	format_escaped(&safe, strbuf_str(&name));
	fprintf(f, "%-*s ", column_width(COLUMN_THREAD), strbuf_str(&safe));
}

static void put_site(const struct snapshot *snap, const struct site *site,
		     const bool show[COLUMNS_COUNT], FILE *f)
{
	struct strbuf path __cleanup_strbuf = { 0 }, safe __cleanup_strbuf = { 0 };
	char buf[COLUMN_TEXT_MAX];

	for (int i = 0; i < COLUMN_PATH; i++) {
		if (i == COLUMN_THREAD && show[i])
			put_thread(snap, site, f);
		else if (show[i])
			fprintf(f, "%*s ", column_width(i), column_text(site, i, buf));
	}
	site_path(&path, snap, site->stack, PATH_BYTES);
	format_escaped(&safe, strbuf_str(&path));
	fprintf(f, "%s\n", strbuf_str(&safe));
}

static void add_site(struct batch *batch, const struct snapshot *snap,
		     const struct snapshot_stack *stack, struct site_vec *ret)
{
	struct site site = site_make(&batch->past, stack, &stack->m);
	struct filter all = { 0 };

	site.shares = shares_summary(snap, stack, &all);
	site.number = (uint32_t)ret->len;
	site_vec_push(ret, site);
}

static void collect(struct batch *batch, const struct snapshot *snap, struct site_vec *ret)
{
	vec_for_each(stack, &snap->stacks)
		if (snapshot_shows(snap, stack))
			add_site(batch, snap, stack, ret);
	sites_sort(ret, snap, column_in(snap, batch->sort), false);
}

void batch_print(struct batch *batch, struct snapshot *snap, FILE *f)
{
	__cleanup(site_vec_deinit) struct site_vec sites = { 0 };
	bool show[COLUMNS_COUNT];
	size_t left = batch->limit ? batch->limit : SIZE_MAX;

	past_take(&batch->past, snap);
	collect(batch, snap, &sites);
	columns_choose(&(struct columns_wish){
		.columns = COLUMNS_WIDE, .sort = column_in(snap, batch->sort),
		.shares = snap->shares.len, .errors = snap->totals.m.live_bytes_error > 0,
		.growth = snapshot_is_growth(snap), .split = SPLIT_NONE,
	}, show);
	show[COLUMN_TREND] = false;
	put_targets(snap, f);
	put_totals(snap, &batch->past.rates, f);
	put_losses(&snap->loss, f);
	put_header(snap, show, f);
	vec_for_each(site, &sites)
		if (left-- > 0)
			put_site(snap, site, show, f);
		else
			break;
	fputc('\n', f);
}
