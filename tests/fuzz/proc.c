// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target for the kernel's lists of mappings, whose names the target
 * chooses: maps and smaps. What their headers promise is required.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "capture/ledger/smaps.h"
#include "symbol/maps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *text_of(const uint8_t *data, size_t size)
{
	char *text = xmalloc(size + 1);		/* with an end that ASan sees */

	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

static void require_inside(const char *path, const char *text, size_t size)
{
	if (path < text || path > text + size || strlen(path) > size)
		abort();
}

static void check_maps(const uint8_t *data, size_t size)
{
	__cleanup(maps_line_vec_deinit) struct maps_line_vec lines = { 0 };
	__cleanup_free char *text = text_of(data, size);
	uint64_t end = 0;

	maps_parse(text, &lines);
	vec_for_each(line, &lines) {
		if (line->start >= line->end || line->start < end)
			abort();
		end = line->end;
		require_inside(line->path, text, size);
	}
}

static void check_smaps(const uint8_t *data, size_t size)
{
	__cleanup(smaps_entry_vec_deinit) struct smaps_entry_vec entries = { 0 };
	__cleanup_free char *text = text_of(data, size);

	smaps_parse(text, &entries);
	vec_for_each(entry, &entries) {
		if (entry->start >= entry->end || entry->rss < 0 || entry->anonymous < 0)
			abort();
		if (*entry->path)
			require_inside(entry->path, text, size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_maps(data, size);
	check_smaps(data, size);
	return 0;
}
