// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The flight recorder's part of a session: it tells when memory runs short, so
 * that what is known is brought to the disk in time, and what killed a target.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/format.h"
#include "base/log.h"
#include "capture/ledger/distress.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"
#include "symbol/line_reader.h"

#define LOOK_PAUSE_S 0.05
#define LIMIT_MET_S 10.0	/* so long ago may be what a kill is for */
#define LEDGER_FRESH_S 0.1
/* Of the limit: less room than that is short, and twice as much is not. */
#define SHORT_SHARE 8
#define SHORT_MAX (32ll << 20)	/* two readers of large files */

/*
 * What the account may cost when it matters: half a core where room runs out,
 * which is told a few times only, and a tenth else.
 */
static bool ledger_is_old(const struct session *s, double now_s)
{
	double pause = (s->sign == DISTRESS_ROOM ? 2 : 10) * s->ledger_took_s;

	return now_s - s->ledger_read_s > (pause > LEDGER_FRESH_S ? pause : LEDGER_FRESH_S);
}

bool session_look_for_distress(struct session *s, double now_s)
{
	enum distress_sign sign;

	if (now_s < s->next_look_for_distress_s && !s->sign)
		return false;
	s->next_look_for_distress_s = now_s + LOOK_PAUSE_S;
	sign = session_all_ended(s) ? DISTRESS_NONE :
	       distress_look(&s->distress, &s->ledger, now_s);
	if (s->sign < sign)
		s->sign = sign;
	if (!s->sign)
		return false;
	/* Of one that is being killed, what is left is not what it had. */
	if (s->sign != DISTRESS_VICTIM && ledger_is_old(s, now_s))
		s->next_ledger_s = 0;
	return true;
}

bool session_shares_limit(struct session *s)
{
	const struct image *image = s->images.len ? &s->images.data[0] : NULL;

	return image && ledger_same_limit(&s->ledger, image->pid, (uint32_t)getpid());
}

/* What we take counts against the limit that the targets meet first. */
static bool takes_from_targets(struct session *s)
{
	const char *kind = s->ledger.limit.kind ?: "none";

	return !strcmp(kind, "machine") ||
	       (!strcmp(kind, "cgroup") && session_shares_limit(s));
}

static bool is_short(struct session *s)
{
	const struct memory_limit *limit = &s->ledger.limit;
	int64_t little = limit->bytes / SHORT_SHARE;

	if (limit->bytes < 0 || session_all_ended(s))
		return false;
	ledger_glance(&s->ledger);
	if (little > SHORT_MAX)
		little = SHORT_MAX;
	return limit->bytes - limit->used_bytes < (s->memory_short ? 2 : 1) * little &&
	       takes_from_targets(s);
}

void session_look_at_room(struct session *s)
{
	double now_s = session_watched_s(s);
	bool was_short = s->memory_short;

	if (now_s < s->next_look_at_room_s)
		return;
	s->next_look_at_room_s = now_s + LOOK_PAUSE_S;
	s->memory_short = is_short(s);
	if (!s->memory_short || was_short)
		return;
	line_readers_rest();
	if (!s->told_of_short_memory)
		log_info("at %.1f s memory is short for the target and for heapsonde: call paths"
			 " that are new get their names when it is not", now_s);
	s->told_of_short_memory = true;
}

bool session_was_short(const struct session *s)
{
	return s->memory_short;
}

void session_raise_alarms(struct session *s)
{
	s->alarms = true;
}

const char *session_alarm(struct session *s)
{
	const char *words = distress_sign_words(s->sign);

	s->sign = DISTRESS_NONE;
	return words;
}

/* The cgroup whose limit was met of late, or NULL: then it was the machine's memory. */
static const struct cgroup_memory *met_limit(const struct session *s)
{
	const struct cgroup_memory *found = NULL;

	if (!s->distress.limit_met_s ||
	    session_watched_s(s) - s->distress.limit_met_s > LIMIT_MET_S)
		return NULL;
	vec_for_each(cgroup, &s->ledger.cgroups)
		if (cgroup->limit_bytes >= 0 && cgroup->limit_events > 0 &&
		    (!found || cgroup->limit_events > found->limit_events))
			found = cgroup;
	return found;
}

static char *describe_oom(struct session *s)
{
	const struct cgroup_memory *cgroup;
	char buf[FORMAT_MAX];

	distress_look(&s->distress, &s->ledger, session_watched_s(s));
	cgroup = met_limit(s);
	if (!cgroup)
		return xstrdup("killed by the OOM killer (signal 9): "
			       "the machine ran out of memory");
	return xasprintf("killed by the OOM killer (signal 9): its cgroup met its limit of %s",
			 format_bytes(cgroup->limit_bytes, buf));
}

static int64_t rss_of(const struct session *s, uint32_t pid)
{
	vec_for_each(process, &s->ledger.processes)
		if (process->pid == pid)
			return process->figures.rss_bytes;
	return -1;
}

void session_note_victim(struct session *s, struct image *image)
{
	struct reclaim_event event;

	if (!image || image->ended || image->oom_reason)
		return;
	image->oom_reason = describe_oom(s);
	event = (struct reclaim_event){
		.kind = RECLAIM_OOM_KILL, .tgid = image->pid, .time_ns = session_now_ns(),
		.bytes = rss_of(s, image->pid), .detail = image->oom_reason,
	};
	pthread_mutex_lock(&s->lock);
	model_reclaim(s->model, &event);
	pthread_mutex_unlock(&s->lock);
	s->sign = DISTRESS_VICTIM;
}

/*
 * Where no tracepoint told of it: a process that ended by SIGKILL while the
 * kernel's count of OOM kills rose was, as far as can be told, the one.
 */
static void suspect_oom(struct session *s, struct image *image, int status)
{
	int64_t kills = distress_kills();

	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !s->skel->links.oom_victim &&
	    kills > s->oom_kills)
		session_note_victim(s, image);
	s->oom_kills = kills;
}

char *session_describe_exit(struct session *s, struct image *image, int status)
{
	suspect_oom(s, image, status);
	if (image->oom_reason && WIFSIGNALED(status))
		return xstrdup(image->oom_reason);
	if (WIFSIGNALED(status))
		return xasprintf("killed by signal %d (%s)%s", WTERMSIG(status),
				 sigabbrev_np(WTERMSIG(status)) ?: "?",
				 WCOREDUMP(status) ? ", core dumped" : "");
	return xasprintf("exited with status %d", WEXITSTATUS(status));
}
