// SPDX-License-Identifier: GPL-2.0-or-later
/* A heapsonde built without npm (make HTML=0) says so instead of writing half a page. */
#undef HTML
#define HTML 0
#include "user/export/html.c"

#include "tests/unit/fixture.h"
#include "tests/unit/test.h"

TEST(says_what_is_missing)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct history *history __cleanup(history_destroyp) = history_create();
	struct error *early __cleanup_error = export_html_check();
	struct error *late __cleanup_error = NULL;
	FILE *f __cleanup_fclose = tmpfile();

	check(early);
	check_int(early->code, ERROR_UNSUPPORTED);
	check(strstr(early->message, "HTML=0"));
	late = export_html(snap, history, f);
	check(late);
	check_int(ftell(f), 0);
}
