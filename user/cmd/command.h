/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands. Each takes parsed options and sets the exit status when it
 * is not 0 and not an error; main.c prints errors and knows nothing else.
 */
#ifndef HEAPSONDE_CMD_COMMAND_H
#define HEAPSONDE_CMD_COMMAND_H

#include <stdio.h>

#include "base/error.h"
#include "cmd/options.h"
#include "model/snapshot.h"

struct error *cmd_top(const struct options *opts, int *status) __must_check;
struct error *cmd_record(const struct options *opts, int *status) __must_check;
struct error *cmd_report(const struct options *opts, int *status) __must_check;
struct error *cmd_export(const struct options *opts, int *status) __must_check;
struct error *cmd_symbolize(const struct options *opts, int *status) __must_check;
struct error *cmd_mark(const struct options *opts, int *status) __must_check;
struct error *cmd_diff(const struct options *opts, int *status) __must_check;
struct error *cmd_doctor(const struct options *opts, int *status) __must_check;

struct history;

/*
 * Writes a snapshot in the format of the options; what cmd_export() and the
 * screen share. @history: for formats that show more than one moment.
 */
struct error *export_write(const struct snapshot *snap, struct history *history, FILE *f,
			   const struct output_options *options) __must_check;

#endif
