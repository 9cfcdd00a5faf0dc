// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * preload LIBRARY CMD [ARG...]: runs CMD with LIBRARY preloaded, without a
 * single allocation of its own, so that a profiler that starts this program
 * sees the library's side of the books and nothing else.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VARIABLES 1024

extern char **environ;

int main(int argc, char **argv)
{
	static char setting[4096];
	static char *variables[VARIABLES + 2];
	int n = 0;

	if (argc < 3 || snprintf(setting, sizeof(setting), "LD_PRELOAD=%s", argv[1]) >= 4096)
		return 2;
	for (char **v = environ; *v && n < VARIABLES; v++)
		if (strncmp(*v, "LD_PRELOAD=", 11))
			variables[n++] = *v;
	variables[n] = setting;
	environ = variables;
	execvp(argv[2], argv + 2);
	return 127;
}
