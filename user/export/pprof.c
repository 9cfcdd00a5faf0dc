// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Profiles for pprof; see pprof.h. Everything gets its number at first use;
 * messages lie in vectors of their own and are handed to protobuf-c by pointers
 * once all are there.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "base/format.h"
#include "base/intern.h"
#include "base/strbuf.h"
#include "base/strpool.h"
#include "export/pprof.h"
#include "model/calltree.h"
#include "user/export/profile.pb-c.h"

#define PAGE 4096
#define VALUES_MAX 5

typedef Pprof__Profile profile_msg;
typedef Pprof__ValueType value_type_msg;
typedef Pprof__Sample sample_msg;
typedef Pprof__Label label_msg;
typedef Pprof__Mapping mapping_msg;
typedef Pprof__Location location_msg;
typedef Pprof__Line line_msg;
typedef Pprof__Function function_msg;

DEFINE_VEC(text_vec, char *);
DEFINE_VEC(sample_msg_vec, sample_msg);
DEFINE_VEC(label_msg_vec, label_msg);
DEFINE_VEC(mapping_msg_vec, mapping_msg);
DEFINE_VEC(location_msg_vec, location_msg);
DEFINE_VEC(line_msg_vec, line_msg);
DEFINE_VEC(function_msg_vec, function_msg);
DEFINE_VEC(number_vec, uint64_t);
DEFINE_VEC(value_vec, int64_t);

/* What makes each thing the same; see intern.h. */
struct function_key { const char *function, *raw, *module, *file; uint64_t place; };
struct mapping_key { const char *path, *build_id; uint64_t start, target; };
struct location_key { const char *inner, *outer; uint64_t mapping, pc, line; };

struct builder {
	const struct snapshot *snap;
	const struct metric *values[VALUES_MAX];
	size_t values_count;
	struct strpool *pool;
	struct intern text_numbers, functions_known, mappings_known, locations_known;
	struct text_vec texts;
	struct function_msg_vec functions;
	struct mapping_msg_vec mappings;
	struct location_msg_vec locations;
	struct line_msg_vec lines;
	struct sample_msg_vec samples;
	struct label_msg_vec labels;
	struct number_vec ids;		/* of all samples */
	struct value_vec numbers, comments;
};

static void builder_init(struct builder *b, const struct snapshot *snap)
{
	*b = (struct builder){ .snap = snap, .pool = strpool_create() };
	text_vec_push(&b->texts, (char *)"");
	intern_init(&b->text_numbers, sizeof(uint64_t));
	intern_init(&b->functions_known, sizeof(struct function_key));
	intern_init(&b->mappings_known, sizeof(struct mapping_key));
	intern_init(&b->locations_known, sizeof(struct location_key));
}

static void builder_deinit(struct builder *b)
{
	strpool_destroy(b->pool);
	intern_deinit(&b->text_numbers);
	intern_deinit(&b->functions_known);
	intern_deinit(&b->mappings_known);
	intern_deinit(&b->locations_known);
	text_vec_deinit(&b->texts);
	function_msg_vec_deinit(&b->functions);
	mapping_msg_vec_deinit(&b->mappings);
	location_msg_vec_deinit(&b->locations);
	line_msg_vec_deinit(&b->lines);
	sample_msg_vec_deinit(&b->samples);
	label_msg_vec_deinit(&b->labels);
	number_vec_deinit(&b->ids);
	value_vec_deinit(&b->numbers);
	value_vec_deinit(&b->comments);
}

/* Texts are told apart by their pointers; escaped ones are UTF-8 and drive no terminal. */
static int64_t text(struct builder *b, const char *s)
{
	struct strbuf escaped __cleanup_strbuf = { 0 };
	uint64_t key = (uintptr_t)s;
	bool is_new;
	size_t number;

	if (!s || !*s)
		return 0;
	number = intern_put(&b->text_numbers, &key, &is_new);
	if (is_new) {
		format_escaped(&escaped, s);
		text_vec_push(&b->texts, (char *)strpool_intern(b->pool, strbuf_str(&escaped)));
	}
	return (int64_t)number + 1;	/* behind "" */
}

static const char *frame_text(struct builder *b, const struct frame *frame)
{
	struct strbuf name __cleanup_strbuf = { 0 };

	if (frame->function)
		return frame->function;
	frame_name(&name, frame);
	return strpool_intern(b->pool, strbuf_str(&name));
}

static uint64_t function_id(struct builder *b, const struct frame *frame)
{
	const struct function_key key = {
		frame->function, frame->raw, frame->module, frame->file,
		frame->function ? 0 : frame->module[0] ? frame->offset : frame->pc,
	};
	function_msg function = PPROF__FUNCTION__INIT;
	bool is_new;
	size_t number = intern_put(&b->functions_known, &key, &is_new);

	if (!is_new)
		return number + 1;
	function.id = number + 1;
	function.name = text(b, frame_text(b, frame));
	function.system_name = frame->raw ? text(b, frame->raw) : function.name;
	function.filename = text(b, frame->file);
	function.start_line = frame->start_line;
	function_msg_vec_push(&b->functions, function);
	return function.id;
}

/* 0 for what lies in no object. */
static uint64_t mapping_id(struct builder *b, const struct frame *frame, uint32_t target)
{
	const struct mapping_key key = {
		frame->path, frame->build_id, frame->pc - frame->offset, target,
	};
	mapping_msg mapping = PPROF__MAPPING__INIT;
	bool is_new;
	size_t number;

	if (!frame->module[0])
		return 0;
	number = intern_put(&b->mappings_known, &key, &is_new);
	if (!is_new)
		return number + 1;
	mapping.id = number + 1;
	mapping.memory_start = key.start;
	mapping.filename = text(b, frame->path[0] ? frame->path : frame->module);
	mapping.build_id = text(b, frame->build_id);
	mapping.has_functions = true;
	mapping_msg_vec_push(&b->mappings, mapping);
	return mapping.id;
}

static void mapping_note(mapping_msg *mapping, const struct frame *frame)
{
	uint64_t limit = frame->pc / PAGE * PAGE + PAGE;

	if (limit > mapping->memory_limit)
		mapping->memory_limit = limit;
	mapping->has_filenames |= frame->file != NULL;
	mapping->has_line_numbers |= frame->line != 0;
	mapping->has_inline_frames |= frame->inlined;
}

/* How many frames share the first one's address: those inlined there, and their caller. */
static uint32_t frames_at_one_address(const struct frame *frames, uint32_t count)
{
	uint32_t n = 1;

	while (n < count && frames[n - 1].inlined && frames[n].pc == frames[0].pc)
		n++;
	return n;
}

static void add_location(struct builder *b, const struct frame *frames, uint32_t count,
			 uint64_t mapping)
{
	location_msg location = PPROF__LOCATION__INIT;

	location.id = b->locations.len + 1;
	location.mapping_id = mapping;
	/* Inside the call, not behind it: where its line is. */
	location.address = frames[0].pc ? frames[0].pc - 1 : 0;
	location.n_line = count;
	location_msg_vec_push(&b->locations, location);
	for (uint32_t i = 0; i < count; i++) {
		line_msg line = PPROF__LINE__INIT;

		line.function_id = function_id(b, &frames[i]);
		line.line = frames[i].line;
		line.column = frames[i].column;
		line_msg_vec_push(&b->lines, line);
	}
}

static uint64_t location_id(struct builder *b, const struct frame *frames, uint32_t count,
			    uint32_t target)
{
	const struct frame *outer = &frames[count - 1];
	struct location_key key = {
		frames->function, outer->function, mapping_id(b, outer, target), frames->pc,
		(uint64_t)count << 32 | frames->line,
	};
	bool is_new;
	size_t number = intern_put(&b->locations_known, &key, &is_new);

	if (is_new) {
		add_location(b, frames, count, key.mapping);
		if (key.mapping)
			for (uint32_t i = 0; i < count; i++)
				mapping_note(&b->mappings.data[key.mapping - 1], &frames[i]);
	}
	return number + 1;
}

static void add_label(struct builder *b, const char *key, const char *str, int64_t num)
{
	label_msg label = PPROF__LABEL__INIT;

	label.key = text(b, key);
	label.str = text(b, str);
	label.num = num;
	label_msg_vec_push(&b->labels, label);
}

/* The root of a goroutine's stack calls nothing and tells nothing: Go's profiles lack it. */
static uint32_t frames_shown(const struct frame *frames, uint32_t count)
{
	const char *root = count > 1 ? frames[count - 1].function : NULL;

	return root && !strcmp(root, "runtime.goexit") ? count - 1 : count;
}

static void add_sample(struct builder *b, const struct snapshot_stack *stack)
{
	const struct snapshot_target *target = &b->snap->targets.data[stack->target];
	const struct frame *frames = snapshot_frames(b->snap, stack);
	uint32_t count = frames_shown(frames, stack->frame_count);
	const char *type = snapshot_stack_type(b->snap, stack);
	sample_msg sample = PPROF__SAMPLE__INIT;
	size_t labels;

	for (uint32_t i = 0, n; i < count; i += n) {
		n = frames_at_one_address(frames + i, count - i);
		number_vec_push(&b->ids, location_id(b, frames + i, n, stack->target));
		sample.n_location_id++;
	}
	if (!count) {
		static const struct frame lost = { .function = "[lost]", .module = "", .path = "",
						   .build_id = "" };

		number_vec_push(&b->ids, location_id(b, &lost, 1, stack->target));
		sample.n_location_id = 1;
	}
	for (size_t i = 0; i < b->values_count; i++)
		value_vec_push(&b->numbers, metric_count(b->values[i], &stack->m));
	labels = b->labels.len;
	add_label(b, "kind", memory_kind_name(stack->kind), 0);
	add_label(b, "pid", NULL, target->pid);
	add_label(b, "comm", target->comm, 0);
	if (type)
		add_label(b, "type", type, 0);
	sample.n_value = b->values_count;
	sample.n_label = b->labels.len - labels;
	sample_msg_vec_push(&b->samples, sample);
}

/* pprof names a profile after its first mapping: the program's. */
static void add_programs(struct builder *b)
{
	vec_for_each(stack, &b->snap->stacks) {
		const char *exe = b->snap->targets.data[stack->target].exe;
		const struct frame *frames = snapshot_frames(b->snap, stack);

		for (uint32_t i = stack->frame_count; i > 0; i--) {
			if (strcmp(frames[i - 1].path, exe))
				continue;
			mapping_id(b, &frames[i - 1], stack->target);
			return;
		}
	}
}

/* protobuf-c takes messages by arrays of pointers. The caller frees them. */
#define POINTERS(name)							\
	static name **name##_pointers(const struct name##_vec *v)	\
	{								\
		name **pointers = xcalloc(v->len ? v->len : 1, sizeof(*pointers)); \
									\
		for (size_t i = 0; i < v->len; i++)			\
			pointers[i] = &v->data[i];			\
		return pointers;					\
	}								\
	struct semicolon_follows

POINTERS(sample_msg);
POINTERS(label_msg);
POINTERS(mapping_msg);
POINTERS(location_msg);
POINTERS(line_msg);
POINTERS(function_msg);

/* Messages point to what is theirs, now that nothing moves any more. */
static void connect_messages(struct builder *b, line_msg **lines, label_msg **labels)
{
	uint64_t *ids = b->ids.data;
	int64_t *numbers = b->numbers.data;

	vec_for_each(location, &b->locations) {
		location->line = lines;
		lines += location->n_line;
	}
	vec_for_each(sample, &b->samples) {
		sample->label = labels;
		labels += sample->n_label;
		sample->location_id = ids;
		ids += sample->n_location_id;
		sample->value = numbers;
		numbers += sample->n_value;
	}
}

static struct error *put_gzipped(const void *data, size_t len, FILE *f)
{
	z_stream z = { .next_in = (void *)data, .avail_in = (uInt)len };
	unsigned char *out __cleanup_free = NULL;
	size_t size;

	if (len > UINT32_MAX / 2)
		return error_create(ERROR_UNSUPPORTED, "a profile of %zu bytes is too large", len);
	/* 16 more than the window's bits: with gzip's header. */
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return error_create(ERROR_UNSUPPORTED, "zlib cannot begin to compress");
	size = deflateBound(&z, len);
	out = xmalloc(size);
	z.next_out = out;
	z.avail_out = (uInt)size;
	deflate(&z, Z_FINISH);
	fwrite(out, 1, size - z.avail_out, f);
	deflateEnd(&z);
	return NULL;
}

static struct error *write_profile(struct builder *b, profile_msg *profile, FILE *f)
{
	line_msg **lines __cleanup_free = line_msg_pointers(&b->lines);
	label_msg **labels __cleanup_free = label_msg_pointers(&b->labels);
	sample_msg **samples __cleanup_free = sample_msg_pointers(&b->samples);
	mapping_msg **mappings __cleanup_free = mapping_msg_pointers(&b->mappings);
	location_msg **locations __cleanup_free = location_msg_pointers(&b->locations);
	function_msg **functions __cleanup_free = function_msg_pointers(&b->functions);
	unsigned char *packed __cleanup_free = NULL;

	connect_messages(b, lines, labels);
	profile->n_sample = b->samples.len;
	profile->sample = samples;
	profile->n_mapping = b->mappings.len;
	profile->mapping = mappings;
	profile->n_location = b->locations.len;
	profile->location = locations;
	profile->n_function = b->functions.len;
	profile->function = functions;
	profile->n_comment = b->comments.len;
	profile->comment = b->comments.data;
	profile->n_string_table = b->texts.len;
	profile->string_table = b->texts.data;
	packed = xmalloc(pprof__profile__get_packed_size(profile));
	return put_gzipped(packed, pprof__profile__pack(profile, packed), f);
}

/* The sample types of Go's heap profiles, in their order. */
static const struct heap_value {
	const char *type, *unit, *metric;
} heap_values[] = {
	{ "alloc_objects", "count", "alloc_count" },
	{ "alloc_space", "bytes", "alloc_bytes" },
	{ "inuse_objects", "count", "live_count" },
	{ "inuse_space", "bytes", "live_bytes" },
};

#define HEAP_VALUES (sizeof(heap_values) / sizeof(heap_values[0]))
_Static_assert(HEAP_VALUES + 1 == VALUES_MAX, "and one more for another metric");

static void set_type(struct builder *b, value_type_msg *type, const struct heap_value *value)
{
	*type = (value_type_msg)PPROF__VALUE_TYPE__INIT;
	type->type = text(b, value->type);
	type->unit = text(b, value->unit);
}

/* @types has room for all of them. What pprof shows first is @metric. */
static void add_types(struct builder *b, profile_msg *profile, const struct metric *metric,
		      value_type_msg types[VALUES_MAX])
{
	for (size_t i = 0; i < HEAP_VALUES; i++) {
		set_type(b, &types[i], &heap_values[i]);
		b->values[i] = metric_find(heap_values[i].metric);
		if (b->values[i] == metric)
			profile->default_sample_type = types[i].type;
	}
	b->values_count = HEAP_VALUES;
	if (profile->default_sample_type)
		return;
	set_type(b, &types[HEAP_VALUES], &(struct heap_value){
		.type = metric->name, .unit = metric->unit == UNIT_BYTES ? "bytes" : "count" });
	b->values[b->values_count++] = metric;
	profile->default_sample_type = types[HEAP_VALUES].type;
}

static void add_comment(struct builder *b, const char *fmt, ...) __printf(2, 3);

static void add_comment(struct builder *b, const char *fmt, ...)
{
	struct strbuf line __cleanup_strbuf = { 0 };
	va_list args;

	va_start(args, fmt);
	strbuf_vaddf(&line, fmt, args);
	va_end(args);
	value_vec_push(&b->comments, text(b, strpool_intern(b->pool, strbuf_str(&line))));
}

static void add_comments(struct builder *b)
{
	const struct snapshot *snap = b->snap;
	const struct snapshot_loss *loss = &snap->loss;

	add_comment(b, "heapsonde %s, %s level, watched for %.3f s", snap->version, snap->mode,
		    snap->duration_s);
	vec_for_each(target, &snap->targets)
		add_comment(b, "pid %u %s %s", target->pid, target->comm, target->exe);
	if (loss->complete)
		add_comment(b, "complete: nothing was lost");
	else
		add_comment(b, "not complete: %" PRId64 " events dropped, %" PRId64
			    " stacks dropped, %" PRId64 " allocations not tracked, %" PRId64
			    " probes missed", loss->dropped_events, loss->dropped_stacks,
			    loss->untracked_allocs, loss->missed_probes);
	if (snap->totals.unknown_free_count > 0)
		add_comment(b, "%" PRId64 " frees of blocks from before heapsonde attached",
			    snap->totals.unknown_free_count);
}

struct error *export_pprof(const struct snapshot *snap, FILE *f, const char *metric_name)
{
	struct builder b __cleanup(builder_deinit) = { 0 };
	profile_msg profile = PPROF__PROFILE__INIT;
	value_type_msg types[VALUES_MAX], *type_pointers[VALUES_MAX], period;
	const struct metric *metric;
	struct error *err = metric_find_counting(metric_name, &metric);

	if (err)
		return err;
	builder_init(&b, snap);
	add_types(&b, &profile, metric, types);
	for (size_t i = 0; i < b.values_count; i++)
		type_pointers[i] = &types[i];
	profile.n_sample_type = b.values_count;
	profile.sample_type = type_pointers;
	set_type(&b, &period, &(struct heap_value){ .type = "space", .unit = "bytes" });
	profile.period_type = &period;
	profile.period = snap->sample_bytes >= 0 ? snap->sample_bytes : 1;
	profile.duration_nanos = llround(snap->duration_s * 1e9);
	add_programs(&b);
	vec_for_each(stack, &snap->stacks)
		add_sample(&b, stack);
	add_comments(&b);
	return write_profile(&b, &profile, f);
}
