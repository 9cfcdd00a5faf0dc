// SPDX-License-Identifier: GPL-2.0-or-later
/* Whose code a frame is; see module_kind.h. */
#include <string.h>

#include "model/module_kind.h"

const char *module_kind_name(enum module_kind kind)
{
	static const char *const names[MODULE_KINDS_COUNT] = {
#define X(symbol, name) name,
		MODULE_KINDS(X)
#undef X
	};

	return names[kind];
}

/* What glibc consisted of before 2.34 and does since, and musl. */
static bool is_libc(const char *module)
{
	static const char *const prefixes[] = {
		"libc.so", "libc-2.", "libpthread", "libm.so", "libm-2.", "libdl.so", "libdl-2.",
		"librt.so", "librt-2.", "ld-linux", "ld-2.", "ld.so", "ld-musl", "libc.musl",
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncmp(module, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

enum module_kind module_kind_of(const struct snapshot *snap, const struct frame *frame)
{
	if (!frame->module[0])
		return MODULE_UNKNOWN;
	if (frame->module[0] == '[')
		return MODULE_GENERATED;
	vec_for_each(target, &snap->targets)
		if (!strcmp(target->exe, frame->path))
			return MODULE_PROGRAM;
	return is_libc(frame->module) ? MODULE_LIBC : MODULE_LIBRARY;
}
