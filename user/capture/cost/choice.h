/* SPDX-License-Identifier: GPL-2.0-or-later */
/* By what --mode auto chooses where it begins (auto.c), and doctor tells of it. */
#ifndef HEAPSONDE_CAPTURE_COST_CHOICE_H
#define HEAPSONDE_CAPTURE_COST_CHOICE_H

#include "capture/attach.h"

/* Share of a core from which on a process is busy: looked at before it is probed. */
#define CHOICE_BUSY 0.01

/* Whether the object gives blocks by malloc and its kin. */
bool choice_has_malloc(const struct object_plan *object);
/* Whether the object has an allocator that maps memory by calls of the C library. */
bool choice_maps_through_library(const struct object_plan *object);
/* Whether another allocator than glibc's stands in front of it, or instead. */
bool choice_is_foreign(const struct probe_plan *plan);
/* Why windows cannot watch all that is planned, in words; NULL: they can. */
const char *choice_no_windows(const struct probe_plan *plan, enum attach_method method);

#endif
