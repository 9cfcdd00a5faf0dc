// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A preloaded malloc wrapper, as debugging allocators are: every call goes
 * on to the next malloc, unless the hook that the program has set jumps
 * out of the wrapper first. Then the call that a profiler saw begin never ends.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

void (*wrap_hook)(void);

static void *(*next_malloc)(size_t n);
static void *(*next_calloc)(size_t count, size_t n);
static void *(*next_realloc)(void *p, size_t n);
static void (*next_free)(void *p);

/* For what the dynamic linker asks before it has told where the next one is. */
static char early[4096] __attribute__((aligned(16)));
static size_t early_used;

static void *early_alloc(size_t n)
{
	void *p = early + early_used;

	early_used += (n + 15) & ~(size_t)15;
	return early_used <= sizeof(early) ? p : NULL;
}

static int is_early(const void *p)
{
	return (const char *)p >= early && (const char *)p < early + sizeof(early);
}

__attribute__((constructor)) static void find_next(void)
{
	next_calloc = dlsym(RTLD_NEXT, "calloc");
	next_realloc = dlsym(RTLD_NEXT, "realloc");
	next_free = dlsym(RTLD_NEXT, "free");
	next_malloc = dlsym(RTLD_NEXT, "malloc");
}

void *malloc(size_t n)
{
	if (!next_malloc)
		return early_alloc(n);
	if (wrap_hook)
		wrap_hook();
	return next_malloc(n);
}

void *calloc(size_t count, size_t n)
{
	return next_calloc ? next_calloc(count, n) : early_alloc(count * n);
}

void *realloc(void *p, size_t n)
{
	if (is_early(p)) {
		void *q = malloc(n);

		return q ? memcpy(q, p, n) : NULL;	/* stays within early */
	}
	if (wrap_hook)
		wrap_hook();
	return next_realloc ? next_realloc(p, n) : early_alloc(n);
}

void free(void *p)
{
	if (!is_early(p))
		next_free(p);
}
