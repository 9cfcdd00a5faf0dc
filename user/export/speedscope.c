// SPDX-License-Identifier: GPL-2.0-or-later
/* Profiles for speedscope; see speedscope.h. */
#include <inttypes.h>

#include "base/format.h"
#include "base/intern.h"
#include "base/strbuf.h"
#include "export/json.h"
#include "export/speedscope.h"
#include "model/calltree.h"

/* Frames are the same by name and file; names of those without one differ by place. */
struct frame_key { const char *function, *module, *file; uint64_t place; };

struct profile {
	FILE *f;
	const struct snapshot *snap;
	const struct metric *metric;
	struct intern frames;
	struct intern firsts;		/* number of a frame -> the first struct frame of it */
};

static size_t frame_number(struct profile *p, const struct frame *frame)
{
	const struct frame_key key = {
		frame->function, frame->module, frame->file,
		frame->function ? 0 : frame->module[0] ? frame->offset : frame->pc,
	};
	uint64_t first = (uintptr_t)frame;
	bool is_new;
	size_t number = intern_put(&p->frames, &key, &is_new);

	if (is_new)
		intern_put(&p->firsts, &first, NULL);
	return number;
}

static const struct frame lost = { .function = "[lost]", .module = "", .path = "",
				   .build_id = "" };

/* Root first, as the format wants it. */
static void put_sample(struct profile *p, const struct snapshot_stack *stack)
{
	const struct frame *frames = snapshot_frames(p->snap, stack);

	fputc('[', p->f);
	if (!stack->frame_count)
		fprintf(p->f, "%zu", frame_number(p, &lost));
	for (uint32_t i = stack->frame_count; i > 0; i--)
		fprintf(p->f, "%zu%s", frame_number(p, &frames[i - 1]), i > 1 ? "," : "");
	fputc(']', p->f);
}

static int64_t weight(const struct profile *p, const struct snapshot_stack *stack, int target)
{
	if (target >= 0 && stack->target != (uint32_t)target)
		return 0;
	return metric_count(p->metric, &stack->m);
}

static void put_samples(struct profile *p, int target)
{
	const char *between = "\n";

	vec_for_each(stack, &p->snap->stacks) {
		if (!weight(p, stack, target))
			continue;
		fputs(between, p->f);
		put_sample(p, stack);
		between = ",\n";
	}
}

/* Returns their sum. */
static int64_t put_weights(struct profile *p, int target)
{
	const char *between = "";
	int64_t sum = 0;

	vec_for_each(stack, &p->snap->stacks) {
		int64_t value = weight(p, stack, target);

		if (!value)
			continue;
		fprintf(p->f, "%s%" PRId64, between, value);
		between = ",";
		sum += value;
	}
	return sum;
}

static void add_profile_name(struct strbuf *sb, const struct profile *p, int target)
{
	if (target < 0)
		strbuf_addf(sb, "all %zu processes", p->snap->targets.len);
	else
		strbuf_addf(sb, "%s (pid %u)", p->snap->targets.data[target].comm,
			    p->snap->targets.data[target].pid);
	strbuf_addf(sb, ": %s", p->metric->name);
}

/* @target: an index, or -1 for all of them. */
static void put_profile(struct profile *p, int target)
{
	struct strbuf name __cleanup_strbuf = { 0 };
	int64_t sum;

	add_profile_name(&name, p, target);
	fputs("{\"type\":\"sampled\",\"name\":", p->f);
	json_put_string(p->f, strbuf_str(&name));
	fprintf(p->f, ",\"unit\":\"%s\",\"startValue\":0,\n\"samples\":[",
		p->metric->unit == UNIT_BYTES ? "bytes" : "none");
	put_samples(p, target);
	fputs("],\n\"weights\":[", p->f);
	sum = put_weights(p, target);
	fprintf(p->f, "],\n\"endValue\":%" PRId64 "}", sum);
}

static void put_profiles(struct profile *p)
{
	int count = (int)p->snap->targets.len;

	fputs(",\n\"profiles\":[\n", p->f);
	if (count > 1) {
		put_profile(p, -1);
		fputs(",\n", p->f);
	}
	for (int i = 0; i < count; i++) {
		put_profile(p, i);
		fputs(i + 1 < count ? ",\n" : "", p->f);
	}
	fputs("]", p->f);
}

static void put_frame(FILE *f, const struct frame *frame)
{
	struct strbuf name __cleanup_strbuf = { 0 };

	frame_name(&name, frame);
	fputs("{\"name\":", f);
	json_put_string(f, strbuf_str(&name));
	/* speedscope colours by file; a module is better than nothing. */
	if (frame->file || frame->path[0]) {
		fputs(",\"file\":", f);
		json_put_string(f, frame->file ? frame->file : frame->path);
	}
	fputc('}', f);
}

static void put_frames(struct profile *p)
{
	const uint64_t *firsts = (const void *)p->firsts.keys;

	fputs(",\n\"shared\":{\"frames\":[", p->f);
	for (size_t i = 0; i < p->firsts.len; i++) {
		fputs(i ? ",\n" : "\n", p->f);
		put_frame(p->f, (const void *)(uintptr_t)firsts[i]);
	}
	fputs("]}", p->f);
}

static void put_about(struct profile *p)
{
	struct strbuf name __cleanup_strbuf = { 0 };
	const struct snapshot_target_vec *targets = &p->snap->targets;
	char duration[FORMAT_MAX];

	if (targets->len == 1)
		strbuf_addstr(&name, targets->data[0].comm);
	else
		strbuf_addf(&name, "%zu processes", targets->len);
	strbuf_addf(&name, ", heap watched for %s%s",
		    format_duration(p->snap->duration_s, duration),
		    p->snap->loss.complete ? "" : " (not complete: some events were lost)");
	fputs("{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n\"name\":",
	      p->f);
	json_put_string(p->f, strbuf_str(&name));
	fputs(",\n\"exporter\":", p->f);
	strbuf_reset(&name);
	strbuf_addf(&name, "heapsonde %s", p->snap->version);
	json_put_string(p->f, strbuf_str(&name));
	fputs(",\n\"activeProfileIndex\":0", p->f);
}

struct error *export_speedscope(const struct snapshot *snap, FILE *f, const char *metric)
{
	struct profile p = { .f = f, .snap = snap };
	struct error *err = metric_find_counting(metric, &p.metric);

	if (err)
		return err;
	intern_init(&p.frames, sizeof(struct frame_key));
	intern_init(&p.firsts, sizeof(uint64_t));
	put_about(&p);
	put_profiles(&p);
	put_frames(&p);
	fputs("}\n", f);
	intern_deinit(&p.frames);
	intern_deinit(&p.firsts);
	return NULL;
}
