/* SPDX-License-Identifier: GPL-2.0-or-later */
/* heapsonde --version [-v]: the version; with -v also what this kernel has. */
#ifndef HEAPSONDE_CMD_VERSION_H
#define HEAPSONDE_CMD_VERSION_H

#include <stdbool.h>

/* The exit status. */
int cmd_version(bool verbose);

#endif
