// SPDX-License-Identifier: GPL-2.0-or-later
/* Watching live processes: beginning, time, end; see session.h. */
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "base/log.h"
#include "base/reader.h"
#include "capture/aside.h"
#include "capture/ledger/memory.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"
#include "symbol/line_reader.h"
#include "symbol/symtab.h"

#define CALLER_POLL_S 0.05	/* exec, exit and unknown addresses are seen within */
#define TIMING_S 0.05		/* after each sample programs are timed for so long */

uint64_t session_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static uint64_t watched_until_ns(const struct session *s)
{
	return s->end_ns ? s->end_ns : session_now_ns();
}

double session_watched_s(const struct session *s)
{
	return (double)(watched_until_ns(s) - s->start_ns) / NS_PER_S;
}

double session_own_cpu_s(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void note_loss(struct session *s)
{
	const struct model_totals none = { 0 };
	struct snapshot_loss loss;

	session_loss(s, &none, &loss);
	if (loss.dropped_events > s->noted_loss) {
		pthread_mutex_lock(&s->lock);
		model_note_loss(s->model, loss.dropped_events - s->noted_loss);
		pthread_mutex_unlock(&s->lock);
		s->noted_loss = loss.dropped_events;
	}
}

static int64_t rss_of_all(const struct session *s)
{
	int64_t sum = 0;

	vec_for_each(image, &s->images) {
		int64_t rss = image->ended ? -1 : memory_rss_bytes(image->pid);

		if (rss > 0)
			sum += rss;
	}
	return sum;
}

static void find_live(void *arg, uint32_t pid, struct account_block *blocks, size_t count)
{
	struct session *s = arg;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < count; i++)
		blocks[i].asked_bytes = model_live_block(s->model, pid, blocks[i].addr);
	pthread_mutex_unlock(&s->lock);
}

static void each_live(void *arg, uint32_t pid, account_block_visitor *fn, void *fn_arg)
{
	struct session *s = arg;
	const struct go_heap *heap = session_go_heap(s, pid);

	/* Of a Go heap that is sampled, what is known is next to nothing of what is live. */
	if (heap && !heap->exact)
		return;
	/* The reader of the ring waits for a part at most. */
	for (unsigned int part = 0; part < MODEL_PARTS; part++) {
		pthread_mutex_lock(&s->lock);
		model_each_live_block(s->model, pid, part, fn, fn_arg);
		pthread_mutex_unlock(&s->lock);
	}
}

DEFINE_VEC(pid_vec, uint32_t);

/* The ledger's price grows with the heaps: it is read for 2 % of a core at most. */
#define LEDGER_PAUSE 50

static void read_ledger(struct session *s)
{
	const struct ledger_live live = { find_live, each_live, s };
	bool all_known = !s->settings.growth && !s->sampled && !s->governor &&
			 s->settings.min_size == 0 && s->settings.max_size == UINT64_MAX;
	__cleanup(pid_vec_deinit) struct pid_vec pids = { 0 };
	double begun = session_watched_s(s);

	if (begun < s->next_ledger_s)
		return;
	vec_for_each(image, &s->images)
		if (!image->ended)
			pid_vec_push(&pids, image->pid);
	session_settle(s);
	ledger_read(&s->ledger, pids.data, pids.len, begun, all_known ? &live : NULL);
	s->ledger_read_s = session_watched_s(s);
	s->ledger_took_s = s->ledger_read_s - begun;
	s->next_ledger_s = begun + LEDGER_PAUSE * s->ledger_took_s;
}

/* More often than samples are taken, so that a short watch can tell where it goes. */
#define GROWTH_PAUSE_S 0.2

static void note_growth(struct session *s, double now_s)
{
	int64_t live;

	if (now_s < s->next_growth_s)
		return;
	pthread_mutex_lock(&s->lock);
	live = model_live_bytes(s->model);
	pthread_mutex_unlock(&s->lock);
	ledger_note_growth(&s->ledger, now_s, rss_of_all(s), live);
	s->next_growth_s = now_s + GROWTH_PAUSE_S;
}

#define THRIFT_PAUSE_S 0.05

static void keep_memory(struct session *s, double now_s)
{
	int64_t room;

	if (now_s < s->next_thrift_s)
		return;
	room = thrift_room(&s->thrift);
	pthread_mutex_lock(&s->lock);
	model_set_room(s->model, room);
	pthread_mutex_unlock(&s->lock);
	if (room <= 0 && !s->told_of_thrift)
		log_warn("heapsonde's own memory is at its limit (--memory-limit): new blocks and"
			 " call paths are not tracked any more, only counted");
	s->told_of_thrift |= room <= 0;
	s->next_thrift_s = now_s + THRIFT_PAUSE_S;
}

#define TIMELINE_MAX 4096

/* For long watches the timeline is thinned, not cut. */
static void thin_timeline(struct snapshot_sample_vec *timeline)
{
	size_t kept = 0;

	if (timeline->len < TIMELINE_MAX)
		return;
	for (size_t i = 0; i < timeline->len; i += 2)
		timeline->data[kept++] = timeline->data[i];
	timeline->len = kept;
}

static double timing_for_s(const struct session *s)
{
	return (double)(watched_until_ns(s) - s->timed_since_ns) / NS_PER_S;
}

static void set_ledger_timing(struct session *s, bool on)
{
	if (on == s->skel->bss->ledger_timing)
		return;
	if (on)
		s->timed_since_ns = watched_until_ns(s);
	else
		s->timed_s += timing_for_s(s);
	s->skel->bss->ledger_timing = on;
}

double session_timed_s(const struct session *s)
{
	return s->timed_s + (s->skel->bss->ledger_timing ? timing_for_s(s) : 0);
}

/* At once: session_run() looks only later whether that moment is over. */
void session_time_programs(struct session *s)
{
	s->timed_until_s = session_watched_s(s) + TIMING_S;
	s->skel->bss->timing = true;
	set_ledger_timing(s, true);
}

static void take_sample(struct session *s)
{
	struct model_totals totals;
	uint64_t now = session_now_ns();
	int64_t rss = rss_of_all(s);

	session_settle(s);
	session_read_runtimes(s, s->frozen);
	session_check_growth(s, false);
	pthread_mutex_lock(&s->lock);
	model_mark_time(s->model, now);
	model_rows(s->model, now, 0, NULL, &totals);
	pthread_mutex_unlock(&s->lock);
	if (s->governor)
		metrics_combine(&totals.m, &governor_estimate(s->governor, now, s->frozen)->total);
	read_ledger(s);
	session_add_profile_totals(s, &totals.m);
	session_poll_reclaim(s);
	session_update_cost(s);
	session_time_programs(s);
	thin_timeline(&s->timeline);
	snapshot_sample_vec_push(&s->timeline, (struct snapshot_sample){
		.t_s = (double)(now - s->start_ns) / NS_PER_S,
		.live_bytes = totals.m.live_bytes,
		.rss_bytes = rss,
		.alloc_bytes = totals.m.alloc_bytes,
		.free_bytes = totals.m.free_bytes,
	});
}

bool session_is_called(const struct session *s)
{
	struct pollfd pfd = { .fd = s->wake_fd, .events = POLLIN };

	return poll(&pfd, 1, 0) > 0;
}

/* Until there is urgent news, somebody is held, or a signal. */
static void sleep_for(struct session *s, double seconds)
{
	struct pollfd fds[] = {
		{ .fd = s->wake_fd, .events = POLLIN },
		{ .fd = s->command ? spawned_fd(s->command) : -1, .events = POLLIN },
	};

	poll(fds, 2, (int)(seconds * 1e3) + 1);
}

struct error *session_run(struct session *s, double seconds,
			  const volatile sig_atomic_t *interrupted, enum session_state *ret)
{
	double until = seconds < 0 ? -1 : session_watched_s(s) + seconds, turn_s;

	for (;;) {
		double now = session_watched_s(s), pause = CALLER_POLL_S;

		session_look_at_room(s);
		session_follow(s);
		/* Whoever has ended is waited for after that: a command's status is in it. */
		session_follow_exits(s);
		session_serve_command(s);
		session_name_threads(s);
		session_remove_retired(s);
		session_begin_go(s);
		session_keep_go_pace(s);
		turn_s = session_turn_go(s, session_watched_s(s));
		note_loss(s);
		session_keep_focus(s, now);
		session_keep_large(s, now);
		s->skel->bss->timing = s->governor || now < s->timed_until_s || turn_s < HUGE_VAL;
		set_ledger_timing(s, now < s->timed_until_s);
		note_growth(s, now);
		keep_memory(s, now);
		if (now >= s->next_sample_s) {
			take_sample(s);
			s->next_sample_s += s->settings.interval_s;
			if (s->next_sample_s < now)
				s->next_sample_s = now + s->settings.interval_s;
		}
		if ((!session_move_level(s) && !session_keep_budget(s)) ||
		    !session_keep_own_cost(s, now)) {
			*ret = SESSION_TOO_DEAR;
			return NULL;
		}
		if (s->alarms && session_look_for_distress(s, now)) {
			read_ledger(s);
			*ret = SESSION_ALARMED;
			return NULL;
		}
		if (session_all_ended(s)) {
			*ret = SESSION_ENDED;
			return NULL;
		}
		if (*interrupted) {
			*ret = SESSION_INTERRUPTED;
			return NULL;
		}
		if (until >= 0 && now >= until) {
			*ret = SESSION_RUNNING;
			return NULL;
		}
		if (until >= 0 && until - now < pause)
			pause = until - now;
		if (fmin(s->next_sample_s, turn_s) - now < pause)
			pause = fmin(s->next_sample_s, turn_s) - now;
		/* A signal ends the sleep: *interrupted is looked at then. */
		if (pause > 0)
			sleep_for(s, pause);
	}
}

void session_set_interval(struct session *s, double seconds)
{
	double next = session_watched_s(s) + seconds;

	s->settings.interval_s = seconds;
	if (next < s->next_sample_s)
		s->next_sample_s = next;
}

void session_stop(struct session *s)
{
	if (s->end_ns)
		return;
	warden_stop(&s->warden);
	governor_stop(s->governor);
	session_settle(s);
	pthread_mutex_lock(&s->lock);
	s->frozen = true;
	pthread_mutex_unlock(&s->lock);
	s->next_look_at_room_s = 0;
	session_look_at_room(s);
	/* What is left to do here takes time, and nobody should be held for it. */
	if (s->command)
		spawned_release(s->command);
	session_follow(s);
	session_serve_command(s);
	s->next_ledger_s = 0;
	session_check_growth(s, true);
	take_sample(s);
	s->end_ns = session_now_ns();
	session_detach_growth(s);
	session_detach(s);
	cost_settle(&s->cost);
	thrift_yield_processor();
}

static struct error *attach_targets(struct session *s)
{
	const struct session_settings *settings = &s->settings;
	size_t gone = 0;

	if (settings->command)
		return session_start_command(s);
	for (size_t i = 0; i < settings->pids_count; i++) {
		struct error *err = session_attach_pid(s, settings->pids[i]);

		/* One of several that ends just now is no reason to leave the others. */
		if (err && (err->code != ERROR_GONE || ++gone == settings->pids_count))
			return err;
		if (err) {
			log_warn("%s", err->message);
			error_destroy(err);
			session_lose_pid(s, settings->pids[i]);
		}
	}
	return NULL;
}

/* Windows need links that are set and removed in one step. */
static struct error *prepare_windows(struct session *s)
{
	if (s->method == ATTACH_SINGLE)
		return error_create(ERROR_UNSUPPORTED,
				    "windows need uprobe_multi links (Linux 6.6; see 'heapsonde "
				    "doctor'): use --mode sampled");
	s->governor = governor_create(s, session_budget(s));
	s->windowed = true;
	return NULL;
}

/* What of it is left to do once the target's allocator is known. */
static struct error *begin_windows(struct session *s)
{
	struct error *err = governor_start(s->governor);

	if (err)
		return err;
	governor_begin(s->governor, 0, 0);
	if (s->settings.auto_level)
		return session_settle_level(s);
	session_await_windows(s);
	return NULL;
}

static int quiet_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return 0;
}

struct error *session_create(const struct session_settings *settings, struct session **ret)
{
	__cleanup(session_destroyp) struct session *s = xcalloc(1, sizeof(*s));
	struct error *err;

	aside_begin();
	reader_begin();
	s->settings = *settings;
	s->thrift.limit_bytes = settings->memory_limit ? (int64_t)settings->memory_limit
						       : thrift_default_limit();
	reader_set_memory(thrift_reader_bytes(s->thrift.limit_bytes));
	symtab_set_room((uint64_t)s->thrift.limit_bytes);
	line_reader_allow(thrift_readers(s->thrift.limit_bytes));
	s->sample_bytes = settings->sample_bytes;
	s->sampled = s->sample_bytes;
	s->command_status = -1;
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->own_cpu_start_s = session_own_cpu_s();
	s->watchdog.most = settings->max_own_cpu > 0 ? settings->max_own_cpu : watchdog_default();
	s->thinner = 1;
	s->focus.wanted = settings->focus;
	session_init_growth(s);
	pthread_mutex_init(&s->lock, NULL);
	warden_init(&s->warden);
	s->model = model_create();
	s->store = frame_store_create();
	s->objects = object_store_create();
	libbpf_set_print(quiet_libbpf);
	s->unwinder = unwinder_create(settings->frame_pointers, settings->no_table_cache);
	for (size_t i = 0; i < settings->pids_count; i++) {
		err = session_add_pid(s, settings->pids[i]);
		if (err)
			return err;
	}
	session_begin_auto(s);
	err = session_load(s);
	if (!err && (settings->windows || session_begins_in_windows(s)))
		err = prepare_windows(s);
	if (!err)
		err = session_start_reader(s);
	if (err)
		return err;
	cost_init(&s->cost, s->method, s->growth.price_known ? &s->growth.price : NULL);
	s->start_ns = session_now_ns();
	session_time_programs(s);
	err = attach_targets(s);
	/* Attaching may have taken longer than that. */
	session_time_programs(s);
	if (!err && s->governor)
		err = begin_windows(s);
	s->watchdog.since_s = session_watched_s(s);
	s->watchdog.since_cpu_s = session_own_cpu_s();
	if (!err && session_may_move(s))
		warden_start(&s->warden, s, settings->pids[0]);
	if (err)
		return err;
	thrift_yield_disk();
	*ret = steal_ptr(s);
	return NULL;
}

void session_destroy(struct session *s)
{
	if (!s)
		return;
	spawned_destroy(s->command);
	warden_stop(&s->warden);
	governor_stop(s->governor);
	session_detach(s);
	cost_deinit(&s->cost);
	s->reader_stop = true;
	if (s->reader_started)
		pthread_join(s->reader, NULL);
	ring_buffer__free(s->ring);
	session_deinit_growth(s);
	heapsonde_bpf__destroy(s->skel);
	session_free_targets(s);
	session_free_news(s);
	session_free_go(s);
	snapshot_sample_vec_deinit(&s->timeline);
	snapshot_level_vec_deinit(&s->levels);
	ledger_deinit(&s->ledger);
	unwinder_destroy(s->unwinder);
	watched_thread_vec_deinit(&s->threads);
	map64_deinit(&s->told);
	map64_deinit(&s->named);
	named_stack_vec_deinit(&s->named_stacks);
	frame_vec_deinit(&s->scratch);
	frame_store_destroy(s->store);
	model_destroy(s->model);
	session_free_focus(s);
	session_free_large(s);
	governor_destroy(s->governor);
	warden_deinit(&s->warden);
	pthread_mutex_destroy(&s->lock);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	free(s);
}

int session_exit_status(const struct session *s)
{
	return s->command_status;
}

size_t session_omitted_tables(const struct session *s)
{
	return unwinder_omitted(s->unwinder);
}

int64_t session_forks(const struct session *s)
{
	return s->forks;
}

void session_signal(const struct session *s, int sig)
{
	if (s->command && s->command_status < 0)
		kill(spawned_pid(s->command), sig);
}
