// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Flame graphs; see svg.h. The picture is drawn for a page of WIDTH pixels;
 * the same boxes, and those too narrow for it, follow as numbers, from which
 * the script draws for the window it finds itself in.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/format.h"
#include "base/intern.h"
#include "base/strbuf.h"
#include "export/flame.h"
#include "export/svg.h"
#include "model/calltree.h"
#include "model/module_kind.h"

#define WIDTH 1200
#define PAD 10
#define TOP 66			/* above the boxes: title, what is shown, losses */
#define BOTTOM 44		/* below them: legend and note */
#define ROW 18
#define BOX 17
#define GAP 0.8
#define CHARACTER 6.95		/* pixels; the font is monospaced */
#define NARROWEST 0.4		/* pixels; narrower boxes are not drawn ... */
#define DRAWN_MAX 8000		/* ... nor are more than these in the still picture */
#define BOXES_MAX 40000		/* in the data; they take some 25 bytes each */
#define SHADES 3

/* The files beside this one; the Makefile knows that they are read here. */
#define TEXT_FILE(symbol, path)						\
	__asm__(".pushsection .rodata\n"				\
		#symbol ":\n\t.incbin \"" path "\"\n\t.byte 0\n"	\
		".popsection\n");					\
	extern const char symbol[] __attribute__((visibility("hidden")))

TEXT_FILE(svg_style, "user/export/svg/graph.css");
TEXT_FILE(svg_script, "user/export/svg/graph.js");

struct graph {
	FILE *f;
	const struct svg_options *options;
	const struct metric *metric;
	const struct snapshot *snap;	/* whose targets are named; of a comparison the new one */
	const struct diff *diff;	/* NULL: no comparison */
	struct calltree *tree;
	struct flame flame;
	double narrowest;		/* pixels; of the still picture */
	double change_max;		/* of a comparison: the largest of a node, up or down */
};

/* Text */

/* For XML, with what could drive a terminal or end the document made visible. */
static void add_text(struct strbuf *sb, const char *s)
{
	struct strbuf escaped __cleanup_strbuf = { 0 };

	format_escaped(&escaped, s);
	for (const char *p = strbuf_str(&escaped); *p; p++) {
		switch (*p) {
		case '\xef':
			/* XML has no U+FFFE and U+FFFF. */
			if (!strncmp(p, "\xef\xbf\xbe", 3) || !strncmp(p, "\xef\xbf\xbf", 3)) {
				strbuf_addstr(sb, "\ufffd");
				p += 2;
				break;
			}
			strbuf_addch(sb, *p);
			break;
		case '&':
			strbuf_addstr(sb, "&amp;");
			break;
		case '<':
			strbuf_addstr(sb, "&lt;");
			break;
		case '>':
			strbuf_addstr(sb, "&gt;");
			break;
		case '"':
			strbuf_addstr(sb, "&quot;");
			break;
		default:
			strbuf_addch(sb, *p);
		}
	}
}

static void put_text(FILE *f, const char *s)
{
	struct strbuf sb __cleanup_strbuf = { 0 };

	add_text(&sb, s);
	fputs(strbuf_str(&sb), f);
}

/* A JSON string within XML. */
static void put_string(FILE *f, const char *s)
{
	struct strbuf quoted __cleanup_strbuf = { 0 }, escaped __cleanup_strbuf = { 0 };

	format_escaped(&escaped, s);
	for (const char *p = strbuf_str(&escaped); *p; p++) {
		if (*p == '"' || *p == '\\')
			strbuf_addch(&quoted, '\\');
		strbuf_addch(&quoted, *p);
	}
	fputc('"', f);
	put_text(f, strbuf_str(&quoted));
	fputc('"', f);
}

static const char *quantity(const struct graph *graph, double value, char buf[FORMAT_MAX])
{
	if (graph->metric->unit == UNIT_BYTES)
		return format_bytes((int64_t)value, buf);
	return format_count((int64_t)value, buf);
}

/* "live_bytes" as people say it. */
static void add_words(struct strbuf *sb, const char *metric)
{
	for (; *metric; metric++)
		strbuf_addch(sb, *metric == '_' ? ' ' : *metric);
}

/* The characters of @s, at most @room; "…" stands for the rest. */
static void add_cut(struct strbuf *sb, const char *s, size_t room)
{
	size_t count = 0;
	const char *last = s;

	for (const char *p = s; *p; p++) {
		if ((*p & 0xc0) == 0x80)
			continue;
		count++;
		if (count == room)
			last = p;
	}
	if (count <= room) {
		strbuf_addstr(sb, s);
		return;
	}
	strbuf_add(sb, s, (size_t)(last - s));
	strbuf_addstr(sb, "\u2026");
}

/* Boxes */

static const struct calltree_node *node_of(const struct graph *graph, const struct flame_box *box)
{
	return &graph->tree->nodes.data[box->node];
}

static double change_of(const struct calltree_node *node)
{
	return node->now.total - node->old.total;
}

/* By fourths, so drawn that a small change is seen beside a large one. */
static void change_class(const struct graph *graph, const struct calltree_node *node,
			 char class[8])
{
	double change = change_of(node);
	int strength = graph->change_max > 0 ?
		(int)ceil(4 * sqrt(fabs(change) / graph->change_max)) : 0;

	snprintf(class, 8, "%c%d", strength ? change > 0 ? 'g' : 's' : 'd', strength);
}

/* Of a module's kind; which shade is told by the name, the same in every picture. */
static void label_class(const struct graph *graph, const struct calltree_label *label,
			char class[24])
{
	if (!label->frame)
		snprintf(class, 24, "all");
	else
		snprintf(class, 24, "k%ds%d%s", (int)module_kind_of(graph->snap, label->frame),
			 (int)(label->hash >> 16 & 0xffff) % SHADES,
			 label->frame->function ? "" : " nameless");
}

/* What stands in a box that has room for @room characters; "" in a small one. */
static void add_box_name(struct strbuf *sb, const char *name, double room)
{
	struct strbuf shown __cleanup_strbuf = { 0 }, escaped __cleanup_strbuf = { 0 };

	if (room < 3)
		return;
	format_escaped(&escaped, name);
	if (escaped.len > room)
		flame_short_name(&shown, strbuf_str(&escaped));
	else
		strbuf_addstr(&shown, strbuf_str(&escaped));
	add_cut(sb, strbuf_str(&shown), (size_t)room);
}

static void put_box_title(const struct graph *graph, const struct flame_box *box)
{
	const struct calltree_label *label = calltree_label(graph->tree, box->node);
	const struct calltree_node *node = node_of(graph, box);
	char now[FORMAT_MAX], old[FORMAT_MAX];

	fputs("<title>", graph->f);
	put_text(graph->f, label->name);
	if (label->frame && label->frame->function && label->frame->module[0]) {
		fputs("\n", graph->f);
		put_text(graph->f, label->frame->module);
	}
	if (graph->diff)
		fprintf(graph->f, "\n%s \u2192 %s", quantity(graph, node->old.total, old),
			quantity(graph, node->now.total, now));
	else
		fprintf(graph->f, "\n%s, %.1f %%", quantity(graph, node->now.total, now),
			100 * node->now.total / graph->flame.width);
	fputs("</title>", graph->f);
}

static void put_box(const struct graph *graph, const struct flame_box *box, uint32_t rows)
{
	double scale = (WIDTH - 2 * PAD) / graph->flame.width, width = box->width * scale;
	uint32_t row = graph->options->icicle ? box->depth : rows - 1 - box->depth;
	const struct calltree_label *label = calltree_label(graph->tree, box->node);
	struct strbuf name __cleanup_strbuf = { 0 };
	double x = PAD + box->x * scale;
	uint32_t y = TOP + ROW * row;
	char class[24];

	if (graph->diff)
		change_class(graph, node_of(graph, box), class);
	else
		label_class(graph, label, class);
	fprintf(graph->f, "<g class=\"b %s\">", class);
	if (width > 3)
		put_box_title(graph, box);
	/* Neighbours stand apart, unless that would leave nothing of them. */
	fprintf(graph->f, "<rect x=\"%.1f\" y=\"%u\" width=\"%.1f\" height=\"%d\"%s/>", x, y,
		width > 3 ? width - GAP : width, BOX, width > 6 ? " rx=\"2\"" : "");
	add_box_name(&name, label->name, floor((width - 6) / CHARACTER));
	if (name.len) {
		fprintf(graph->f, "<text x=\"%.1f\" y=\"%.1f\">", x + 4, y + 12.5);
		put_text(graph->f, strbuf_str(&name));
		fputs("</text>", graph->f);
	}
	fputs("</g>\n", graph->f);
}

static bool is_drawn(const struct graph *graph, const struct flame_box *box)
{
	return box->width * (WIDTH - 2 * PAD) >= graph->narrowest * graph->flame.width;
}

/* The narrowest box to be drawn: hair-thin ones say least and are most of a file. */
static void choose_narrowest(struct graph *graph)
{
	size_t drawn = SIZE_MAX;

	for (graph->narrowest = NARROWEST; drawn > DRAWN_MAX; graph->narrowest += 0.1) {
		drawn = 0;
		vec_for_each(box, &graph->flame.boxes)
			drawn += is_drawn(graph, box);
	}
	graph->narrowest -= 0.1;
}

static uint32_t count_rows(const struct graph *graph)
{
	uint32_t depth = 0;

	vec_for_each(box, &graph->flame.boxes)
		if (is_drawn(graph, box) && box->depth > depth)
			depth = box->depth;
	return depth + 1;
}

static void put_boxes(const struct graph *graph, uint32_t rows)
{
	fputs("<g id=\"boxes\">\n", graph->f);
	if (graph->flame.width > 0)
		vec_for_each(box, &graph->flame.boxes)
			if (is_drawn(graph, box))
				put_box(graph, box, rows);
	fputs("</g>\n", graph->f);
}

/* What stands around them */

static void add_whose(struct strbuf *sb, const struct snapshot *snap)
{
	if (snap->targets.len == 1)
		format_escaped(sb, snap->targets.data[0].comm);
	else
		strbuf_addf(sb, "%zu processes", snap->targets.len);
}

static double metric_total(const struct graph *graph, const struct snapshot *snap)
{
	return metric_value(graph->metric, &snap->totals.m);
}

static void put_title(const struct graph *graph)
{
	struct strbuf title __cleanup_strbuf = { 0 };
	char now[FORMAT_MAX], old[FORMAT_MAX], change[FORMAT_MAX];

	strbuf_addstr(&title, graph->diff ? "What changed in the heap of " : "Heap of ");
	add_whose(&title, graph->snap);
	strbuf_addstr(&title, ": ");
	add_words(&title, graph->metric->name);
	quantity(graph, metric_total(graph, graph->snap), now);
	if (graph->diff) {
		double before = metric_total(graph, graph->diff->old);
		double delta = metric_total(graph, graph->snap) - before;

		strbuf_addf(&title, " %s \u2192 %s (%s%s)", quantity(graph, before, old), now,
			    delta > 0 ? "+" : "", quantity(graph, delta, change));
	} else {
		strbuf_addf(&title, " %s", now);
	}
	fprintf(graph->f, "<text class=\"title\" x=\"%d\" y=\"26\">", PAD);
	put_text(graph->f, strbuf_str(&title));
	fputs("</text>\n", graph->f);
}

static void add_watched(struct strbuf *sb, const struct snapshot *snap)
{
	char buf[FORMAT_MAX];

	if (snap->targets.len == 1)
		strbuf_addf(sb, "pid %u, ", snap->targets.data[0].pid);
	strbuf_addf(sb, "watched for %s, %s level", format_duration(snap->duration_s, buf),
		    snap->mode);
	if (snap->sample_bytes >= 0)
		strbuf_addf(sb, " (estimates from samples every %s)",
			    format_bytes(snap->sample_bytes, buf));
}

static void put_about(const struct graph *graph)
{
	struct strbuf about __cleanup_strbuf = { 0 };

	strbuf_addf(&about, "%s; ", graph->metric->help);
	if (graph->diff) {
		strbuf_addstr(&about, "before: ");
		add_watched(&about, graph->diff->old);
		strbuf_addstr(&about, "; after: ");
	}
	add_watched(&about, graph->snap);
	fprintf(graph->f, "<text class=\"about\" x=\"%d\" y=\"44\">", PAD);
	put_text(graph->f, strbuf_str(&about));
	fputs("</text>\n", graph->f);
}

static void add_loss(struct strbuf *sb, int64_t count, const char *what)
{
	if (count)
		strbuf_addf(sb, "%s %" PRId64 " %s", sb->len ? "," : "", count, what);
}

static void put_loss(const struct graph *graph, const struct snapshot *snap, const char *which)
{
	const struct snapshot_loss *loss = &snap->loss;
	struct strbuf sb __cleanup_strbuf = { 0 };

	if (loss->complete)
		return;
	add_loss(&sb, loss->dropped_events, "events dropped");
	add_loss(&sb, loss->dropped_stacks, "stacks dropped");
	add_loss(&sb, loss->untracked_allocs, "allocations not tracked");
	add_loss(&sb, loss->missed_probes, "probes missed");
	fprintf(graph->f, "<text class=\"lost\" x=\"%d\" y=\"60\">Not complete%s:%s</text>\n", PAD,
		which, sb.len ? strbuf_str(&sb) : " some numbers are not exact");
}

static void put_losses(const struct graph *graph)
{
	put_loss(graph, graph->snap, "");
	if (graph->diff && graph->snap->loss.complete)
		put_loss(graph, graph->diff->old, " before");
}

static void put_swatch(FILE *f, double x, const char *class, const char *name)
{
	fprintf(f, "<g class=\"b %s\"><rect x=\"%.0f\" y=\"8\" width=\"14\" height=\"11\""
		" rx=\"2\"/></g>", class, x);
	if (name)
		fprintf(f, "<text class=\"key\" x=\"%.0f\" y=\"17.5\">%s</text>", x + 19, name);
	fputc('\n', f);
}

static void put_kinds(const struct graph *graph)
{
	double x = PAD;

	for (int kind = 0; kind < MODULE_KINDS_COUNT; kind++) {
		const char *name = module_kind_name(kind);
		char class[8];

		snprintf(class, sizeof(class), "k%ds0", kind);
		put_swatch(graph->f, x, class, name);
		x += 19 + 18 + 6.3 * (double)strlen(name);
	}
}

static void put_change_scale(const struct graph *graph)
{
	static const char *const classes[] = {
		"s4", "s3", "s2", "s1", "d0", "g1", "g2", "g3", "g4",
	};
	char buf[FORMAT_MAX];
	double x = PAD;

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++, x += 16)
		put_swatch(graph->f, x, classes[i], NULL);
	fprintf(graph->f, "<text class=\"key\" x=\"%.0f\" y=\"17.5\">blue shrank, red grew, "
		"at most by %s; a box is as wide as the larger of before and after</text>\n",
		x + 6, quantity(graph, graph->change_max, buf));
}

/* What the picture leaves out; with a script, what is not there even then. */
static void add_note(const struct graph *graph, bool script, struct strbuf *sb)
{
	const struct flame *flame = &graph->flame;
	char buf[FORMAT_MAX];

	if (flame->left_out)
		strbuf_addf(sb, "%u of %zu frames are not in this file, being below %.2g %% each: "
			    "%s in all. ", flame->left_out, graph->tree->nodes.len,
			    100 * flame->narrowest / flame->width,
			    quantity(graph, flame->left_out_width, buf));
	strbuf_addf(sb, "Frames narrower than %.1f pixels are not drawn%s.",
		    script ? NARROWEST : graph->narrowest, script ? " until zoomed" : "");
	strbuf_addf(sb, " heapsonde %s", graph->snap->version);
}

static void put_legend(const struct graph *graph, uint32_t rows)
{
	struct strbuf note __cleanup_strbuf = { 0 };

	fprintf(graph->f, "<g id=\"legend\" transform=\"translate(0 %u)\">\n", TOP + rows * ROW);
	if (graph->diff)
		put_change_scale(graph);
	else
		put_kinds(graph);
	add_note(graph, false, &note);
	fprintf(graph->f, "<text id=\"note\" class=\"note\" x=\"%d\" y=\"35\">", PAD);
	put_text(graph->f, strbuf_str(&note));
	fputs("</text>\n</g>\n", graph->f);
}

static void put_empty(const struct graph *graph)
{
	if (graph->flame.width > 0)
		return;
	fprintf(graph->f, "<text class=\"about\" x=\"%d\" y=\"%d\">There is nothing to show: "
		"no call path has any %s.</text>\n", PAD + 4, TOP + 13,
		graph->metric->unit == UNIT_BYTES ? "bytes of it" : "of it");
}

/* Data for the script */

/* The script gets numbers for texts; they are told apart by their pointers. */
static int64_t text_number(struct intern *texts, const char *s)
{
	uint64_t key = (uintptr_t)s;

	return s && *s ? (int64_t)intern_put(texts, &key, NULL) : -1;
}

static void put_texts(FILE *f, const char *name, const struct intern *texts)
{
	const uint64_t *keys = (const void *)texts->keys;

	fprintf(f, ",\n\"%s\":[", name);
	for (size_t i = 0; i < texts->len; i++) {
		fputs(i ? ",\n" : "\n", f);
		put_string(f, (const char *)(uintptr_t)keys[i]);
	}
	fputs("]", f);
}

/* [name, its short form or 0, class, module, file] */
static void put_label(const struct graph *graph, const struct calltree_label *label,
		      struct intern *modules, struct intern *files)
{
	struct strbuf short_name __cleanup_strbuf = { 0 };
	const struct frame *frame = label->frame;
	char class[24];

	fputc('[', graph->f);
	put_string(graph->f, label->name);
	flame_short_name(&short_name, label->name);
	fputc(',', graph->f);
	if (strcmp(strbuf_str(&short_name), label->name))
		put_string(graph->f, strbuf_str(&short_name));
	else
		fputc('0', graph->f);
	label_class(graph, label, class);
	fprintf(graph->f, ",\"%s\",%" PRId64 ",%" PRId64 "]", class,
		text_number(modules, frame ? frame->path[0] ? frame->path : frame->module : NULL),
		text_number(files, frame ? frame->file : NULL));
}

static void put_labels(const struct graph *graph, const struct intern *labels)
{
	struct intern modules, files;
	const uint64_t *keys = (const void *)labels->keys;

	intern_init(&modules, sizeof(uint64_t));
	intern_init(&files, sizeof(uint64_t));
	fputs(",\n\"labels\":[", graph->f);
	for (size_t i = 0; i < labels->len; i++) {
		fputs(i ? ",\n" : "\n", graph->f);
		put_label(graph, &graph->tree->labels.data[keys[i]], &modules, &files);
	}
	fputs("]", graph->f);
	put_texts(graph->f, "modules", &modules);
	put_texts(graph->f, "files", &files);
	intern_deinit(&modules);
	intern_deinit(&files);
}

/* depth, label, x, width, self; of a comparison now, old, class too */
static void put_numbers(const struct graph *graph, const struct flame_box *box, size_t label)
{
	const struct calltree_node *node = node_of(graph, box);
	char class[8];

	fprintf(graph->f, "%u,%zu,%.0f,%.0f,%.0f", box->depth, label, box->x, box->width,
		node->now.self);
	if (!graph->diff)
		return;
	change_class(graph, node, class);
	fprintf(graph->f, ",%.0f,%.0f,\"%s\"", node->now.total, node->old.total, class);
}

static void put_data(const struct graph *graph)
{
	struct strbuf note __cleanup_strbuf = { 0 };
	struct intern labels;

	intern_init(&labels, sizeof(uint64_t));
	fprintf(graph->f, "<script type=\"application/json\" id=\"data\">\n{\"unit\":\"%s\","
		"\"comparison\":%s,\"icicle\":%s,\n\"layout\":{\"pad\":%d,\"top\":%d,"
		"\"bottom\":%d,\"row\":%d,\"box\":%d,\"gap\":%.1f,"
		"\"character\":%.2f,\"narrowest\":%.1f},\n",
		graph->metric->unit == UNIT_BYTES ? "bytes" : "count",
		graph->diff ? "true" : "false", graph->options->icicle ? "true" : "false",
		PAD, TOP, BOTTOM, ROW, BOX, GAP, CHARACTER, NARROWEST);
	fputs("\"note\":", graph->f);
	add_note(graph, true, &note);
	put_string(graph->f, strbuf_str(&note));
	fputs(",\n\"boxes\":[", graph->f);
	vec_for_each(box, &graph->flame.boxes) {
		uint64_t key = node_of(graph, box)->label;

		fputs(box == graph->flame.boxes.data ? "\n" : ",\n", graph->f);
		put_numbers(graph, box, intern_put(&labels, &key, NULL));
	}
	fputs("]", graph->f);
	put_labels(graph, &labels);
	fputs("}\n</script>\n", graph->f);
	intern_deinit(&labels);
}

/* Stays in sight when the page is scrolled; the script shows the controls. */
static void put_head(const struct graph *graph)
{
	fprintf(graph->f, "<g id=\"head\"><rect class=\"paper\" width=\"100%%\" height=\"%d\"/>\n",
		TOP - 2);
	put_title(graph);
	put_about(graph);
	put_losses(graph);
	fputs("<foreignObject id=\"controls\" x=\"730\" y=\"8\" width=\"460\" height=\"54\""
	      " visibility=\"hidden\"><div xmlns=\"http://www.w3.org/1999/xhtml\">"
	      "<div class=\"bar\"><button id=\"reset\" hidden=\"hidden\">Reset zoom</button>"
	      "<button id=\"flip\" title=\"Turn it upside down\">Icicle</button>"
	      "<input id=\"find\" type=\"search\" placeholder=\"Search (Ctrl-F), regex\""
	      " title=\"Function, module or file; capitals count if there are any\"/></div>"
	      "<div class=\"matched\" id=\"matched\"></div></div></foreignObject>\n"
	      "</g>\n<g id=\"tip\" class=\"tip\"></g>\n", graph->f);
}

static void put_document(const struct graph *graph)
{
	uint32_t rows = count_rows(graph), height = TOP + rows * ROW + BOTTOM;
	FILE *f = graph->f;

	fprintf(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\""
		" viewBox=\"0 0 %d %u\">\n<title>heapsonde: ", WIDTH, height, WIDTH, height);
	put_text(f, graph->snap->targets.len ? graph->snap->targets.data[0].comm : "nothing");
	fprintf(f, "</title>\n<style>\n%s</style>\n<rect id=\"paper\" class=\"paper\""
		" width=\"%d\" height=\"%u\"/>\n", svg_style, WIDTH, height);
	put_boxes(graph, rows);
	put_empty(graph);
	put_legend(graph, rows);
	put_head(graph);
	put_data(graph);
	fprintf(f, "<script><![CDATA[\n%s]]></script>\n</svg>\n", svg_script);
}

static void draw(struct graph *graph)
{
	const struct snapshot_target_vec *targets = &graph->snap->targets;

	if (targets->len == 1)
		graph->tree->labels.data[CALLTREE_ROOT].name = targets->data[0].comm;
	flame_init(&graph->flame, graph->tree, BOXES_MAX);
	choose_narrowest(graph);
	put_document(graph);
	flame_deinit(&graph->flame);
}

struct error *export_svg(const struct snapshot *snap, FILE *f, const struct svg_options *options)
{
	struct calltree *tree __cleanup(calltree_destroyp) = NULL;
	struct graph graph = { .f = f, .options = options, .snap = snap };
	struct error *err = metric_find_counting(options->metric, &graph.metric);

	if (!err)
		err = calltree_of_snapshot(snap, &(struct calltree_settings){
			.metric = options->metric, .inverted = options->inverted,
			.by_target = snap->targets.len > 1 }, &tree);
	if (err)
		return err;
	graph.tree = tree;
	draw(&graph);
	return NULL;
}

static void add_row(struct calltree *tree, const struct metric *metric,
		    const struct diff_row *row, bool by_target)
{
	const char *comm = row->of->targets.data[row->stack->target].comm;
	double now = metric_value(metric, &row->new), old = metric_value(metric, &row->old);

	if (now || old)
		calltree_add(tree, snapshot_frames(row->of, row->stack), row->stack->frame_count,
			     by_target ? comm : NULL, now, old);
}

struct error *export_svg_diff(const struct diff *diff, FILE *f, const struct svg_options *options)
{
	struct calltree *tree __cleanup(calltree_destroyp) = calltree_create(options->inverted);
	struct graph graph = { .f = f, .options = options, .snap = diff->new, .diff = diff,
			       .tree = tree };
	struct error *err = metric_find_counting(diff->metric, &graph.metric);

	if (err)
		return err;
	vec_for_each(row, &diff->rows)
		add_row(tree, graph.metric, row,
			diff->old->targets.len > 1 || diff->new->targets.len > 1);
	calltree_finish(tree);
	vec_for_each(node, &tree->nodes)
		graph.change_max = fmax(graph.change_max, fabs(change_of(node)));
	draw(&graph);
	return NULL;
}
