/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Profiles for speedscope (https://www.speedscope.app): its JSON file format,
 * "sampled" profiles in which each call path is one sample with its value as
 * weight. A profile for each target, and first one of all if there are several.
 */
#ifndef HEAPSONDE_EXPORT_SPEEDSCOPE_H
#define HEAPSONDE_EXPORT_SPEEDSCOPE_H

#include <stdio.h>

#include "base/error.h"
#include "model/snapshot.h"

/* @metric is one that counts; else ERROR_USAGE. */
struct error *export_speedscope(const struct snapshot *snap, FILE *f, const char *metric)
	__must_check;

#endif
