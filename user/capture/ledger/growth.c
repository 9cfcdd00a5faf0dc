// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The growth level, which is there beneath all others: the programs of
 * memory.bpf.c, what was mapped before they were attached, and a look now and then at
 * what is still resident. See session_private.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "base/log.h"
#include "base/procfs.h"
#include "base/strbuf.h"
#include "capture/ledger/pagemap.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"

/* Attaching */

/* What cannot be attached is not seen, and said; all else goes on. */
void session_attach_growth(struct session *s)
{
	s->growth.price_known = price_measure_kernel(&s->growth.price);
	s->growth.sees_calls = s->growth.programs.calls != CALLS_AT_LIBRARY &&
			       !s->settings.frame_pointers;
	for (size_t i = 0; i < s->growth.programs.count; i++) {
		const struct growth_program *at = &s->growth.programs.programs[i];
		struct bpf_link *link = at->tracepoint ?
			bpf_program__attach_raw_tracepoint(at->program, at->tracepoint) :
			bpf_program__attach(at->program);

		if (link)
			s->growth.links[s->growth.links_count++] = link;
		else
			log_warn("the kernel's ledger lacks what %s sees: %s",
				 bpf_program__name(at->program), strerror(errno));
		s->growth.sees_calls &= link != NULL;
	}
}

void session_detach_growth(struct session *s)
{
	while (s->growth.links_count)
		bpf_link__destroy(s->growth.links[--s->growth.links_count]);
}

/* What is resident */

/* Bits of /proc/kpageflags (Documentation/admin-guide/mm/pagemap.rst). */
#define KPF_HUGE (1ull << 17)
#define KPF_THP (1ull << 22)
#define KPF_ZERO_PAGE (1ull << 24)

#define BLOCK_PAGES 512
#define PAGE_SHIFT 12
#define BLOCK_SHIFT (PAGE_SHIFT + 9)

struct look {
	uint32_t pid;
	int kpageflags;		/* -1: may not be read */
};

static uint64_t page_flags(const struct look *look, uint64_t pfn)
{
	uint64_t flags = 0;

	if (!pfn || look->kpageflags < 0 ||
	    pread(look->kpageflags, &flags, sizeof(flags), (off_t)(pfn * sizeof(flags))) !=
	    sizeof(flags))
		return 0;
	return flags;
}

/* KPF_ bits of the page that fills the whole block; 0: there is none. */
static uint64_t huge_page_flags(const struct look *look, const uint64_t entries[BLOCK_PAGES])
{
	uint64_t first = entries[0] & PAGEMAP_FRAME;
	uint64_t last = entries[BLOCK_PAGES - 1] & PAGEMAP_FRAME;
	uint64_t flags = first && first % BLOCK_PAGES == 0 && last - first == BLOCK_PAGES - 1 ?
			 page_flags(look, first) : 0;

	return flags & (KPF_THP | KPF_HUGE) ? flags : 0;
}

static bool look_at_block(void *arg, uint64_t start, struct page_truth *ret)
{
	const struct look *look = arg;
	uint64_t entries[BLOCK_PAGES], huge;

	if (pagemap_read(look->pid, start >> PAGE_SHIFT, entries, BLOCK_PAGES) != BLOCK_PAGES)
		return false;
	huge = huge_page_flags(look, entries);
	if (huge & KPF_ZERO_PAGE)
		return true;
	for (unsigned int i = 0; i < BLOCK_PAGES; i++)
		if (pagemap_is_resident(entries[i]))
			ret->resident[i / 64] |= 1ull << i % 64;
	ret->huge = huge;
	return true;
}

/* What is mapped already */

/* Of the machine, unless the process has renounced (PR_SET_THP_DISABLE). */
static enum huge_pages huge_pages_of(uint32_t pid)
{
	__cleanup_fclose FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
	struct strbuf status __cleanup_strbuf = { 0 };
	char choices[64];
	int64_t enabled;

	if (!f || !fgets(choices, sizeof(choices), f))
		return HUGE_NEVER;
	if (!procfs_read(pid, "status", &status) && status.len &&
	    procfs_field(strbuf_str(&status), "THP_enabled", &enabled) && !enabled)
		return HUGE_NEVER;
	return strstr(choices, "[always]") ? HUGE_ALWAYS :
	       strstr(choices, "[madvise]") ? HUGE_ADVISED : HUGE_NEVER;
}

/* False at the end. */
static bool next_line(char **at, char **ret)
{
	*ret = *at && **at ? strsep(at, "\n") : NULL;
	return *ret;
}

/* Pages of other mappings in the same block are told with those. */
static void add_older_pages(struct session *s, uint32_t pid, struct look *look, uint64_t start,
			    uint64_t end)
{
	for (uint64_t block = start >> BLOCK_SHIFT; block <= (end - 1) >> BLOCK_SHIFT; block++) {
		struct page_truth truth = { 0 };
		uint64_t any = 0;

		if (!look_at_block(look, block << BLOCK_SHIFT, &truth))
			return;
		for (size_t i = 0; i < 8; i++)
			any |= truth.resident[i];
		if (any)
			model_add_older_pages(s->model, pid, block << BLOCK_SHIFT, truth.resident);
	}
}

static void add_older(struct session *s, uint32_t pid, struct look *look, char *line)
{
	struct older_mapping m = { 0 };
	unsigned long start, end, ino;
	char perms[5];
	int name = 0;

	if (sscanf(line, "%lx-%lx %4s %*x %*x:%*x %lu %n", &start, &end, perms, &ino, &name) < 4)
		return;
	m.start = start;
	m.end = end;
	m.accessible = perms[0] == 'r' || perms[1] == 'w' || perms[2] == 'x';
	m.file = ino;
	m.shared = perms[3] == 's';
	m.is_break = name && !strcmp(line + name, "[heap]");
	model_add_older(s->model, pid, &m);
	if (s->growth.sees_pages && m.accessible)
		add_older_pages(s, pid, look, start, end);
}

void session_seed_growth(struct session *s, uint32_t pid)
{
	struct strbuf maps __cleanup_strbuf = { 0 };
	struct look look = { pid, -1 };
	char *at, *line;

	session_drain(s);
	pagemap_keep(pid);
	if (procfs_read(pid, "maps", &maps) || !maps.len)
		return;
	at = maps.data;
	pthread_mutex_lock(&s->lock);
	model_set_huge_pages(s->model, pid, huge_pages_of(pid));
	while (next_line(&at, &line))
		add_older(s, pid, &look, line);
	pthread_mutex_unlock(&s->lock);
}

#define BLOCKS_AT_ONCE 64	/* under one lock, which the ring's reader waits for */

static void check_pages_of(struct session *s, uint32_t pid)
{
	struct look look = { pid, s->growth.kpageflags };
	size_t at = 0;

	do {
		pthread_mutex_lock(&s->lock);
		at = model_check_pages(s->model, pid, at, BLOCKS_AT_ONCE, look_at_block, &look);
		pthread_mutex_unlock(&s->lock);
	} while (at);
}

#define LOOK_PAUSE 50	/* times what a look took: 2 % of a core at most */

void session_check_growth(struct session *s, bool now)
{
	double begun = session_watched_s(s);

	if (!s->growth.sees_pages || (!now && begun < s->growth.next_look_s))
		return;
	session_drain(s);
	/* What was not there at the first look may have been on its way. */
	for (int looks = now ? 2 : 1; looks > 0; looks--)
		vec_for_each(image, &s->images)
			if (!image->ended)
				check_pages_of(s, image->pid);
	s->growth.next_look_s = begun + LOOK_PAUSE * (session_watched_s(s) - begun);
}

void session_init_growth(struct session *s)
{
	s->growth.kswapd_pages = session_kswapd_pages();
	pagemap_begin();
	s->growth.kpageflags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
}

void session_deinit_growth(struct session *s)
{
	session_detach_growth(s);
	if (s->growth.kpageflags >= 0)
		close(s->growth.kpageflags);
}
