// SPDX-License-Identifier: GPL-2.0-or-later
/* The BPF programs and their maps: which of them, how large, and loading them. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/log.h"
#include "base/privileges.h"
#include "capture/aside.h"
#include "capture/discovery/candidate.h"
#include "capture/discovery/reports.h"
#include "capture/features.h"
#include "capture/programs.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"

#define LIVE_SAMPLES_MAX (1u << 18)	/* some 20 MiB of the kernel's memory */
#define LIVE_SAMPLES_LATER (1u << 16)	/* where it is not sure that there will be any */
#define LIVE_SAMPLES_OWN (1u << 14)	/* where nobody has asked for them */

static uint64_t ring_size(uint64_t wanted)
{
	uint64_t size = sysconf(_SC_PAGESIZE);

	while (size < wanted)
		size *= 2;
	return size;
}

uint64_t session_ring_bytes(int64_t memory_limit)
{
	uint64_t most = thrift_ring_bytes(memory_limit), size = ring_size(most);

	return size > most ? size / 2 : size;
}

static void size_seen(struct heapsonde_bpf *skel, int64_t memory_limit)
{
	uint64_t most = thrift_seen_bytes(memory_limit) / bpf_map__value_size(skel->maps.seen);
	uint32_t buckets = 1;

	while (2ull * buckets <= most)
		buckets *= 2;
	skel->rodata->cfg_seen_buckets = buckets;
	bpf_map__set_max_entries(skel->maps.seen, buckets);
}

static struct error *pid_namespace(uint32_t *ret)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st))
		return error_errno(errno, "reading /proc/self/ns/pid (is /proc mounted?)");
	*ret = st.st_ino;
	return NULL;
}

static struct error *choose_method(struct session *s, const struct features *features)
{
	enum attach_method method = s->settings.method;

	if (method == ATTACH_BEST)
		method = attach_method_best(features);
	if (!attach_method_there(method, features))
		return error_create(ERROR_UNSUPPORTED,
				    "this kernel cannot attach by '%s' (see 'heapsonde doctor'): "
				    "leave --attach out", attach_method_name(method));
	s->method = method;
	return NULL;
}

/* Of the targets; what a command and children will be is not known yet. */
static unsigned int possible_sources(const struct session *s)
{
	unsigned int sources = 0;

	if (s->settings.focus || s->settings.may_focus)
		sources |= SOURCE_FOCUS;
	if (large_may_be_told(s))
		sources |= SOURCE_LARGE;
	if (s->settings.command)
		return sources | SOURCE_REPORTS | SOURCE_GO;
	if (s->settings.children)
		sources |= SOURCE_GO;
	vec_for_each(image, &s->images) {
		sources |= reports_there(image->names) ? SOURCE_REPORTS : 0;
		sources |= candidates_have_go(image->names) ? SOURCE_GO : 0;
	}
	return sources;
}

static void set_settings(struct session *s, const struct features *features)
{
	const struct session_settings *settings = &s->settings;
	uint64_t ring = settings->ring_bytes ? ring_size(settings->ring_bytes)
					     : session_ring_bytes(s->thrift.limit_bytes);

	s->skel->rodata->cfg_min_size = settings->min_size;
	s->skel->rodata->cfg_max_size = settings->max_size;
	s->skel->rodata->cfg_max_depth = settings->max_depth;
	s->skel->rodata->cfg_children = settings->children;
	s->skel->rodata->cfg_hold = features->preempt_guard && !settings->windows &&
				    !settings->growth;
	s->skel->bss->hold_births = s->skel->rodata->cfg_hold;
	s->skel->rodata->cfg_page_bytes = sysconf(_SC_PAGESIZE);
	s->skel->rodata->cfg_wake_bytes = ring / 4;
	bpf_map__set_max_entries(s->skel->maps.events, ring);
	size_seen(s->skel, s->thrift.limit_bytes);
	s->skel->bss->sample_bytes = settings->sample_bytes;
	bpf_map__set_max_entries(s->skel->maps.live_samples,
				 settings->sample_bytes ? LIVE_SAMPLES_MAX :
				 settings->may_sample || settings->max_share > 0 ||
				 settings->max_own_cpu > 0 ?
				 LIVE_SAMPLES_LATER :
				 settings->auto_level && !settings->command ?
				 LIVE_SAMPLES_OWN : 1);
}

/* Opens and loads the programs, with those of @growth or (NULL) without; 0 or -errno. */
static int open_and_load(struct session *s, const struct features *features,
			 const struct features *growth, struct unwinder_maps *maps)
{
	const struct session_settings *settings = &s->settings;
	struct error *err;

	s->skel = heapsonde_bpf__open();
	if (!s->skel)
		return -errno;
	*maps = (struct unwinder_maps){
		.slab = s->skel->maps.unwind_slab,
		.rules = s->skel->maps.unwind_rules,
		.ranges = s->skel->maps.unwind_ranges,
		.spaces = s->skel->maps.unwind_spaces,
		.cache = s->skel->maps.unwind_cache,
	};
	set_settings(s, features);
	err = pid_namespace((uint32_t *)&s->skel->rodata->cfg_pid_namespace);
	if (err) {
		error_destroy(err);
		return -errno;
	}
	unwinder_size(s->unwinder, maps, settings->command ? 1 : settings->pids_count,
		      settings->children, thrift_spare_table_bytes(s->thrift.limit_bytes));
	programs_choose(s->skel, s->method, features->preempt_guard, possible_sources(s),
			&s->programs);
	programs_choose_growth(s->skel, growth, &s->growth.programs);
	s->growth.sees_pages = growth && growth->fault_tracepoints;
	return heapsonde_bpf__load(s->skel);
}

/* From here on the model knows how much room it has. */
static void begin_thrift(struct session *s)
{
	const struct bpf_map *map;

	bpf_object__for_each_map(map, s->skel->obj)
		thrift_add_map(&s->thrift, bpf_map__fd(map));
	model_set_room(s->model, thrift_room(&s->thrift));
}

/* A kernel that refuses the ledger's programs can still have all the others. */
static struct error *load_programs(struct session *s, const struct features *features,
				   struct unwinder_maps *maps)
{
	int ret = open_and_load(s, features, features, maps);

	if (ret && s->skel && !s->settings.growth) {
		heapsonde_bpf__destroy(s->skel);
		ret = open_and_load(s, features, NULL, maps);
		if (!ret)
			log_warn("this kernel refuses the programs of the kernel's ledger: who"
				 " maps, touches and gives back memory is not seen");
	}
	return ret ? error_errno(-ret, "loading the BPF programs (see 'heapsonde doctor')") : NULL;
}

/* Those that nothing is refused for. */
static void warn_of_hazards(const struct features *features)
{
#define X(member, refused, why)						\
	if (!(refused) && features->hazards.member)			\
		log_warn("%s", why);
	HOST_HAZARDS(X)
#undef X
}

struct error *session_load(struct session *s)
{
	struct unwinder_maps maps;
	struct error *err = features_detect(&s->features);

	if (err)
		return err;
	err = features_check(&s->features);
	if (!err)
		warn_of_hazards(&s->features);
	if (!err)
		err = choose_method(s, &s->features);
	if (err)
		return err;
	aside_reduce(PRIVILEGES_NICE | (s->method == ATTACH_SINGLE ? PRIVILEGES_PROBES : 0));
	err = load_programs(s, &s->features, &maps);
	if (!err && s->growth.programs.count && !s->growth.sees_pages)
		log_warn("this kernel has no tracepoints of page faults: who maps memory is seen,"
			 " but not who touches it, nor what of it is resident");
	if (!err)
		err = unwinder_load(s->unwinder, &maps);
	if (err)
		return err;
	begin_thrift(s);
	s->skel->bss->walks_to_leave = s->settings.frame_pointers ? 0 : WALKS_TO_LEAVE;
	s->skel->links.process_exec = bpf_program__attach(s->skel->progs.process_exec);
	s->skel->links.process_exit = bpf_program__attach(s->skel->progs.process_exit);
	s->skel->links.process_fork = bpf_program__attach(s->skel->progs.process_fork);
	s->skel->links.oom_victim = s->features.oom_victim ?
				    bpf_program__attach(s->skel->progs.oom_victim) : NULL;
	s->oom_kills = distress_kills();
	if (!s->skel->links.process_exec || !s->skel->links.process_exit ||
	    !s->skel->links.process_fork)
		return error_errno(errno, "attaching to the process tracepoints");
	session_attach_growth(s);
	return NULL;
}
