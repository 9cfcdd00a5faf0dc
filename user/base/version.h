/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which heapsonde this is; the Makefile writes what stands behind it. */
#ifndef HEAPSONDE_BASE_VERSION_H
#define HEAPSONDE_BASE_VERSION_H

extern const char heapsonde_version[];

#endif
