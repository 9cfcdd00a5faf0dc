/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What heapsonde itself takes of the processors, looked at over spans of some seconds.
 * Each span in which it is too much costs a step: it looks more seldom, then it samples,
 * in the end it lets go of the targets. What was recorded stays. (--mode exact and windows
 * know no sampling: there that step is left out.)
 */
#ifndef HEAPSONDE_CAPTURE_COST_WATCHDOG_H
#define HEAPSONDE_CAPTURE_COST_WATCHDOG_H

enum watchdog_step {
	WATCHDOG_CALM,
	WATCHDOG_THIN,		/* look more seldom */
	WATCHDOG_SAMPLE,	/* record fewer allocations, where the level can */
	WATCHDOG_LET_GO,
};

struct watchdog {
	double most;		/* processors */
	double since_s, since_cpu_s;
	double share;		/* processors, in the last whole span */
	enum watchdog_step step;
};

/* Three quarters of the processors there are, two at most. */
double watchdog_default(void);

/*
 * @now_s, @cpu_s: time passed, and processor time taken, since whenever. Gives the step to
 * be taken now, WATCHDOG_CALM if none.
 */
enum watchdog_step watchdog_look(struct watchdog *dog, double now_s, double cpu_s);

#endif
