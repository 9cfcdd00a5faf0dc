// SPDX-License-Identifier: GPL-2.0-or-later
/* One line that says how far it is; see progress.h. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/progress.h"

#define SHOW_AFTER_NS 1000000000ull
#define REDRAW_NS 100000000ull

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

void progress_begin(struct progress *progress, const char *what)
{
	*progress = (struct progress){
		.what = what,
		.start_ns = now_ns(),
		.silent = log_is_quiet() || !isatty(STDERR_FILENO),
	};
}

void progress_update(struct progress *progress, uint64_t done, uint64_t total)
{
	uint64_t now;

	if (progress->silent)
		return;
	now = now_ns();
	if (now - progress->start_ns < SHOW_AFTER_NS || now - progress->drawn_ns < REDRAW_NS)
		return;
	progress->drawn_ns = now;
	if (total)
		fprintf(stderr, LOG_TO_LINE_START "heapsonde: %s: %" PRIu64 " of %" PRIu64,
			progress->what, done, total);
	else
		fprintf(stderr, LOG_TO_LINE_START "heapsonde: %s ...", progress->what);
	fflush(stderr);
	log_set_unended(true);
}

void progress_end(struct progress *progress)
{
	if (!progress->drawn_ns)
		return;
	fputs(LOG_TO_LINE_START, stderr);
	fflush(stderr);
	log_set_unended(false);
	progress->drawn_ns = 0;
}
