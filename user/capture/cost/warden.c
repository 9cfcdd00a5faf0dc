// SPDX-License-Identifier: GPL-2.0-or-later
/* Who removes probes when they have become too dear; see warden.h. */
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/privileges.h"
#include "capture/session_private.h"

#define LOOK_NS 5000000
/*
 * CPU time that may be spent beyond the budget: where nobody has named one, a
 * program that starts, or answers a burst, is seen exactly; else so much as the
 * budget gives in that time.
 */
#define CREDIT_S 1.0
#define CREDIT_OF_BUDGET_S 0.25
#define CREDIT_TO_SAMPLE 4	/* times that, where sampling would do, which takes a moment */
#define SHARE_OF_NS 50000000.0	/* of CPU time that the share is known from, about */

/* A moment of the target. */
struct moment { int64_t hits; uint64_t cpu_ns, time_ns; };

static struct moment moment_of(const struct session *s)
{
	return (struct moment){ session_hits(s), cost_process_cpu_ns(s->warden.pid),
				session_now_ns() };
}

double warden_credit_ns(const struct session *s)
{
	double given = s->settings.max_share;

	return NS_PER_S * (given > 0 ? CREDIT_OF_BUDGET_S * given : CREDIT_S);
}

static void note(struct session *s, const struct moment *from, const struct moment *to)
{
	struct warden *w = &s->warden;
	double spent_ns = (double)(to->hits - from->hits) * session_hit_ns(s);
	double cpu_ns = (double)(to->cpu_ns - from->cpu_ns);
	double part = fmin(cpu_ns / SHARE_OF_NS, 1);
	const struct budget budget = session_budget(s);
	double earned_ns = budget_earned_ns(&budget, cpu_ns, (double)(to->time_ns - from->time_ns));

	pthread_mutex_lock(&w->lock);
	w->debt_ns = fmax(w->debt_ns + spent_ns - earned_ns, 0);
	if (cpu_ns > 0)
		w->share += part * (spent_ns / cpu_ns - w->share);
	w->old_debt_ns = fmin(w->old_debt_ns, w->debt_ns);
	pthread_mutex_unlock(&w->lock);
}

double warden_owes(const struct session *s)
{
	return s->warden.debt_ns - s->warden.old_debt_ns;
}

/* Sampling is begun by others, without a gap. */
static bool must_cut(const struct session *s)
{
	double times = session_sampling_would_do(s) ? CREDIT_TO_SAMPLE : 1;

	return warden_owes(s) > times * warden_credit_ns(s);
}

static void cut(struct session *s)
{
	struct warden *w = &s->warden;

	w->cut_ns = session_now_ns();
	pthread_mutex_lock(&w->heap_lock);
	if (w->armed) {
		w->cut = true;
		attachment_deinit(&s->watched.data[0].heap);
	}
	pthread_mutex_unlock(&w->heap_lock);
	eventfd_write(s->wake_fd, 1);
}

static void *watch(void *arg)
{
	const struct timespec pause = { 0, LOOK_NS };
	struct session *s = arg;
	struct moment before = moment_of(s);

	privileges_reduce(0);
	while (!s->warden.stop) {
		struct moment now;

		nanosleep(&pause, NULL);
		if (!s->warden.armed || s->warden.cut) {
			before.cpu_ns = 0;
			continue;
		}
		now = moment_of(s);
		if (before.cpu_ns)
			note(s, &before, &now);
		before = now;
		if (must_cut(s))
			cut(s);
	}
	return NULL;
}

void warden_init(struct warden *w)
{
	pthread_mutex_init(&w->heap_lock, NULL);
	pthread_mutex_init(&w->lock, NULL);
}

void warden_begin_level(struct warden *w, double debt_ns)
{
	pthread_mutex_lock(&w->lock);
	w->debt_ns = w->old_debt_ns = debt_ns;
	w->share = 0;
	pthread_mutex_unlock(&w->lock);
	w->cut = false;
}

void warden_start(struct warden *w, struct session *session, uint32_t pid)
{
	/* What is late is paid by the target. */
	const struct sched_param priority = { .sched_priority = 1 };
	sigset_t all, before;

	w->pid = pid;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	w->started = !pthread_create(&w->thread, NULL, watch, session);
	if (w->started)
		pthread_setschedparam(w->thread, SCHED_FIFO, &priority);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void warden_stop(struct warden *w)
{
	w->stop = true;
	if (w->started)
		pthread_join(w->thread, NULL);
	w->started = false;
}

void warden_deinit(struct warden *w)
{
	warden_stop(w);
	pthread_mutex_destroy(&w->heap_lock);
	pthread_mutex_destroy(&w->lock);
}
