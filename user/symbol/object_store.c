// SPDX-License-Identifier: GPL-2.0-or-later
/* Objects that are shared; see object_store.h. */
#include <string.h>
#include <sys/stat.h>

#include "base/vec.h"
#include "symbol/object.h"
#include "symbol/object_store.h"

/* A version of a file, and from where it is looked at. */
struct version {
	uint64_t dev, ino, root_dev, root_ino;
	int64_t size, mtime_ns;
};

struct stored {
	struct version version;
	struct object *object;
};

DEFINE_VEC(stored_vec, struct stored);

struct object_store {
	struct stored_vec objects;
};

struct object_store *object_store_create(void)
{
	return xcalloc(1, sizeof(struct object_store));
}

void object_store_destroy(struct object_store *store)
{
	if (!store)
		return;
	vec_for_each(stored, &store->objects)
		object_destroy(stored->object);
	stored_vec_deinit(&store->objects);
	free(store);
}

static struct version version_of(int fd, int root_fd)
{
	struct version version = { 0 };
	struct stat st;

	if (!fstat(fd, &st)) {
		version.dev = st.st_dev;
		version.ino = st.st_ino;
		version.size = st.st_size;
		version.mtime_ns = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
	}
	if (root_fd >= 0 && !fstat(root_fd, &st)) {
		version.root_dev = st.st_dev;
		version.root_ino = st.st_ino;
	}
	return version;
}

static struct object *find(const struct object_store *store, const struct version *version,
			   const char *path)
{
	vec_for_each(stored, &store->objects)
		if (!memcmp(&stored->version, version, sizeof(*version)) &&
		    !strcmp(stored->object->path, path))
			return stored->object;
	return NULL;
}

/* Each process's vDSO is a copy of ours, a file of its own. */
static struct object *find_copy(const struct object_store *store, const struct object *obj)
{
	if (obj->path[0] != '[' || !*obj->build_id)
		return NULL;
	vec_for_each(stored, &store->objects)
		if (!strcmp(stored->object->path, obj->path) &&
		    !strcmp(stored->object->build_id, obj->build_id))
			return stored->object;
	return NULL;
}

struct error *object_store_open(struct object_store *store, int fd, const char *path,
				int root_fd, struct object **ret)
{
	struct object *obj __cleanup(object_destroyp) = NULL;
	struct version version = version_of(fd, root_fd);
	struct object *known = store ? find(store, &version, path) : NULL;
	struct error *err;

	if (known) {
		close(fd);
		*ret = object_ref(known);
		return NULL;
	}
	err = object_create(fd, path, &obj);
	if (err)
		return err;
	object_set_root(obj, root_fd);
	known = store ? find_copy(store, obj) : NULL;
	if (known) {
		*ret = object_ref(known);
		return NULL;
	}
	if (store)
		stored_vec_push(&store->objects, (struct stored){ version, object_ref(obj) });
	*ret = steal_ptr(obj);
	return NULL;
}
