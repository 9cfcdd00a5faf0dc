/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A snapshot as the JSON object of `report --json` (README, "JSON"). Names
 * and numbers come from the field tables of model/fields.h.
 */
#ifndef HEAPSONDE_EXPORT_JSON_H
#define HEAPSONDE_EXPORT_JSON_H

#include <stddef.h>
#include <stdio.h>

#include "model/snapshot.h"

/*
 * Stacks stand in the snapshot's order, at most @limit of them (0: all).
 * Whether everything could be written is for the owner of @f to check.
 */
void export_json(const struct snapshot *snap, FILE *f, size_t limit);

/* @s in quotes, whatever bytes it has. */
void json_put_string(FILE *f, const char *s);

#endif
