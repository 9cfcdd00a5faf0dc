// SPDX-License-Identifier: GPL-2.0-or-later
/* Signs of memory running short; see distress.h. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "capture/ledger/distress.h"

#define ROOM_SHARE 8		/* of the limit: less room than that is little */
#define SOON_S 2.0
#define PAUSE_S 1.0
#define WAITING_SHARE 0.2	/* of the time since the last look */

const char *distress_sign_words(enum distress_sign sign)
{
	static const char *const words[DISTRESS_SIGNS_COUNT] = {
#define X(sign, text) [sign] = text,
		DISTRESS_SIGNS(X)
#undef X
	};

	return words[sign];
}

/* An eighth of the limit, or what will be used up in a moment: half of it at most. */
static int64_t little_room(const struct ledger *ledger)
{
	struct trend trend = forecast_trend(&ledger->rss);
	int64_t limit = ledger->limit.bytes, little = limit / ROOM_SHARE, soon;

	if (trend.confidence < GROWTH_SURE || trend.per_s <= 0)
		return little;
	soon = trend.per_s * SOON_S < (double)limit / 2 ? (int64_t)(trend.per_s * SOON_S) :
	       limit / 2;
	return soon > little ? soon : little;
}

static bool room_is_news(struct distress *d, const struct ledger *ledger)
{
	const struct memory_limit *limit = &ledger->limit;
	int64_t room = limit->bytes - limit->used_bytes, little;

	if (limit->bytes < 0)
		return false;
	little = little_room(ledger);
	/* Twice as much as little: there is room again. */
	if (room > 2 * little)
		d->alarm_room = 0;
	if (room >= (d->alarm_room ? d->alarm_room : little))
		return false;
	d->alarm_room = room / 2 > 0 ? room / 2 : 1;
	return true;
}

static int64_t add_up(int64_t sum, int64_t value)
{
	return value > 0 ? sum + value : sum;
}

enum distress_sign distress_look(struct distress *d, struct ledger *ledger, double t_s)
{
	int64_t limit_events = 0, high_events = 0, full_us = 0;
	enum distress_sign sign = DISTRESS_NONE;
	struct distress before = *d;

	ledger_glance(ledger);
	vec_for_each(cgroup, &ledger->cgroups) {
		limit_events = add_up(limit_events, cgroup->limit_events);
		high_events = add_up(high_events, cgroup->high_events);
		full_us = add_up(full_us, cgroup->full_us);
	}
	d->known = ledger->cgroups.len > 0;
	d->looked_s = t_s;
	d->limit_events = limit_events;
	d->high_events = high_events;
	d->full_us = full_us;
	if (before.known && limit_events > before.limit_events) {
		d->limit_met_s = t_s;
		sign = DISTRESS_LIMIT;
	} else if (before.known && high_events > before.high_events) {
		sign = DISTRESS_HIGH;
	} else if (before.known && (double)(full_us - before.full_us) / 1e6 >
				   WAITING_SHARE * (t_s - before.looked_s)) {
		sign = DISTRESS_WAITING;
	}
	if (room_is_news(d, ledger)) {
		d->told_s = t_s;
		return DISTRESS_ROOM;
	}
	if (!sign || (before.told_s > 0 && t_s - before.told_s < PAUSE_S))
		return DISTRESS_NONE;
	d->told_s = t_s;
	return sign;
}

int64_t distress_kills(void)
{
	__cleanup_fclose FILE *f = fopen("/proc/vmstat", "re");
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "oom_kill ", 9))
			return strtoll(line + 9, NULL, 10);
	return -1;
}
