/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who keeps --mode auto within its budget while allocators are probed all the
 * time: a thread of its own, because whoever names stacks or writes a snapshot has
 * no time to look for seconds.
 *
 *	hits, their price, the target's CPU time -> debt -> probes removed, session called
 *
 * What takes their place is the session's affair (auto.c).
 */
#ifndef HEAPSONDE_CAPTURE_COST_WARDEN_H
#define HEAPSONDE_CAPTURE_COST_WARDEN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct session;

struct warden {
	pthread_t thread;
	bool started;
	atomic_bool stop;
	atomic_bool armed;	/* there are probes that may be removed */
	atomic_bool cut;	/* they were */
	pthread_mutex_t heap_lock;	/* held while the heap's probes are set or removed */
	uint32_t pid;
	pthread_mutex_t lock;
	/* Under the lock. */
	uint64_t cut_ns;
	double debt_ns;		/* spent beyond the budget, less what was saved meanwhile */
	double old_debt_ns;	/* of that, what another level has left */
	double share;		/* of the CPU time, lately */
};

void warden_init(struct warden *warden);
/* Watches the one process @pid; not armed yet. Without a thread it never cuts. */
void warden_start(struct warden *warden, struct session *session, uint32_t pid);
/* Another level: its share is not known yet, and what is owed is not its fault. */
void warden_begin_level(struct warden *warden, double debt_ns);
/* CPU time that this level has overspent, and how much is lent. */
double warden_owes(const struct session *session);
double warden_credit_ns(const struct session *session);
void warden_stop(struct warden *warden);
void warden_deinit(struct warden *warden);

#endif
