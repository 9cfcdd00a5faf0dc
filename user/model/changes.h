/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What changed between two moments of one source, as a snapshot: like the later
 * one, but its stacks are the rows of a diff (model/diff.h) and their metrics
 * and shares what changed. So whatever shows a snapshot shows changes, by call
 * path: a library that was loaded again elsewhere is the same, and what only the
 * earlier moment had is there as well.
 *
 *	sums		later - earlier, also below zero
 *	growth		that of live bytes, over the time between them
 *	oldest		of the later moment
 *	errors		add up in squares
 */
#ifndef HEAPSONDE_MODEL_CHANGES_H
#define HEAPSONDE_MODEL_CHANGES_H

#include "model/snapshot.h"

/* The caller's. It keeps a reference of @new and nothing of @old. */
struct snapshot *changes_between(const struct snapshot *old, struct snapshot *new);

#endif
