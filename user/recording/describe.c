// SPDX-License-Identifier: GPL-2.0-or-later
/* What stands still in a recording: stacks, frames, objects; see writer_private.h. */
#include "base/strbuf.h"
#include "recording/writer_private.h"

static const char *pooled(struct recording *rec, const char *s)
{
	return s ? strpool_intern(rec->strings, s) : NULL;
}

static struct error *write_object(struct recording *rec, const struct frame *frame,
				  uint64_t *ret)
{
	struct object_key key = {
		pooled(rec, frame->module), pooled(rec, frame->path),
		pooled(rec, frame->build_id),
	};
	sqlite3_stmt *st = rec->statements[INSERT_OBJECT];
	bool is_new;

	*ret = intern_put(&rec->objects, &key, &is_new) + 1;
	if (!is_new)
		return NULL;
	sqlite3_bind_int64(st, 1, (int64_t)*ret);
	column_bind_text(st, 2, key.module);
	column_bind_text(st, 3, key.path);
	column_bind_text(st, 4, key.build_id);
	return recording_run(rec, st);
}

static void bind_frame(sqlite3_stmt *st, size_t number, const struct frame_key *key)
{
	sqlite3_bind_int64(st, 1, (int64_t)number);
	sqlite3_bind_int64(st, 2, (int64_t)key->pc);
	sqlite3_bind_int64(st, 3, (int64_t)key->offset);
	sqlite3_bind_int64(st, 4, (int64_t)key->object);
	column_bind_text(st, 5, key->function);
	column_bind_text(st, 6, key->raw);
	column_bind_text(st, 7, key->file);
	sqlite3_bind_int64(st, 8, key->line);
	sqlite3_bind_int64(st, 9, key->column);
	sqlite3_bind_int64(st, 10, key->inlined);
	column_bind_text(st, 11, key->type);
	sqlite3_bind_int64(st, 12, key->start_line);
}

static struct error *write_frame(struct recording *rec, const struct frame *frame,
				 size_t *ret)
{
	struct frame_key key = {
		.pc = frame->pc, .offset = frame->offset,
		.function = pooled(rec, frame->function), .raw = pooled(rec, frame->raw),
		.file = pooled(rec, frame->file), .type = pooled(rec, frame->type),
		.line = frame->line, .column = frame->column,
		.start_line = frame->start_line, .inlined = frame->inlined,
	};
	struct error *err = write_object(rec, frame, &key.object);
	bool is_new;

	if (err)
		return err;
	*ret = intern_put(&rec->frames, &key, &is_new) + 1;
	if (!is_new)
		return NULL;
	bind_frame(rec->statements[INSERT_FRAME], *ret, &key);
	return recording_run(rec, rec->statements[INSERT_FRAME]);
}

/* Writes what is new of the frames, and their numbers as a JSON array to @ret. */
static struct error *write_frames(struct recording *rec, const struct snapshot *snap,
				  const struct snapshot_stack *stack, struct strbuf *ret)
{
	const struct frame *frames = snapshot_frames(snap, stack);

	strbuf_addch(ret, '[');
	for (uint32_t i = 0; i < stack->frame_count; i++) {
		size_t number;
		struct error *err = write_frame(rec, &frames[i], &number);

		if (err)
			return err;
		strbuf_addf(ret, "%s%zu", i ? "," : "", number);
	}
	strbuf_addch(ret, ']');
	return NULL;
}

/*
 * How much the frames of a stack say. Names come late, inlined frames with
 * them; frames are written again only when they say more than before.
 */
static uint32_t known_of(const struct snapshot *snap, const struct snapshot_stack *stack)
{
	const struct frame *frames = snapshot_frames(snap, stack);
	uint32_t known = stack->frame_count;

	for (uint32_t i = 0; i < stack->frame_count; i++)
		known += !!frames[i].module[0] + !!frames[i].function + !!frames[i].file;
	return known;
}

static struct error *write_stack(struct recording *rec, const struct snapshot *snap,
				 const struct snapshot_stack *stack, size_t number,
				 bool is_new)
{
	struct strbuf frames __cleanup_strbuf = { 0 };
	sqlite3_stmt *st = rec->statements[is_new ? INSERT_STACK : UPDATE_STACK];
	struct error *err = write_frames(rec, snap, stack, &frames);
	int column = 1;

	if (err)
		return err;
	sqlite3_bind_int64(st, column++, (int64_t)number);
	if (is_new) {
		sqlite3_bind_int64(st, column++, stack->target);
		sqlite3_bind_int64(st, column++, (int64_t)stack->id);
		column_bind_text(st, column++, memory_kind_name(stack->kind));
	}
	column_bind_text(st, column++, unwind_status_name(stack->status));
	column_bind_text(st, column++, strbuf_str(&frames));
	return recording_run(rec, st);
}

struct error *describe_stack(struct recording *rec, const struct snapshot *snap,
			     const struct snapshot_stack *stack, size_t *number_ret)
{
	struct stack_key key = { stack->id, stack->target, stack->kind };
	uint32_t known = known_of(snap, stack);
	struct stack_state *state;
	struct error *err;
	bool is_new;

	*number_ret = intern_put(&rec->stacks, &key, &is_new) + 1;
	if (is_new)
		stack_state_vec_push(&rec->states, (struct stack_state){ 0 });
	state = &rec->states.data[*number_ret - 1];
	if (!is_new && known <= state->known && stack->status == state->status)
		return NULL;
	err = write_stack(rec, snap, stack, *number_ret, is_new);
	rec->renamed |= !is_new;
	state->known = known;
	state->status = stack->status;
	return err;
}
