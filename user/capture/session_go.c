// SPDX-License-Identifier: GPL-2.0-or-later
/* What Go targets' runtimes know, as part of a session; see session_private.h. */
#include <inttypes.h>
#include <math.h>

#include "base/log.h"
#include "capture/session_private.h"

/* What is read is gone for good with a process, so the last figures stay. */
static void read_image_runtime(struct session *s, struct image *image)
{
	struct error *err = session_find_runtime(image);
	struct runtime_figures figures;

	if (!err && image->go)
		err = go_runtime_read(image->go, &figures);
	if (!err && image->go) {
		s->runtime = (struct snapshot_runtime){
			"go", go_runtime_version(image->go), figures,
		};
		go_profile_read(image->go, &image->profile);
	}
	if (err && err->code == ERROR_UNSUPPORTED) {
		log_warn("process %" PRIu32 " (%s): %s", image->pid, image->id.comm, err->message);
		go_runtime_close(image->go);
		image->go = NULL;
	}
	error_destroy(err);
}

void session_read_runtimes(struct session *s)
{
	vec_for_each(image, &s->images)
		if (!image->ended)
			read_image_runtime(s, image);
}

bool session_has_profile(const struct session *s, int64_t *rate_ret)
{
	vec_for_each(image, &s->images) {
		if (!image->profile.rate || !image->profile.rows.len)
			continue;
		if (rate_ret)
			*rate_ret = image->profile.rate;
		return true;
	}
	return false;
}

/* Sums of independent estimates: their errors add up in squares. */
static void add_metrics(struct metrics *sum, const struct metrics *m)
{
#define ADD(name) sum->name += m->name
	ADD(live_bytes);
	ADD(live_count);
	ADD(alloc_bytes);
	ADD(alloc_count);
	ADD(free_bytes);
	ADD(free_count);
#undef ADD
#define X(name, unit) sum->name##_error = hypot(sum->name##_error, m->name##_error);
	ESTIMATED_METRICS(X)
#undef X
}

void session_add_profile_totals(const struct session *s, struct metrics *total)
{
	vec_for_each(image, &s->images)
		if (image->profile.rate)
			add_metrics(total, &image->profile.total);
}
