// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Debug files from afar, for the objects that stacks run through and that have
 * none here: fetched when all probes are off, and the stacks are named again.
 * See session.h.
 */
#include <string.h>

#include "base/log.h"
#include "capture/session_private.h"
#include "symbol/debuginfod.h"
#include "symbol/object.h"

/* A file that was asked for; @build_id is borrowed from the frames. */
struct wanted {
	const char *build_id, *module;
	bool fetched;
};

DEFINE_VEC(wanted_vec, struct wanted);

static struct object *find_object(const struct session *s, const char *build_id)
{
	vec_for_each(image, &s->images) {
		struct object *object = address_space_object(image->names, build_id);

		if (object)
			return object;
	}
	return NULL;
}

static struct wanted *find_wanted(struct wanted_vec *wanted, const char *build_id)
{
	vec_for_each(known, wanted)
		if (!strcmp(known->build_id, build_id))
			return known;
	return NULL;
}

/* Each object once that a stack runs through, names or not, and that has no DWARF. */
static struct wanted_vec list_wanted(const struct session *s)
{
	struct wanted_vec ret = { 0 };

	vec_for_each(stack, &s->named_stacks) {
		for (uint32_t i = 0; i < stack->count; i++) {
			const struct frame *frame = &stack->frames[i];
			struct object *object;

			if (!*frame->build_id || frame->file ||
			    find_wanted(&ret, frame->build_id))
				continue;
			object = find_object(s, frame->build_id);
			if (object && object_lacks_lines(object))
				wanted_vec_push(&ret, (struct wanted){
					frame->build_id, frame->module, false });
		}
	}
	return ret;
}

static void give_to_all(const struct session *s, const char *build_id, int fd)
{
	vec_for_each(image, &s->images) {
		struct object *object = address_space_object(image->names, build_id);

		if (object)
			object_set_debug_file(object, fd);
	}
}

/* Returns how many were fetched; says why there are not more. */
static size_t fetch_all(const struct session *s, struct debuginfod *client,
			struct wanted_vec *wanted, const volatile sig_atomic_t *interrupted)
{
	size_t fetched = 0;

	vec_for_each(file, wanted) {
		__cleanup_close int fd = -1;
		__cleanup_error struct error *err = NULL;

		if (*interrupted)
			break;
		err = debuginfod_fetch(client, file->build_id, file->module, &fd);
		if (err && err->code != ERROR_NOT_FOUND && !*interrupted)
			log_warn("%s", err->message);
		if (err)
			continue;
		give_to_all(s, file->build_id, fd);
		file->fetched = true;
		fetched++;
	}
	return fetched;
}

/* The frames of a stack once more. Without lines there was one for each address. */
static void rename_stack(struct session *s, struct wanted_vec *wanted, struct named_stack *stack)
{
	bool changed = false;

	s->scratch.len = 0;
	for (uint32_t i = 0; i < stack->count; i++) {
		const struct frame *frame = &stack->frames[i];
		const struct wanted *file = find_wanted(wanted, frame->build_id);

		if (!file || !file->fetched) {
			frame_vec_push(&s->scratch, *frame);
			continue;
		}
		session_name_frame(s, find_object(s, frame->build_id), frame);
		changed = true;
	}
	if (!changed)
		return;
	stack->frames = frame_store_add(s->store, s->scratch.data, s->scratch.len);
	stack->count = s->scratch.len;
}

struct error *session_fetch_debug(struct session *s, const volatile sig_atomic_t *interrupted)
{
	struct debuginfod *client __cleanup(debuginfod_destroyp) = NULL;
	struct wanted_vec wanted __cleanup(wanted_vec_deinit) = list_wanted(s);
	struct error *err = debuginfod_create(interrupted, &client);
	size_t fetched;

	if (err)
		return err;
	fetched = fetch_all(s, client, &wanted, interrupted);
	vec_for_each(stack, &s->named_stacks)
		rename_stack(s, &wanted, stack);
	log_info("debug files: %zu of %zu that were missing are fetched%s", fetched, wanted.len,
		 *interrupted ? "; interrupted" : "");
	return NULL;
}
