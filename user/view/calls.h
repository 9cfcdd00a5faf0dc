/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The call tree of what is shown, as the views Tree and Flame have it in common. */
#ifndef HEAPSONDE_VIEW_CALLS_H
#define HEAPSONDE_VIEW_CALLS_H

#include "model/calltree.h"
#include "view/ui.h"

/*
 * Of the stacks that pass the filter, by ui->metric, inverted or not; of their
 * changes if a base is set. Of ui->calls: it is filled when something changed
 * since, and stays as it is until views derive anew.
 */
struct calltree *calls_tree(struct ui *ui);
void calls_deinit(struct calls *calls);
/*
 * Walks some more paths of what is shown, between two keys, so that the key that
 * asks for the tree finds most of it made; returns whether any are left.
 */
bool calls_prepare(struct ui *ui);

/* The next metric that counts. */
unsigned int calls_next_metric(struct ui *ui);
unsigned int calls_invert(struct ui *ui);

/* In the metric's unit, "+" in front of growth since a base. */
const char *calls_value(const struct ui *ui, double value, char buf[FORMAT_MAX]);
/* Of the whole, 0 to 1. */
double calls_share(const struct calltree *tree, uint32_t node);

/* "live_bytes by caller, since mark 1" */
void calls_subject(const struct ui *ui, struct strbuf *sb);

#endif
