// SPDX-License-Identifier: GPL-2.0-or-later
/* Which allocators an object has, by its symbols; see candidate.h. */
#include "capture/discovery/candidate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/strset.h"
#include "symbol/jump.h"

const char *candidate_prefix(const struct allocator_choice *choice, size_t i)
{
	if (i < allocator_prefixes_count)
		return allocator_prefixes[i];
	return i == allocator_prefixes_count ? choice->prefix : NULL;
}

/* "malloc" behind "je_" and the like, for as long as the buffer lives. */
struct full_name { char text[64]; };

static const char *full_name(struct full_name *buf, const char *prefix, const char *symbol)
{
	snprintf(buf->text, sizeof(buf->text), "%s%s", prefix, symbol);
	return buf->text;
}

static bool is_exported(const struct candidate *c, const struct sighting *sighting)
{
	return sighting->symbol.exported || c->is_static || c->hides_heap;
}

static size_t find_function(const struct candidate *c, const char *name, bool exported,
			    struct object_symbol *ret, size_t max)
{
	size_t count = 0;

	vec_for_each(sighting, &c->sightings) {
		if (count == max)
			break;
		if (!strcmp(sighting->name, name) && (!exported || is_exported(c, sighting)))
			ret[count++] = sighting->symbol;
	}
	return count;
}

size_t candidate_find(const struct candidate *c, const char *name, struct object_symbol *ret,
		      size_t max)
{
	return find_function(c, name, false, ret, max);
}

size_t candidate_find_exported(const struct candidate *c, const char *name,
			       struct object_symbol *ret, size_t max)
{
	return find_function(c, name, true, ret, max);
}

static bool defines(const struct candidate *c, const char *name, bool exported)
{
	struct object_symbol symbol;

	return find_function(c, name, exported, &symbol, 1) > 0;
}

/* Whether names of this group under this prefix say little, so that only exports count. */
static bool only_exports(enum allocator_group group, const char *prefix)
{
	switch (allocator_groups[group].where) {
	case OWN_NAME:
	case IN_HEAP:
		return group == GROUP_MAPPING;
	case PREFIXED:
		return !*prefix && group == GROUP_MALLOC;
	default:
		return true;
	}
}

size_t candidate_find_row(const struct candidate *c, const struct allocator_function *function,
			  const char *prefix, struct object_symbol *ret, size_t max)
{
	struct full_name name;

	return find_function(c, full_name(&name, prefix, function->symbol),
			     only_exports(function->group, prefix), ret, max);
}

static bool has_anchors(const struct candidate *c, enum allocator_group group,
			const char *prefix)
{
	for (int i = 0; i < 2; i++) {
		const char *anchor = allocator_groups[group].anchors[i];
		struct full_name name;

		if (anchor && !defines(c, full_name(&name, prefix, anchor),
				       only_exports(group, prefix)))
			return false;
	}
	return true;
}

bool candidate_is_active(const struct candidate *c, enum allocator_group group,
			 const char *prefix)
{
	if (!has_anchors(c, group, prefix))
		return false;
	switch (allocator_groups[group].where) {
	case IN_HEAP:
		if (group == GROUP_CXX && c->is_glibcs)
			return false;
		return c->has_heap && (group == GROUP_MAPPING || !c->left_out);
	case IN_LIBC:
		return c->c_library;
	case IN_NOTES:
		return false;
	default:
		break;
	}
	return group == GROUP_UNWINDER || !c->left_out;
}

/*
 * The plain name of a symbol of Rust's runtime. Compilers since 1.87 mangle
 * them: _RNvCs5QKde7ScR4H_7___rustc12___rust_alloc is __rust_alloc.
 */
static const char *plain_name(const char *symbol)
{
	const char *crate = strncmp(symbol, "_RNvC", 5) ? NULL : strstr(symbol, "7___rustc");
	size_t digits;

	if (!crate)
		return symbol;
	crate += strlen("7___rustc");
	digits = strspn(crate, "0123456789");
	return digits && crate[digits] == '_' ? crate + digits + 1 : symbol;
}

/* All that is looked for anywhere; the names made here are kept in @made. */
static void gather_names(struct strset *names, struct note_vec *made,
			 const struct allocator_choice *choice)
{
	static const char *const others[] = {
		"__libc_start_main", "_dl_allocate_tls", "__libc_malloc",
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		strset_add(names, others[i]);
	vec_for_each(d, &choice->described)
		strset_add(names, d->function.symbol);
	for (size_t p = 0; candidate_prefix(choice, p); p++) {
		const char *prefix = candidate_prefix(choice, p);

		for (size_t i = 0; i < allocator_names_count; i++) {
			note_vec_push(made, xasprintf("%s%s", prefix, allocator_names[i].symbol));
			strset_add(names, made->data[made->len - 1]);
		}
		for (size_t i = 0; i < allocator_functions_count; i++) {
			const struct allocator_function *f = &allocator_functions[i];

			if (*prefix && allocator_groups[f->group].where != PREFIXED)
				continue;
			note_vec_push(made, xasprintf("%s%s", prefix, f->symbol));
			strset_add(names, made->data[made->len - 1]);
		}
	}
}

static void look_for_names(struct candidate *c, const struct strset *names)
{
	const struct object_symbol *symbols;
	size_t count = object_symbols(c->object, &symbols);

	for (size_t i = 0; i < count; i++) {
		const char *name = plain_name(symbols[i].name);

		if (strset_has(names, name))
			sighting_vec_push(&c->sightings, (struct sighting){ symbols[i], name });
	}
}

static const char *known_allocator(const struct candidate *c)
{
	for (size_t i = 0; i < allocator_names_count; i++) {
		for (size_t p = 0; candidate_prefix(c->choice, p); p++) {
			struct full_name name;

			if (defines(c, full_name(&name, candidate_prefix(c->choice, p),
						 allocator_names[i].symbol), false))
				return allocator_names[i].name;
		}
	}
	/* A static program has of the C library only what it uses. */
	if (c->is_glibcs)
		return "glibc";
	return c->c_library ? "C library" : NULL;
}

bool candidate_is_object(const struct object *object, const char *name)
{
	const char *base = strrchr(object->path, '/');
	char *real __cleanup_free = NULL;

	if (!strcmp(object->path, name) || (base && !strcmp(base + 1, name)))
		return true;
	/* ldd and package managers name files by other paths than the kernel does. */
	if (strchr(name, '/'))
		real = realpath(name, NULL);
	return real && !strcmp(object->path, real);
}

/* glibc has no operator new: one beside its malloc is libstdc++'s, and calls that. */
static bool is_glibcs(const struct candidate *c)
{
	struct object_symbol public, own;

	return find_function(c, "malloc", false, &public, 1) &&
	       find_function(c, "__libc_malloc", false, &own, 1) && public.vaddr == own.vaddr;
}

bool candidate_has_prefix(const struct candidate *c)
{
	return c->choice->prefix && has_anchors(c, GROUP_MALLOC, c->choice->prefix);
}

static void examine(struct candidate *c)
{
	bool c_library = defines(c, "__libc_start_main", true);

	c->hides_heap = !defines(c, "_dl_allocate_tls", false) &&
			defines(c, "malloc", false) && defines(c, "calloc", false) &&
			defines(c, "realloc", false) && defines(c, "free", false);
	/* glibc's dynamic linker has a malloc for itself until libc is there. */
	if (!c_library && defines(c, "_dl_allocate_tls", true))
		return;
	for (size_t p = 0; candidate_prefix(c->choice, p); p++)
		c->has_heap |= has_anchors(c, GROUP_MALLOC, candidate_prefix(c->choice, p));
	for (int group = 0; group < GROUPS_COUNT && !c->has_heap; group++)
		if (allocator_groups[group].where == OWN_NAME)
			c->has_heap = has_anchors(c, group, "");
	c->c_library = c_library && c->has_heap;
	c->is_glibcs = c->has_heap && is_glibcs(c);
	if (c->has_heap)
		c->allocator = known_allocator(c);
	c->left_out = (c->choice->library && !candidate_is_object(c->object, c->choice->library)) ||
		      (c->choice->only && strcmp(c->choice->only, c->allocator ?: ""));
}

static bool has_candidate(const struct candidate_vec *candidates, const struct object *object)
{
	vec_for_each(c, candidates)
		if (c->object == object)
			return true;
	return false;
}

/* What looks like a part of an allocator, or was described, and is chosen at run time. */
static void note_indirect(struct note_vec *notes, const struct candidate *c)
{
	static const char text[] = "%s: %s is not probed: it is an indirect function, chosen at "
				   "run time: describe the one that is chosen";

	if (!c->has_heap && c->sightings.len)
		for (int i = 0; i < 2; i++)
			if (jump_is_indirect(c->object, allocator_groups[0].anchors[i]))
				notes_add(notes, text, c->object->path,
					  allocator_groups[0].anchors[i]);
	vec_for_each(d, &c->choice->described)
		if (jump_is_indirect(c->object, d->function.symbol))
			notes_add(notes, text, c->object->path, d->function.symbol);
}

#define READERS_AHEAD 8		/* at work while the symbols of one file are looked at */

static void expect_next(const struct mapping *m, const struct mapping *end)
{
	for (int i = 0; i < READERS_AHEAD && m + i < end; i++)
		if (m[i].object)
			object_expect_symbols(m[i].object);
}

void candidates_expect(const struct address_space *as)
{
	const struct mapping_vec *mappings = address_space_mappings(as);

	expect_next(mappings->data, mappings->data + mappings->len);
}

static void find_candidates(struct candidate_vec *candidates, const struct address_space *as,
			    const struct allocator_choice *choice, struct note_vec *notes)
{
	const struct mapping_vec *mappings = address_space_mappings(as);
	__cleanup(strset_deinit) struct strset names = { 0 };
	struct note_vec made = { 0 };

	gather_names(&names, &made, choice);
	vec_for_each(m, mappings) {
		struct candidate c = {
			.object = m->object,
			.choice = choice,
			.bias = m->bias,
		};

		if (!c.object || has_candidate(candidates, c.object))
			continue;
		expect_next(m, mappings->data + mappings->len);
		c.is_static = object_is_static_program(c.object);
		look_for_names(&c, &names);
		examine(&c);
		if (c.is_static && !c.has_heap)
			notes_add(notes, "%s: statically linked, and no allocator among its "
				  "symbols: if you know its functions, --allocator takes their "
				  "addresses", c.object->path);
		note_indirect(notes, &c);
		candidate_vec_push(candidates, c);
	}
	notes_deinit(&made);
}

/*
 * With more than one allocator, those that nobody knows may be wrappers that
 * end in another: nothing in a file says whether they do.
 */
static void find_wrappers(struct candidate_vec *candidates)
{
	int allocators = 0;

	vec_for_each(c, candidates)
		allocators += c->has_heap;
	vec_for_each(c, candidates)
		c->wraps = allocators > 1 && c->has_heap && !c->allocator;
}

bool candidates_have_go(const struct address_space *as)
{
	vec_for_each(mapping, address_space_mappings(as))
		if (object_is_go(mapping->object))
			return true;
	return false;
}

void candidates_forbid_returns(struct candidate_vec *candidates, bool has_go,
			       bool return_probes)
{
	vec_for_each(c, candidates)
		c->no_returns = has_go ? "in a Go program" :
				return_probes ? NULL : "under seccomp";
}

void candidates_init(struct candidate_vec *candidates, const struct address_space *as,
		     const struct allocator_choice *choice, struct note_vec *notes)
{
	*candidates = (struct candidate_vec){ 0 };
	find_candidates(candidates, as, choice, notes);
	find_wrappers(candidates);
}

void candidates_deinit(struct candidate_vec *candidates)
{
	vec_for_each(c, candidates)
		sighting_vec_deinit(&c->sightings);
	candidate_vec_deinit(candidates);
}
