// SPDX-License-Identifier: GPL-2.0-or-later
/* Parsing /proc/PID/maps; see maps.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "symbol/maps.h"

/* Reads a number at *@p that is followed by @end and steps over both. */
static bool take_number(char **p, int base, char end, uint64_t *ret)
{
	char *rest;

	/* strtoull() would also take blanks and signs. */
	if (**p == ' ' || **p == '+' || **p == '-')
		return false;
	errno = 0;
	*ret = strtoull(*p, &rest, base);
	if (errno || rest == *p || *rest != end)
		return false;
	*p = rest + 1;
	return true;
}

/* The kernel writes a newline in a path as \012, and nothing else so. */
static void unescape(char *path)
{
	char *to = strstr(path, "\\012");
	const char *from = to;

	if (!to)
		return;
	while (*from) {
		if (!strncmp(from, "\\012", 4)) {
			*to++ = '\n';
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

/* "start-end perms offset major:minor inode     path" */
static bool parse_line(char *p, struct maps_line *ret)
{
	uint64_t major_nr, minor_nr;

	if (!take_number(&p, 16, '-', &ret->start) || !take_number(&p, 16, ' ', &ret->end))
		return false;
	if (ret->start >= ret->end || strlen(p) < 5 || p[4] != ' ')
		return false;
	ret->executable = p[2] == 'x';
	p += 5;
	if (!take_number(&p, 16, ' ', &ret->offset) ||
	    !take_number(&p, 16, ':', &major_nr) || !take_number(&p, 16, ' ', &minor_nr))
		return false;
	ret->dev = makedev(major_nr, minor_nr);
	/* Anonymous memory: the inode may end the line. */
	if (!take_number(&p, 10, ' ', &ret->ino)) {
		ret->path = p + strlen(p);
		return take_number(&p, 10, '\0', &ret->ino);
	}
	p += strspn(p, " ");
	unescape(p);
	ret->path = p;
	return true;
}

void maps_parse(char *text, struct maps_line_vec *ret)
{
	uint64_t previous_end = 0;
	char *newline;

	/* A last line without its newline was cut off. */
	for (; (newline = strchr(text, '\n')); text = newline + 1) {
		struct maps_line line = { 0 };

		*newline = '\0';
		if (!parse_line(text, &line) || line.start < previous_end)
			continue;
		previous_end = line.end;
		maps_line_vec_push(ret, line);
	}
}
