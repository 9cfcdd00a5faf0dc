// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reclaim events: those that are found by asking, and all of them as a snapshot
 * tells them, with words for who it was. See model/reclaim.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/procfs.h"
#include "base/strbuf.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"

#define WHO_FRAMES 4	/* functions named */

/* The function that the program called, if the leaf lies in a library: its outermost. */
static uint32_t first_to_name(const struct named_stack *stack, const char *exe)
{
	const char *leaf = stack->count ? stack->frames[0].path : exe;
	uint32_t i = 0;

	if (!strcmp(leaf, exe))
		return 0;
	while (i + 1 < stack->count && !strcmp(stack->frames[i + 1].path, leaf))
		i++;
	return i + 1 < stack->count ? i : 0;
}

static void add_who(struct strbuf *sb, const struct named_stack *stack, uint32_t first)
{
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

#define TRIM_DEPTH 16	/* frames between malloc_trim and its system calls, and more */

/* Whether the stack went through the C library's function that gives all back. */
static bool is_trim(const struct named_stack *stack)
{
	for (uint32_t i = 0; i < stack->count && i < TRIM_DEPTH; i++)
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
		add_who(&detail, stack, first_to_name(stack, image->id.exe));
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

static void note(struct session *s, uint32_t pid, enum reclaim_kind kind, int64_t bytes,
		 const char *detail)
{
	pthread_mutex_lock(&s->lock);
	model_reclaim(s->model, &(struct reclaim_event){
		.kind = kind, .tgid = pid, .time_ns = session_now_ns(), .bytes = bytes,
		.detail = detail,
	});
	pthread_mutex_unlock(&s->lock);
}

int64_t session_swapped_bytes(uint32_t pid)
{
	struct strbuf status __cleanup_strbuf = { 0 };
	int64_t bytes;

	if (procfs_read(pid, "status", &status) || !status.len ||
	    !procfs_field(strbuf_str(&status), "VmSwap", &bytes))
		return -1;
	return bytes;
}

/* The difference of two readings: what went one way and came back is not seen. */
static void poll_swap(struct session *s, struct image *image)
{
	int64_t before = image->swap_bytes, now = session_swapped_bytes(image->pid);

	if (now < 0)
		return;
	image->swap_bytes = now;
	if (before < 0 || now == before)
		return;
	if (now > before)
		note(s, image->pid, RECLAIM_SWAP_OUT, now - before, "by the kernel");
	else
		note(s, image->pid, RECLAIM_SWAP_IN, before - now, "came back");
}

int64_t session_kswapd_pages(void)
{
	static const char key[] = "\npgsteal_kswapd";
	__cleanup_fclose FILE *f = fopen("/proc/vmstat", "re");
	char text[16384];
	size_t len = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	const char *at;
	int64_t pages;

	text[len] = '\0';
	at = strstr(text, key);
	return at && sscanf(at + strlen(key), " %" SCNd64, &pages) == 1 ? pages : -1;
}

static uint32_t first_running(const struct session *s)
{
	vec_for_each(image, &s->images)
		if (!image->ended)
			return image->pid;
	return 0;
}

static void poll_kswapd(struct session *s)
{
	int64_t before = s->growth.kswapd_pages, now = session_kswapd_pages();
	uint32_t pid = first_running(s);

	if (now < 0)
		return;
	s->growth.kswapd_pages = now;
	if (before >= 0 && now > before && pid)
		note(s, pid, RECLAIM_KSWAPD, (now - before) * sysconf(_SC_PAGESIZE),
		     "from all processes of the machine");
}

/* Reclaim within these is told whoever of them has to do it; of the root's there is none. */
static void publish_cgroups(const struct session *s)
{
	uint32_t pid = first_running(s);

	vec_for_each(cgroup, &s->ledger.cgroups) {
		struct stat st;
		uint64_t id;

		if (!pid || stat(cgroup->dir, &st))
			continue;
		id = st.st_ino;
		bpf_map_update_elem(bpf_map__fd(s->skel->maps.cgroups), &id, &pid, BPF_NOEXIST);
	}
}

void session_poll_reclaim(struct session *s)
{
	vec_for_each(image, &s->images)
		if (!image->ended)
			poll_swap(s, image);
	poll_kswapd(s);
	publish_cgroups(s);
}
