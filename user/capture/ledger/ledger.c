// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel's ledger; see ledger.h. */
#include <string.h>

#include "base/procfs.h"
#include "base/strbuf.h"
#include "capture/ledger/ledger.h"
#include "capture/ledger/memory.h"

static void free_cgroups(struct cgroup_memory_vec *cgroups)
{
	vec_for_each(cgroup, cgroups)
		cgroup_memory_deinit(cgroup);
	cgroup_memory_vec_deinit(cgroups);
}

void ledger_deinit(struct ledger *ledger)
{
	ledger_process_vec_deinit(&ledger->processes);
	ledger_birth_vec_deinit(&ledger->births);
	free_cgroups(&ledger->cgroups);
	cgroup_mounts_deinit(&ledger->mounts);
}

/* Reading */

struct search { const struct ledger_live *live; uint32_t pid; };

static void find_live(void *arg, struct account_block *blocks, size_t count)
{
	const struct search *search = arg;

	search->live->find(search->live->arg, search->pid, blocks, count);
}

static void each_live(void *arg, account_block_visitor *fn, void *fn_arg)
{
	const struct search *search = arg;

	search->live->each(search->live->arg, search->pid, fn, fn_arg);
}

static void read_process(struct ledger_process_vec *ret, uint32_t pid,
			 const struct ledger_live *live)
{
	struct search search = { live, pid };
	const struct account_live known = { find_live, each_live, &search };
	struct ledger_process *process = ledger_process_vec_append(ret);

	*process = (struct ledger_process){ .pid = pid };
	if (!account_read(pid, live ? &known : NULL, &process->account) ||
	    !memory_read(pid, &process->account, &process->figures)) {
		ret->len--;
		return;
	}
	process->figures.adjusted_bytes = process->account.adjusted_bytes;
	process->figures.trimmable_bytes =
		process->account.has_census ? process->account.census.trimmable : -1;
}

#define BIRTH_S 3.0

/*
 * Notes the first census of each process; one that is not whole only until there is
 * one that is, soon enough.
 */
static void note_birth(struct ledger *ledger, const struct ledger_process *process, double t_s,
		       bool all_known)
{
	const struct account *account = &process->account;
	const struct chunk_sum *use = account->census.use;
	struct ledger_birth birth = {
		process->pid, t_s, account->older_count, account->older_bytes, account->census,
	};

	if (!account->has_census)
		return;
	if (!all_known) {
		birth.older_count = use[CHUNK_IN_USE].count + use[CHUNK_MAPPED].count;
		birth.older_bytes = use[CHUNK_IN_USE].bytes + use[CHUNK_MAPPED].bytes;
	}
	vec_for_each(known, &ledger->births) {
		if (known->pid != process->pid)
			continue;
		if (known->census.unfinished && t_s - known->t_s < BIRTH_S)
			*known = birth;
		return;
	}
	ledger_birth_vec_push(&ledger->births, birth);
}

static void read_mounts(struct ledger *ledger)
{
	struct strbuf text __cleanup_strbuf = { 0 };

	if (!ledger->has_mounts && !procfs_read_self("mountinfo", &text) && text.len)
		cgroup_mounts_parse(text.data, &ledger->mounts);
	ledger->has_mounts = true;
}

/* The cgroup of @pid, which is read once for all that live in it; NULL: none. */
static const struct cgroup_memory *read_cgroup(const struct ledger *ledger, uint32_t pid,
					       struct cgroup_memory_vec *ret)
{
	struct strbuf groups __cleanup_strbuf = { 0 };
	struct cgroup_memory cgroup;

	if (procfs_read(pid, "cgroup", &groups) ||
	    !cgroup_memory_read(&ledger->mounts, strbuf_str(&groups), &cgroup))
		return NULL;
	vec_for_each(known, ret) {
		if (strcmp(known->dir, cgroup.dir))
			continue;
		cgroup_memory_deinit(&cgroup);
		return known;
	}
	cgroup_memory_vec_push(ret, cgroup);
	return &ret->data[ret->len - 1];
}

bool ledger_same_limit(struct ledger *ledger, uint32_t a, uint32_t b)
{
	struct cgroup_memory_vec cgroups = { 0 };
	const struct cgroup_memory *first, *second;
	bool same;

	read_mounts(ledger);
	first = read_cgroup(ledger, a, &cgroups);
	same = first && first->limit_bytes >= 0;
	second = same ? read_cgroup(ledger, b, &cgroups) : NULL;
	same = second && cgroups.len == 1;
	free_cgroups(&cgroups);
	return same;
}

/* A series is of one limit; another one begins anew. */
static void set_limit(struct ledger *ledger, const struct memory_limit *limit, double t_s)
{
	if (strcmp(limit->kind, ledger->limit.kind ? ledger->limit.kind : ""))
		ledger->mapped = (struct forecast){ 0 };
	ledger->limit = *limit;
	if (limit->is_of_mapped)
		forecast_add(&ledger->mapped, t_s, limit->used_bytes);
}

/* One that ends meanwhile has no cgroup any more; then what was known stays. */
static void read_limits(struct ledger *ledger, double t_s)
{
	struct memory_limit tightest = { "none", -1, -1, false };
	struct cgroup_memory_vec cgroups = { 0 };

	read_mounts(ledger);
	vec_for_each(process, &ledger->processes) {
		const struct cgroup_memory *cgroup = read_cgroup(ledger, process->pid, &cgroups);
		struct memory_limit limit;

		memory_limit_read(process->pid, cgroup, &limit);
		if (!memory_limit_tighter(&limit, &tightest))
			continue;
		tightest = limit;
		ledger->limit_cgroup = cgroup ? (size_t)(cgroup - cgroups.data) : 0;
	}
	if (!cgroups.len && ledger->cgroups.len)
		return;
	free_cgroups(&ledger->cgroups);
	ledger->cgroups = cgroups;
	set_limit(ledger, &tightest, t_s);
}

void ledger_read(struct ledger *ledger, const uint32_t *pids, size_t count, double t_s,
		 const struct ledger_live *live)
{
	__cleanup(ledger_process_vec_deinit) struct ledger_process_vec read = { 0 };
	struct ledger_process_vec before = ledger->processes;

	for (size_t i = 0; i < count; i++)
		read_process(&read, pids[i], live);
	if (!read.len)
		return;
	ledger->processes = read;
	read = before;
	vec_for_each(process, &ledger->processes)
		note_birth(ledger, process, t_s, live);
	read_limits(ledger, t_s);
}

void ledger_glance(struct ledger *ledger)
{
	vec_for_each(cgroup, &ledger->cgroups) {
		int64_t before = cgroup->usage_bytes, kills = cgroup->oom_kills;

		cgroup_memory_glance(cgroup);
		/* What is left when somebody was killed is not what he was killed for. */
		if (cgroup->oom_kills > kills)
			cgroup->usage_bytes = before;
		if (ledger->limit.kind && !strcmp(ledger->limit.kind, "cgroup") &&
		    cgroup == ledger->cgroups.data + ledger->limit_cgroup)
			ledger->limit.used_bytes += cgroup->usage_bytes - before;
	}
}

void ledger_note_growth(struct ledger *ledger, double t_s, int64_t rss_bytes,
			int64_t live_bytes)
{
	/* Once all have ended there is nothing that grows. */
	if (rss_bytes <= 0)
		return;
	forecast_add(&ledger->rss, t_s, rss_bytes);
	forecast_add(&ledger->live, t_s, live_bytes);
}

/* Into a snapshot */

/* -1 with anything is -1: a sum of which a part is not known. */
static void add_known(int64_t *sum, int64_t value)
{
	*sum = *sum < 0 || value < 0 ? -1 : *sum + value;
}

static void fill_figures(const struct ledger *ledger, struct snapshot *snap)
{
	struct snapshot_memory *m = &snap->memory;
	bool any = ledger->processes.len > 0;

#define X(name) m->name = any ? 0 : -1;
	PROCESS_FIGURES(X)
#undef X
	vec_for_each(process, &ledger->processes) {
		struct snapshot_process *p = snapshot_process_vec_append(&snap->processes);

		*p = process->figures;
		p->pid = process->pid;
#define X(name) add_known(&m->name, p->name);
		PROCESS_FIGURES(X)
#undef X
	}
}

static void add_account(struct snapshot_account_vec *lines, const int64_t *bytes,
			int64_t unexplained, uint32_t pid)
{
	for (int kind = 0; kind < ACCOUNT_KINDS_COUNT; kind++)
		if (bytes[kind])
			snapshot_account_vec_push(lines, (struct snapshot_account){
				account_kind_name(kind), bytes[kind], pid });
	snapshot_account_vec_push(lines, (struct snapshot_account){
		"unexplained", unexplained, pid });
}

static void fill_account(const struct ledger *ledger, struct snapshot *snap)
{
	int64_t sums[ACCOUNT_KINDS_COUNT] = { 0 }, unexplained = 0;

	if (!ledger->processes.len)
		return;
	vec_for_each(process, &ledger->processes) {
		for (int kind = 0; kind < ACCOUNT_KINDS_COUNT; kind++)
			sums[kind] += process->account.lines[kind];
		unexplained += process->account.unexplained;
		add_account(&snap->process_account, process->account.lines,
			    process->account.unexplained, process->pid);
	}
	add_account(&snap->account, sums, unexplained, 0);
}

static void fill_cgroups(const struct ledger *ledger, struct snapshot *snap)
{
	vec_for_each(c, &ledger->cgroups)
		snapshot_cgroup_vec_push(&snap->cgroups, (struct snapshot_cgroup){
			.path = snapshot_string(snap, c->dir),
			.version = (uint32_t)c->version,
			.usage_bytes = c->usage_bytes,
			.reclaimable_bytes = c->reclaimable_bytes,
			.limit_bytes = c->limit_bytes,
			.high_bytes = c->high_bytes,
			.limit_events = c->limit_events,
			.high_events = c->high_events,
			.oom_events = c->oom_events,
			.oom_kills = c->oom_kills,
			.pressure_of = c->some_us < 0 ? NULL :
				       c->pressure_is_its_own ? "cgroup" : "machine",
			.some_avg10 = c->some_avg10,
			.full_avg10 = c->full_avg10,
			.some_us = c->some_us,
			.full_us = c->full_us,
		});
}

static void fill_census(const struct ledger_birth *birth, struct snapshot *snap)
{
	const struct chunk_sum *use = birth->census.use;
	const struct glibc_heap_census *c = &birth->census;

	snapshot_census_vec_push(&snap->census, (struct snapshot_census){
		.pid = birth->pid, .t_s = birth->t_s,
		.older_count = birth->older_count, .older_bytes = birth->older_bytes,
		.in_use_count = use[CHUNK_IN_USE].count,
		.in_use_bytes = use[CHUNK_IN_USE].bytes,
		.mapped_count = use[CHUNK_MAPPED].count,
		.mapped_bytes = use[CHUNK_MAPPED].bytes,
		.free_count = use[CHUNK_FREE].count, .free_bytes = use[CHUNK_FREE].bytes,
		.cached_count = use[CHUNK_FAST].count + use[CHUNK_TCACHE].count,
		.cached_bytes = use[CHUNK_FAST].bytes + use[CHUNK_TCACHE].bytes,
		.top_bytes = use[CHUNK_TOP].bytes,
		.heaps = c->heaps, .unfinished_heaps = c->unfinished, .retries = c->retries,
	});
	for (int i = 0; i < CHUNK_CLASSES; i++)
		if (c->classes[i].count || c->free_classes[i].count)
			snapshot_census_class_vec_push(&snap->census_classes,
				(struct snapshot_census_class){
				birth->pid, 16ll << i, c->classes[i].count, c->classes[i].bytes,
				c->free_classes[i].count, c->free_classes[i].bytes });
}

static void fill_forecast(const struct ledger *ledger, struct snapshot_memory *m)
{
	const struct memory_limit *limit = &ledger->limit;
	struct trend rss = forecast_trend(&ledger->rss), live = forecast_trend(&ledger->live);

	m->growth_bytes_per_s = rss.per_s;
	m->growth_confidence = rss.confidence;
	m->live_growth_bytes_per_s = live.per_s;
	m->live_growth_confidence = live.confidence;
	m->limit_kind = limit->kind ? limit->kind : "none";
	m->limit_bytes = limit->kind ? limit->bytes : -1;
	m->limit_used_bytes = m->limit_bytes < 0 ? -1 : limit->used_bytes;
	m->seconds_to_limit = m->limit_bytes < 0 ? -1 :
		forecast_seconds(limit->is_of_mapped ? forecast_trend(&ledger->mapped) : rss,
				 limit->bytes - limit->used_bytes);
}

void ledger_fill(const struct ledger *ledger, struct snapshot *snap)
{
	fill_figures(ledger, snap);
	fill_account(ledger, snap);
	fill_cgroups(ledger, snap);
	vec_for_each(birth, &ledger->births)
		fill_census(birth, snap);
	fill_forecast(ledger, &snap->memory);
}
