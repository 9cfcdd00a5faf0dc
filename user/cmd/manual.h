/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is made of the option table when heapsonde is installed: a manual page a
 * command, and what shells complete.
 */
#ifndef HEAPSONDE_CMD_MANUAL_H
#define HEAPSONDE_CMD_MANUAL_H

#include <stdio.h>

#include "base/error.h"

/*
 * Writes the manual page (man(7)) of command @name, or of the program itself
 * where it is "heapsonde". @text is what only people can write: its sections,
 * with lines @OPTIONS@, @KEYS@ or @COMMANDS@ where those of the tables are to
 * stand. ERROR_USAGE if there is no such command.
 */
struct error *manual_write(const char *name, FILE *text, FILE *out) __must_check;

/* Writes a completion script for "bash", "zsh" or "fish"; ERROR_USAGE for another. */
struct error *completion_write(const char *shell, FILE *out) __must_check;

#endif
