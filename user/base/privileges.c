// SPDX-License-Identifier: GPL-2.0-or-later
/* Giving up capabilities; see privileges.h. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/privileges.h"

#define BIT(capability) (1ull << (capability))

static uint64_t kept_capabilities(void)
{
#define X(capability, what_for) | BIT(capability)
	return 0 KEPT_CAPABILITIES(X);
#undef X
}

static uint64_t file_capabilities(void)
{
#define X(capability) | BIT(capability)
	return 0 FILE_CAPABILITIES(X);
#undef X
}

struct capabilities { uint64_t effective, permitted; };

static bool get(struct capabilities *ret)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return false;
	ret->effective = (uint64_t)data[1].effective << 32 | data[0].effective;
	ret->permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return true;
}

/* Nothing is inheritable. */
static void set(const struct capabilities *c)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	const struct __user_cap_data_struct data[2] = {
		{ (uint32_t)c->effective, (uint32_t)c->permitted, 0 },
		{ (uint32_t)(c->effective >> 32), (uint32_t)(c->permitted >> 32), 0 },
	};

	syscall(SYS_capset, &header, data);
}

void privileges_reduce(unsigned int also)
{
	uint64_t awake = kept_capabilities() | (also & PRIVILEGES_KILL ? BIT(CAP_KILL) : 0) |
			 (also & PRIVILEGES_NICE ? BIT(CAP_SYS_NICE) : 0) |
			 (also & PRIVILEGES_PROBES ? BIT(CAP_SYS_ADMIN) : 0);
	uint64_t left = awake | (also & PRIVILEGES_FILES ? file_capabilities() : 0);
	struct capabilities c;

	if (!get(&c))
		return;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
		if (!(left & BIT(capability)))
			prctl(PR_CAPBSET_DROP, capability);
	c.permitted &= left;
	c.effective &= awake;
	set(&c);
}

/* With what privileges_reduce(0) leaves. */
static bool can_write_beside(const char *path)
{
	const char *slash = strrchr(path, '/');
	__cleanup_free char *dir = slash ? xasprintf("%.*s", (int)(slash - path) + 1, path)
					 : xstrdup(".");
	struct capabilities all, few;
	bool can;

	if (!get(&all))
		return false;
	few = all;
	few.effective &= kept_capabilities();
	set(&few);
	can = !faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS);
	set(&all);
	return can;
}

unsigned int privileges_for_writing(const char *path)
{
	__cleanup_free char *resolved = NULL;

	if (!path || !strcmp(path, "-"))
		return 0;
	/* What is given to the caller of sudo is another's when it is written to. */
	if (file_has_invoker())
		return PRIVILEGES_FILES;
	resolved = file_resolve(path);
	return can_write_beside(resolved) ? 0 : PRIVILEGES_FILES;
}

static _Thread_local int awake;

static void set_files(bool effective)
{
	struct capabilities c;

	if (!get(&c) || !(c.permitted & file_capabilities()))
		return;
	c.effective &= ~file_capabilities();
	if (effective)
		c.effective |= c.permitted & file_capabilities();
	set(&c);
}

void privileges_wake(void)
{
	if (!awake++)
		set_files(true);
}

void privileges_rest(void)
{
	if (!--awake)
		set_files(false);
}
