// SPDX-License-Identifier: GPL-2.0-or-later
/* A Go program's file; see binary.h. */
#include <gelf.h>
#include <string.h>

#include "symbol/elfread.h"
#include "symbol/go/layout_dwarf.h"
#include "symbol/go/module.h"
#include "symbol/go/vote.h"

#define MINOR_MIN 19

const char *go_variable_name(enum go_variable variable)
{
	static const char *const names[] = {
#define X(symbol, name) name,
		GO_VARIABLES(X)
#undef X
	};

	return names[variable];
}

void go_binary_close(struct go_binary *go)
{
	if (!go)
		return;
	free(go->version);
	go_points_deinit(&go->points);
	free(go);
}

/* "\xff Go buildinf:", pointer size, flags, and from 32 on the version, its length in front. */
static char *build_version(Elf *elf, int fd)
{
	static const char magic[] = "\xff Go buildinf:";
	const Elf64_Shdr *shdr = elfread_section(elf, fd, ".go.buildinfo", SHT_PROGBITS);
	uint8_t head[33 + 127];
	size_t len;

	if (!shdr)
		return NULL;
	len = elfread_some(fd, shdr->sh_offset, head,
			   shdr->sh_size < sizeof(head) ? shdr->sh_size : sizeof(head));
	/* Without the flag, strings are elsewhere: before Go 1.18. */
	if (len < 33 || memcmp(head, magic, sizeof(magic) - 1) || !(head[15] & 2) ||
	    head[32] > len - 33)
		return len ? xstrdup("before go1.18") : NULL;
	return xstrndup((char *)head + 33, head[32]);
}

static unsigned int minor_version(const char *version)
{
	const char *at = strstr(version, "go1.");
	unsigned int minor = 0;

	/* "go1.22.12", "devel go1.28-0123abcd" */
	return at && sscanf(at, "go1.%3u", &minor) == 1 ? minor : 0;
}

static struct error *unreadable(const struct go_binary *go, const char *why)
{
	return error_create(ERROR_UNSUPPORTED, "a Go program (%s) whose runtime cannot be read: %s",
			    go->version, why);
}

static struct error *find_variables(Elf *elf, int fd, struct go_binary *go)
{
	__cleanup(go_module_deinit) struct go_module module = { 0 };

	if (go->minor && go->minor < MINOR_MIN)
		return unreadable(go, "Go 1.19 and newer are known");
	if (!go_module_init(&module, elf, fd))
		return unreadable(go, "it has no table of functions that is known");
	if (!module.text)
		return unreadable(go, "its module data was not found");
	go->text = module.text;
	go->data = module.data;
	go->data_end = module.data_end;
	go_vote(&module, go);
	go_points_find(&module, &go->points);
	for (int i = 0; i < GO_VARIABLES_COUNT; i++)
		if (!go->variables[i])
			return unreadable(go, "its code does not show where its variables lie");
	go->layout.minor = go->minor;
	go->has_layout = go_layout_read_dwarf(elf, fd, &go->layout);
	return NULL;
}

struct error *go_binary_open(int fd, struct go_binary **ret)
{
	__cleanup(go_binary_closep) struct go_binary *go = NULL;
	__cleanup_elf Elf *elf = elfread_open_foreign(fd);
	struct error *err;
	char *version;

	*ret = NULL;
	version = elf ? build_version(elf, fd) : NULL;
	if (!version)
		return NULL;
	go = xcalloc(1, sizeof(*go));
	go->version = version;
	go->minor = minor_version(version);
	err = find_variables(elf, fd, go);
	if (err)
		return err;
	*ret = steal_ptr(go);
	return NULL;
}
