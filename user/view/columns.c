// SPDX-License-Identifier: GPL-2.0-or-later
/* The columns of the table of sites; see columns.h. */
#include <math.h>
#include <string.h>

#include "view/columns.h"
#include "view/names.h"

#define PATH_COLUMNS_MIN 26	/* or two fifths of the screen */
#define SURE 0.9		/* growth below that confidence is marked */

static const struct column_row {
	const char *header, *metric, *help;
	int width, rank;
} rows[COLUMNS_COUNT] = {
#define X(symbol, header, metric, width, rank, value, help) { header, metric, help, width, rank },
	COLUMNS(X)
#undef X
};

const char *column_header(enum column column)
{
	return rows[column].header;
}

const char *column_path_header(const struct snapshot *snap)
{
	return snapshot_is_growth(snap) ? "who touched it first, not who leaks"
					: column_header(COLUMN_PATH);
}

int column_width(enum column column)
{
	return rows[column].width;
}

enum column column_of_metric(const char *metric)
{
	for (int i = 0; i < COLUMNS_COUNT; i++)
		if (rows[i].metric && !strcmp(rows[i].metric, metric))
			return i;
	return COLUMN_LIVE;
}

enum column column_in(const struct snapshot *snap, enum column column)
{
	const char *metric = rows[column].metric;

	return metric ? column_of_metric(snapshot_metric(snap, metric)) : column;
}

/* What allocations have is not known in the growth level, and the other way round. */
static bool is_of_level(bool growth, int column)
{
	switch (column) {
	case COLUMN_GROWTH:
	case COLUMN_SURE:
	case COLUMN_PATH:
		return true;
	case COLUMN_RESIDENT:
	case COLUMN_MAPPED:
		return growth;
	default:
		return !growth;
	}
}

bool column_is_known(const struct snapshot *snap, enum column column)
{
	return is_of_level(snapshot_is_growth(snap), (int)column);
}

static bool is_there(const struct columns_wish *wish, int column)
{
	if (!is_of_level(wish->growth, column))
		return false;
	if (column == COLUMN_THREAD || column == COLUMN_CLASS)
		return wish->shares;
	return column != COLUMN_ERROR || wish->errors;
}

static bool is_must(const struct columns_wish *wish, int column)
{
	return column == (int)wish->sort || column == COLUMN_PATH ||
	       (column == COLUMN_THREAD && wish->split & SPLIT_THREAD) ||
	       (column == COLUMN_CLASS && wish->split & SPLIT_CLASS);
}

void columns_choose(const struct columns_wish *wish, bool show[COLUMNS_COUNT])
{
	int columns = wish->columns;
	int path = columns * 2 / 5 > PATH_COLUMNS_MIN ? columns * 2 / 5 : PATH_COLUMNS_MIN;
	int left = columns - path;

	for (int i = 0; i < COLUMNS_COUNT; i++) {
		show[i] = is_must(wish, i);
		left -= show[i] && rows[i].width ? rows[i].width + 1 : 0;
	}
	for (int rank = 0; rank < COLUMNS_COUNT; rank++)
		for (int i = 0; i < COLUMN_PATH; i++)
			if (rows[i].rank == rank && !show[i] && is_there(wish, i) &&
			    left >= rows[i].width + 1) {
				show[i] = true;
				left -= rows[i].width + 1;
			}
}

struct site site_make(const struct past *past, const struct snapshot_stack *stack,
		      const struct metrics *m)
{
	const struct trace *trace = past_trace(past, stack);
	struct site site = { .stack = stack, .m = *m };

	if (!trace || trace->round != past->round)
		return site;
	site.allocs_per_s = trace->allocs_per_s;
	if (trace->len > 1)
		site.trend = (double)(trace->live[trace->len - 1] - trace->live[0]);
	return site;
}

double site_temporary(const struct site *s)
{
	return s->m.alloc_count > 0 ?
		(double)s->m.temporary_count / (double)s->m.alloc_count : 0;
}

double site_mean(const struct site *s)
{
	return s->m.alloc_count > 0 ? (double)s->m.alloc_bytes / (double)s->m.alloc_count : 0;
}

double column_value(const struct site *s, enum column column)
{
	switch (column) {
#define X(symbol, header, metric, width, rank, value, help)	\
	case symbol:						\
		return (double)(value);
	COLUMNS(X)
#undef X
	default:
		return 0;
	}
}

static const char *percent(double share, char *buf)
{
	snprintf(buf, COLUMN_TEXT_MAX, "%.0f%%", 100 * share);
	return buf;
}

static const char *growth_text(const struct site *site, char *buf)
{
	char number[FORMAT_MAX];
	double growth = site->m.growth_bytes_per_s;

	if (site->partial && !site->m.growth_confidence)
		return "-";
	if (!growth)
		return "0";
	snprintf(buf, COLUMN_TEXT_MAX, "%s%s",
		 format_bytes_short(llround(growth), true, number),
		 site->m.growth_confidence < SURE ? "?" : "");
	return buf;
}

static const char *class_text(const struct site *site, char *buf)
{
	char name[16];

	if (!site->shares.classes)
		return "-";
	if (site->shares.classes == 1)
		return share_class_name(site->shares.size_class, buf);
	snprintf(buf, COLUMN_TEXT_MAX, "%s+%u", share_class_name(site->shares.size_class, name),
		 site->shares.classes - 1);
	return buf;
}

void site_thread(struct strbuf *sb, const struct snapshot *snap, const struct site *site)
{
	if (!site->shares.threads) {
		strbuf_addstr(sb, "-");
		return;
	}
	share_thread_name(sb, snap, site->shares.thread);
	if (site->shares.threads > 1)
		strbuf_addf(sb, " +%u", site->shares.threads - 1);
}

const char *column_text(const struct site *site, enum column column, char buf[COLUMN_TEXT_MAX])
{
	double value = column_value(site, column);

	switch (column) {
	case COLUMN_GROWTH:
		return growth_text(site, buf);
	case COLUMN_CLASS:
		return class_text(site, buf);
	case COLUMN_TEMP:
	case COLUMN_SURE:
		return percent(value, buf);
	case COLUMN_OLDEST:
		return site->m.live_count > 0 ? format_duration_short(value, buf) : "-";
	case COLUMN_BLOCKS:
	case COLUMN_ALLOCS:
	case COLUMN_FREES:
	case COLUMN_RATE:
		return format_count_short(llround(value), buf);
	default:
		return format_bytes_short(llround(value), false, buf);
	}
}

void site_path(struct strbuf *sb, const struct snapshot *snap, const struct snapshot_stack *stack,
	       size_t max)
{
	const struct frame *frames = snapshot_frames(snap, stack);
	uint32_t first = site_frame(snap, stack);

	if (!stack->frame_count)
		strbuf_addstr(sb, "[lost]");
	for (uint32_t i = first; i < stack->frame_count && sb->len < max; i++) {
		if (i > first)
			strbuf_addstr(sb, " < ");
		name_frame_short(sb, &frames[i]);
		if (i == first && (frames[i].function || frames[i].file)) {
			strbuf_addch(sb, ' ');
			name_place(sb, &frames[i]);
		}
	}
}

/* What a line is sorted by; small, for 20,000 of them are moved at each key. */
struct place {
	double value;
	int64_t live_bytes;
	uint64_t id;
	uint32_t number, site;
};

DEFINE_VEC(place_vec, struct place);

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? 1 : -1;
	/* Whatever is equal keeps its place from one refresh to the next. */
	if (x->live_bytes != y->live_bytes)
		return x->live_bytes < y->live_bytes ? 1 : -1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static const char *leaf_name(const struct snapshot *snap, const struct snapshot_stack *stack)
{
	const struct frame *frame = snapshot_frames(snap, stack) + site_frame(snap, stack);

	if (!stack->frame_count)
		return "";
	return frame->function ? frame->function : frame->module;
}

struct named { const struct snapshot *snap; const struct site_vec *sites; };

static int compare_names(const void *a, const void *b, void *arg)
{
	const struct named *named = arg;
	const struct place *x = a, *y = b;
	int order = strcmp(leaf_name(named->snap, named->sites->data[x->site].stack),
			   leaf_name(named->snap, named->sites->data[y->site].stack));

	return order ? order : compare_places(a, b);
}

static void sort_places(struct place_vec *places, const struct snapshot *snap,
			const struct site_vec *sites, enum column column)
{
	struct named named = { snap, sites };

	for (size_t i = 0; i < sites->len; i++) {
		const struct site *site = &sites->data[i];

		place_vec_push(places, (struct place){
			column_value(site, column), site->m.live_bytes, site->stack->id,
			site->number, (uint32_t)i });
	}
	if (column == COLUMN_PATH)
		qsort_r(places->data, places->len, sizeof(*places->data), compare_names, &named);
	else
		qsort(places->data, places->len, sizeof(*places->data), compare_places);
}

void sites_sort(struct site_vec *sites, const struct snapshot *snap, enum column column,
		bool reversed)
{
	struct place_vec places = { 0 };
	struct site_vec sorted = { 0 };

	if (!sites->len)
		return;
	sort_places(&places, snap, sites, column);
	site_vec_reserve(&sorted, sites->len);
	for (size_t i = 0; i < sites->len; i++)
		site_vec_push(&sorted, sites->data[
			places.data[reversed ? sites->len - 1 - i : i].site]);
	place_vec_deinit(&places);
	site_vec_deinit(sites);
	*sites = sorted;
}

void columns_help(FILE *f)
{
	for (int i = 0; i < COLUMNS_COUNT; i++)
		fprintf(f, "  %-14s %s\n", rows[i].header, rows[i].help);
}
