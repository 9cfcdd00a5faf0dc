// SPDX-License-Identifier: GPL-2.0-or-later
/* Asking debuginfod servers; see debuginfod.h. */
#include <dlfcn.h>
#include <elfutils/debuginfod.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/progress.h"
#include "symbol/debuginfod.h"

#define LIBRARY "libdebuginfod.so.1"

struct debuginfod {
	void *library;
	debuginfod_client *client;
	const volatile sig_atomic_t *interrupted;	/* borrowed */
	struct progress progress;
	__typeof__(debuginfod_begin) *begin;
	__typeof__(debuginfod_end) *end;
	__typeof__(debuginfod_find_debuginfo) *find_debuginfo;
	__typeof__(debuginfod_set_progressfn) *set_progressfn;
	__typeof__(debuginfod_set_user_data) *set_user_data;
	__typeof__(debuginfod_get_user_data) *get_user_data;
};

/* The library calls back with its own handle alone. */
static __typeof__(debuginfod_get_user_data) *get_user_data;

/* Anything but 0 ends the question. */
static int on_progress(debuginfod_client *handle, long done, long total)
{
	struct debuginfod *client = get_user_data(handle);

	progress_update(&client->progress, done > 0 ? done : 0, total > 0 ? total : 0);
	return *client->interrupted;
}

static bool load_library(struct debuginfod *client)
{
	client->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!client->library)
		return false;
	client->begin = dlsym(client->library, "debuginfod_begin");
	client->end = dlsym(client->library, "debuginfod_end");
	client->find_debuginfo = dlsym(client->library, "debuginfod_find_debuginfo");
	client->set_progressfn = dlsym(client->library, "debuginfod_set_progressfn");
	client->set_user_data = dlsym(client->library, "debuginfod_set_user_data");
	client->get_user_data = dlsym(client->library, "debuginfod_get_user_data");
	return client->begin && client->end && client->find_debuginfo &&
	       client->set_progressfn && client->set_user_data && client->get_user_data;
}

struct error *debuginfod_create(const volatile sig_atomic_t *interrupted,
				struct debuginfod **ret)
{
	struct debuginfod *client __cleanup(debuginfod_destroyp) = xcalloc(1, sizeof(*client));
	const char *urls = getenv("DEBUGINFOD_URLS");

	client->interrupted = interrupted;
	if (!urls || !urls[strspn(urls, " ")])
		return error_create(ERROR_UNSUPPORTED,
				    "DEBUGINFOD_URLS names no server to fetch debug files from");
	if (!load_library(client))
		return error_create(ERROR_UNSUPPORTED, LIBRARY " is not there to fetch debug "
				    "files with (Debian: libdebuginfod1)");
	client->client = client->begin();
	if (!client->client)
		return error_create(ERROR_UNSUPPORTED, LIBRARY " cannot be used");
	get_user_data = client->get_user_data;
	client->set_user_data(client->client, client);
	client->set_progressfn(client->client, on_progress);
	*ret = steal_ptr(client);
	return NULL;
}

/* The library itself stays: what it uses (curl) does not like to be unloaded. */
void debuginfod_destroy(struct debuginfod *client)
{
	if (!client)
		return;
	if (client->client)
		client->end(client->client);
	free(client);
}

struct error *debuginfod_fetch(struct debuginfod *client, const char *build_id,
			       const char *name, int *fd_ret)
{
	__cleanup_free char *what = xasprintf("fetching debug data of %s, bytes", name);
	int fd;

	progress_begin(&client->progress, what);
	/* A length of 0: the build id is text. */
	fd = client->find_debuginfo(client->client, (const unsigned char *)build_id, 0, NULL);
	progress_end(&client->progress);
	if (fd == -ENOENT)
		return error_create(ERROR_NOT_FOUND, "no server has debug data of %s", name);
	if (fd < 0)
		return error_errno(-fd, "fetching debug data of %s", name);
	*fd_ret = fd;
	return NULL;
}
