// SPDX-License-Identifier: GPL-2.0-or-later
/* Parsing /proc/PID/smaps; see smaps.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "capture/ledger/smaps.h"

/* "start-end perms offset major:minor inode     path" */
static bool parse_head(char *line, struct smaps_entry *ret)
{
	unsigned long long start, end, inode;
	char perms[5];
	int path = 0;

	if (sscanf(line, "%llx-%llx %4s %*x %*x:%*x %llu %n", &start, &end, perms, &inode,
		   &path) < 4 || start >= end)
		return false;
	*ret = (struct smaps_entry){
		.start = start, .end = end, .readable = perms[0] == 'r',
		.writable = perms[1] == 'w', .shared = perms[3] == 's', .file = inode,
		.path = path ? line + path : "",
	};
	return true;
}

static void parse_field(const char *line, struct smaps_entry *entry)
{
	const struct { const char *key; int64_t *value; } fields[] = {
		{ "Rss:", &entry->rss }, { "Anonymous:", &entry->anonymous },
		{ "Pss:", &entry->pss }, { "Swap:", &entry->swap },
		{ "LazyFree:", &entry->lazy_free },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		size_t len = strlen(fields[i].key);
		int64_t kilobytes;

		if (!strncmp(line, fields[i].key, len) &&
		    sscanf(line + len, "%" SCNd64, &kilobytes) == 1 &&
		    kilobytes >= 0 && kilobytes <= INT64_MAX / 1024)
			*fields[i].value = kilobytes * 1024;
	}
}

/*
 * The file is not of one moment. A mapping that grew while it was read is there
 * twice, the second time with what it grew by, which is then the one that counts.
 */
static void add_entry(struct smaps_entry_vec *entries, const struct smaps_entry *entry)
{
	while (entries->len && entries->data[entries->len - 1].start >= entry->start)
		entries->len--;
	smaps_entry_vec_push(entries, *entry);
}

/* Fields begin with a capital letter, mappings with a digit or a small one. */
void smaps_parse(char *text, struct smaps_entry_vec *ret)
{
	char *newline;

	for (; (newline = strchr(text, '\n')); text = newline + 1) {
		struct smaps_entry entry;

		*newline = '\0';
		if (*text >= 'A' && *text <= 'Z') {
			if (ret->len)
				parse_field(text, &ret->data[ret->len - 1]);
		} else if (parse_head(text, &entry)) {
			add_entry(ret, &entry);
		}
	}
}
