/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole report as one page for a browser: summary, timeline, flame graph,
 * call paths, losses. It is user/export/html, bundled when heapsonde is built,
 * with the numbers put in: columns rather than objects, every string and frame
 * once, stacks as a tree that shares their callers, and for each stack the
 * moments at which it changed. The page loads nothing and runs nothing but itself.
 */
#ifndef HEAPSONDE_EXPORT_HTML_H
#define HEAPSONDE_EXPORT_HTML_H

#include <stdio.h>

#include "base/error.h"
#include "export/history.h"
#include "model/snapshot.h"

/*
 * ERROR_UNSUPPORTED if this heapsonde was built without the page (make HTML=0). To be asked
 * before the work of collecting a history.
 */
struct error *export_html_check(void) __must_check;

/*
 * @snap is the last moment, whose stacks are shown; @history has the ones
 * before it and, after this, @snap too. Whether everything could be written is
 * for the owner of @f to check.
 */
struct error *export_html(const struct snapshot *snap, struct history *history, FILE *f)
	__must_check;

#endif
