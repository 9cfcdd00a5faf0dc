// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A library to be loaded and unloaded: it allocates from a function of its
 * own, below a callback into the program as plugins do. Built with other
 * names, it takes the addresses that the first one left.
 */
#include <stdlib.h>

#ifndef PLUGIN_SITE
#define PLUGIN_SITE site_plugin
#endif
#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

/* Calls @run with what allocates here, notes it there, and returns. */
void plugin_run(void (*run)(void (*)(void)), void (*note)(const char *site));
void PLUGIN_SITE(void);

static void (*plugin_note)(const char *site);
static void *volatile plugin_kept;

__attribute__((noinline)) void PLUGIN_SITE(void)
{
	plugin_kept = malloc(77);
	plugin_note(TEXT(PLUGIN_SITE));
	__asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void plugin_run(void (*run)(void (*)(void)),
					  void (*note)(const char *site))
{
	plugin_note = note;
	run(PLUGIN_SITE);
	__asm__ volatile("" ::: "memory");
}
