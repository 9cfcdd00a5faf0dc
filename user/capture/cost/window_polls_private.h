/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inside of window_polls.h, for its files: one for each heap that can be read. */
#ifndef HEAPSONDE_CAPTURE_COST_WINDOW_POLLS_PRIVATE_H
#define HEAPSONDE_CAPTURE_COST_WINDOW_POLLS_PRIVATE_H

#include "capture/cost/window_polls.h"

#define OLDER_MAX 20000		/* older blocks that are followed at most, but for large ones */
#define CONTENT_READ 1		/* in the place of what tells of glibc's chunks */
#define BATCH 32		/* blocks read by one system call */

/* What one look at all that is followed has shown. */
struct poll {
	uint32_t pid;
	const struct poll_evidence *evidence;
	struct followed_vec first, ended, other_look;
};

/* @now has ended, which was known as @before; @now is that with what was read of it first. */
void polls_end(struct poll *poll, const struct followed *before, const struct followed *now);
/* Notes in @followed what the block begins with. False: the process is gone. */
bool polls_take_content(const struct poll *poll, struct followed *followed);
/* It has ended if less than half of that is as it was at first. False: the process is gone. */
bool polls_judge_content(struct poll *poll, const struct followed *followed);

#endif
