// SPDX-License-Identifier: GPL-2.0-or-later
/* The model's reclaim events as a snapshot tells them: with words for who it was. */
#include <inttypes.h>
#include <string.h>

#include "base/strbuf.h"
#include "capture/session_private.h"

#define WHO_FRAMES 4	/* functions named */

/*
 * The function that the program called: the outermost of those that lie in one
 * object with the leaf. In a static program that is the leaf.
 */
static uint32_t first_to_name(const struct named_stack *stack)
{
	uint32_t i = 0;

	while (i + 1 < stack->count &&
	       !strcmp(stack->frames[i + 1].module, stack->frames[0].module))
		i++;
	return i + 1 < stack->count ? i : 0;
}

static void add_who(struct strbuf *sb, const struct named_stack *stack)
{
	uint32_t first = first_to_name(stack);

	for (uint32_t i = first; i < stack->count && i < first + WHO_FRAMES; i++) {
		const struct frame *frame = &stack->frames[i];

		strbuf_addstr(sb, i > first ? " < " : "by ");
		if (frame->function)
			strbuf_addstr(sb, frame->function);
		else
			strbuf_addf(sb, "%s+0x%" PRIx64, *frame->module ? frame->module : "?",
				    frame->offset);
	}
}

/* Whether the stack went through the C library's function that gives all back. */
static bool is_trim(const struct named_stack *stack)
{
	for (uint32_t i = 0; i < stack->count && i < WHO_FRAMES; i++)
		if (stack->frames[i].raw && (!strcmp(stack->frames[i].raw, "malloc_trim") ||
					     !strcmp(stack->frames[i].raw, "__malloc_trim")))
			return true;
	return false;
}

static double since_start(const struct session *s, uint64_t time_ns)
{
	return time_ns > s->start_ns ? (double)(time_ns - s->start_ns) / NS_PER_S : 0;
}

static void add_one(struct session *s, struct snapshot *snap, const struct reclaim_entry *entry)
{
	struct image *image = session_image(s, entry->tgid);
	const struct named_stack *stack = entry->stack_id && image ?
		session_named_stack(s, image, entry->stack_id) : NULL;
	enum reclaim_kind kind = stack && is_trim(stack) ? RECLAIM_MALLOC_TRIM : entry->kind;
	struct strbuf detail __cleanup_strbuf = { 0 };

	if (stack)
		add_who(&detail, stack);
	else if (entry->mixed)
		strbuf_addstr(&detail, "by several");
	if (entry->detail)
		strbuf_addf(&detail, "%s%s", detail.len ? ", " : "", entry->detail);
	if (entry->count > 1)
		strbuf_addf(&detail, "%s%" PRIu64 " times in %.1f s", detail.len ? ", " : "",
			    entry->count, (double)(entry->last_ns - entry->first_ns) / NS_PER_S);
	snapshot_reclaim_vec_push(&snap->reclaim, (struct snapshot_reclaim){
		.t_s = since_start(s, entry->first_ns),
		.kind = snapshot_string(snap, reclaim_kind_name(kind)),
		.bytes = entry->bytes,
		.pid = entry->tgid,
		.detail = snapshot_string(snap, strbuf_str(&detail)),
	});
}

void session_add_reclaims(struct session *s, struct snapshot *snap)
{
	const struct reclaim_entry *borrowed;
	struct reclaim_entry *entries __cleanup_free = NULL;
	size_t count;

	pthread_mutex_lock(&s->lock);
	count = model_reclaims(s->model, &borrowed);
	entries = xcalloc(count, sizeof(*entries));
	for (size_t i = 0; i < count; i++) {
		entries[i] = borrowed[i];
		entries[i].stack_id = model_real_stack(s->model, borrowed[i].stack_id);
		entries[i].detail = borrowed[i].detail ? xstrdup(borrowed[i].detail) : NULL;
	}
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < count; i++) {
		add_one(s, snap, &entries[i]);
		free(entries[i].detail);
	}
}
