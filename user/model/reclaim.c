// SPDX-License-Identifier: GPL-2.0-or-later
/* The log of what was given back, and its folding; see reclaim.h. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model/reclaim.h"

const char *reclaim_kind_name(enum reclaim_kind kind)
{
	static const char *const names[] = {
#define X(kind, name, text) [kind] = name,
		RECLAIM_KINDS(X)
#undef X
	};

	return kind < RECLAIM_KINDS_COUNT ? names[kind] : "unknown";
}

void reclaim_log_deinit(struct reclaim_log *log)
{
	vec_for_each(entry, &log->entries)
		free(entry->detail);
	reclaim_entry_vec_deinit(&log->entries);
	map64_deinit(&log->newest);
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
	return hash ^ hash >> 32;
}

static uint64_t key_of(const struct reclaim_entry *e)
{
	uint64_t key = mix(mix(e->kind, e->tgid), e->mixed ? 1 : e->stack_id);

	for (const char *c = e->detail; c && *c; c++)
		key = mix(key, (unsigned char)*c);
	return key;
}

static bool same_source(const struct reclaim_entry *a, const struct reclaim_entry *b)
{
	return a->kind == b->kind && a->tgid == b->tgid && a->stack_id == b->stack_id &&
	       a->mixed == b->mixed && !a->detail == !b->detail &&
	       (!a->detail || !strcmp(a->detail, b->detail));
}

/* Enters one, or adds it to the newest of its key if that is not long ago. */
static void put(struct reclaim_log *log, struct reclaim_entry entry)
{
	uint64_t key = key_of(&entry);
	uint32_t at = map64_get(&log->newest, key);
	struct reclaim_entry *newest = at ? &log->entries.data[at - 1] : NULL;

	if (!newest || !same_source(newest, &entry) ||
	    entry.first_ns - newest->first_ns >= log->fold_ns) {
		reclaim_entry_vec_push(&log->entries, entry);
		map64_set(&log->newest, key, log->entries.len);
		return;
	}
	free(entry.detail);
	if (entry.last_ns > newest->last_ns)
		newest->last_ns = entry.last_ns;
	newest->count += entry.count;
	if (entry.bytes >= 0)
		newest->bytes = (newest->bytes < 0 ? 0 : newest->bytes) + entry.bytes;
}

/* Folds all anew. @mixing: without regard to who did it. */
static void refold(struct reclaim_log *log, bool mixing)
{
	struct reclaim_entry_vec before = log->entries;

	log->entries = (struct reclaim_entry_vec){ 0 };
	map64_deinit(&log->newest);
	vec_for_each(entry, &before) {
		if (mixing) {
			free(entry->detail);
			entry->detail = NULL;
			entry->stack_id = 0;
			entry->mixed = true;
		}
		put(log, *entry);
	}
	reclaim_entry_vec_deinit(&before);
}

/* Until there is room for a while; this ends, for at last there is one a kind. */
static void make_room(struct reclaim_log *log)
{
	while (log->entries.len > RECLAIM_MAX * 3 / 4) {
		log->fold_ns *= 2;
		refold(log, false);
		if (log->entries.len > RECLAIM_MAX * 3 / 4)
			refold(log, true);
	}
}

void reclaim_log_add(struct reclaim_log *log, const struct reclaim_event *event)
{
	if (!log->fold_ns)
		log->fold_ns = RECLAIM_FOLD_NS;
	if (log->entries.len >= RECLAIM_MAX)
		make_room(log);
	put(log, (struct reclaim_entry){
		.kind = event->kind,
		.tgid = event->tgid,
		.first_ns = event->time_ns,
		.last_ns = event->time_ns,
		.bytes = event->bytes,
		.count = 1,
		.stack_id = event->stack_id,
		.detail = event->detail ? xstrdup(event->detail) : NULL,
	});
}
