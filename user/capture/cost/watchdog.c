// SPDX-License-Identifier: GPL-2.0-or-later
/* Our own cost, and what is done about it; see watchdog.h. */
#include <unistd.h>

#include "base/log.h"
#include "capture/session_private.h"

#define SPAN_S 1.5
#define PART_OF_ALL 0.75
#define MOST 2.0
#define THINNER 4		/* times as long between two looks */

double watchdog_default(void)
{
	double part = PART_OF_ALL * (double)sysconf(_SC_NPROCESSORS_ONLN);

	return part < MOST ? part : MOST;
}

enum watchdog_step watchdog_look(struct watchdog *dog, double now_s, double cpu_s)
{
	double span_s = now_s - dog->since_s;

	if (span_s < SPAN_S)
		return WATCHDOG_CALM;
	dog->share = (cpu_s - dog->since_cpu_s) / span_s;
	dog->since_s = now_s;
	dog->since_cpu_s = cpu_s;
	if (dog->share <= dog->most)
		return WATCHDOG_CALM;
	if (dog->step < WATCHDOG_LET_GO)
		dog->step++;
	return dog->step;
}

static void tell(const struct watchdog *dog, const char *consequence)
{
	log_warn("heapsonde itself takes %.0f %% of a processor, more than --max-own-cpu %g: %s",
		 100 * dog->share, 100 * dog->most, consequence);
}

/* False if nobody may be left out, or nothing more can be. */
static bool sample(struct session *s)
{
	if (s->settings.exact || s->sample_bytes || !session_can_sample(s) ||
	    !session_probes_allocations(s))
		return false;
	session_set_sampling(s, SESSION_SAMPLE_BYTES);
	return true;
}

bool session_keep_own_cost(struct session *s, double now_s)
{
	switch (watchdog_look(&s->watchdog, now_s, session_own_cpu_s())) {
	case WATCHDOG_CALM:
		return true;
	case WATCHDOG_THIN:
		tell(&s->watchdog, "it looks four times as seldom from now on");
		session_set_interval(s, s->settings.interval_s * THINNER);
		s->thinner = THINNER;
		return true;
	case WATCHDOG_SAMPLE:
		if (sample(s)) {
			tell(&s->watchdog, "one allocation in 512 KiB is recorded from now on");
			return true;
		}
		s->watchdog.step = WATCHDOG_LET_GO;
		/* fallthrough */
	case WATCHDOG_LET_GO:
		tell(&s->watchdog, "the watching ends here");
	}
	return false;
}

double session_thinner(const struct session *s)
{
	return s->thinner;
}
