// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading descriptions of allocators; see description.h. */
#include "capture/discovery/description.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/format.h"
#include "base/strbuf.h"

#define NONE PROBE_NO_ARG
#define TEXT_MAX (1 << 20)

enum argument { ARG_SIZE = 1, ARG_COUNT = 2, ARG_PTR = 4, ARG_POOL = 8 };

static const struct argument_row {
	const char *name;
	enum argument argument;
	size_t offset;
} arguments[] = {
	{ "size", ARG_SIZE, offsetof(struct allocator_function, size_arg) },
	{ "count", ARG_COUNT, offsetof(struct allocator_function, count_arg) },
	{ "ptr", ARG_PTR, offsetof(struct allocator_function, ptr_arg) },
	{ "pool", ARG_POOL, offsetof(struct allocator_function, pool_arg) },
};

static const struct kind_row {
	const char *name;
	enum probe_kind kind;
	unsigned int needs, takes;	/* enum argument */
} kinds[] = {
	{ "alloc", PROBE_ALLOC, ARG_SIZE, ARG_SIZE | ARG_COUNT | ARG_POOL },
	{ "out", PROBE_ALLOC_OUT, ARG_SIZE | ARG_PTR,
	  ARG_SIZE | ARG_COUNT | ARG_PTR | ARG_POOL },
	{ "realloc", PROBE_REALLOC, ARG_SIZE | ARG_PTR,
	  ARG_SIZE | ARG_COUNT | ARG_PTR | ARG_POOL },
	{ "resize", PROBE_RESIZE, ARG_SIZE | ARG_PTR, ARG_SIZE | ARG_PTR },
	{ "free", PROBE_FREE, ARG_PTR, ARG_PTR },
	{ "clear", PROBE_CLEAR, ARG_POOL, ARG_POOL },
	{ "hide", PROBE_HIDE, 0, 0 },
};

#define LENGTH(array) (sizeof(array) / sizeof(array[0]))

/* Descriptions that --allocator knows by name, in their own language. */
static const struct { const char *name, *text; } ready_made[] = {
	{ "cpython",
	  "PyObject_Malloc alloc size=0; PyObject_Calloc alloc count=0 size=1;"
	  "PyObject_Realloc realloc ptr=0 size=1; PyObject_Free free ptr=0;"
	  "PyMem_Malloc alloc size=0; PyMem_Calloc alloc count=0 size=1;"
	  "PyMem_Realloc realloc ptr=0 size=1; PyMem_Free free ptr=0;"
	  "PyMem_RawMalloc alloc size=0; PyMem_RawCalloc alloc count=0 size=1;"
	  "PyMem_RawRealloc realloc ptr=0 size=1; PyMem_RawFree free ptr=0" },
	{ "apr",
	  "apr_palloc alloc size=1 pool=0; apr_pcalloc alloc size=1 pool=0;"
	  "apr_pool_clear clear pool=0; apr_pool_destroy clear pool=0;"
	  "apr_pool_create_ex hide; apr_pool_create_unmanaged_ex hide" },
	{ "postgresql",
	  "palloc alloc size=0 pool=*CurrentMemoryContext;"
	  "palloc0 alloc size=0 pool=*CurrentMemoryContext;"
	  "palloc_extended alloc size=0 pool=*CurrentMemoryContext;"
	  "MemoryContextAlloc alloc size=1 pool=0; MemoryContextAllocZero alloc size=1 pool=0;"
	  "MemoryContextAllocZeroAligned alloc size=1 pool=0;"
	  "MemoryContextAllocExtended alloc size=1 pool=0;"
	  "MemoryContextAllocHuge alloc size=1 pool=0;"
	  "repalloc realloc ptr=0 size=1; repalloc_huge realloc ptr=0 size=1; pfree free ptr=0;"
	  "MemoryContextResetOnly clear pool=0; MemoryContextDelete clear pool=0;"
	  "AllocSetContextCreateInternal hide; GenerationContextCreate hide;"
	  "SlabContextCreate hide" },
	{ "glib",
	  "g_slice_alloc alloc size=0; g_slice_alloc0 alloc size=0;"
	  "g_slice_free1 free ptr=1" },
	{ "rust",
	  "__rust_alloc alloc size=0; __rust_alloc_zeroed alloc size=0;"
	  "__rust_realloc realloc ptr=0 size=3; __rust_dealloc free ptr=0" },
};

static void described_deinit(struct described_function *d)
{
	free((char *)d->function.symbol);
	free(d->object);
	free(d->variable);
	free(d->where);
}

void allocator_choice_deinit(struct allocator_choice *choice)
{
	vec_for_each(d, &choice->described)
		described_deinit(d);
	described_vec_deinit(&choice->described);
}

static const struct kind_row *find_kind(const char *name)
{
	for (size_t i = 0; i < LENGTH(kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

static const struct argument_row *find_argument(const char *name)
{
	for (size_t i = 0; i < LENGTH(arguments); i++)
		if (!strcmp(arguments[i].name, name))
			return &arguments[i];
	return NULL;
}

/* "size=1" */
static struct error *parse_argument(struct described_function *d, const struct kind_row *kind,
				    char *word, unsigned int *seen)
{
	char *value = strchr(word, '=');
	const struct argument_row *row;
	uint64_t number;

	if (!value)
		return error_create(ERROR_USAGE, "%s: '%s' is no argument such as size=0",
				    d->where, word);
	*value++ = '\0';
	row = find_argument(word);
	if (!row || !(kind->takes & row->argument))
		return error_create(ERROR_USAGE, "%s: '%s' has no argument '%s'", d->where,
				    kind->name, word);
	if (*seen & row->argument)
		return error_create(ERROR_USAGE, "%s: '%s' is given twice", d->where, word);
	if (row->argument == ARG_POOL && *value == '*' && value[1] &&
	    kind->kind != PROBE_CLEAR) {
		d->variable = xstrdup(value + 1);
		number = PROBE_VARIABLE;
	} else if (!parse_uint(value, 0, PROBE_ARGS - 1, &number))
		return error_create(ERROR_USAGE,
				    "%s: %s=%s: arguments are counted from 0 to %d",
				    d->where, word, value, PROBE_ARGS - 1);
	*seen |= row->argument;
	*((uint8_t *)&d->function + row->offset) = number;
	return NULL;
}

static struct error *check_needs(const struct described_function *d,
				 const struct kind_row *kind, unsigned int seen)
{
	for (size_t i = 0; i < LENGTH(arguments); i++)
		if (kind->needs & ~seen & arguments[i].argument)
			return error_create(ERROR_USAGE, "%s: '%s' needs %s=N", d->where,
					    kind->name, arguments[i].name);
	return NULL;
}

/* "symbol@object" or "0xaddress@object" */
static struct error *parse_symbol(struct described_function *d, char *word)
{
	char *at = strchr(word, '@'), *end;

	if (at) {
		*at++ = '\0';
		if (!*at)
			return error_create(ERROR_USAGE, "%s: no object stands behind '@'",
					    d->where);
		d->object = xstrdup(at);
	}
	if (!*word)
		return error_create(ERROR_USAGE, "%s: no symbol stands before '@'", d->where);
	d->function.symbol = xstrdup(word);
	if (!isdigit((unsigned char)*word))
		return NULL;
	errno = 0;
	d->vaddr = strtoull(word, &end, 0);
	d->by_address = true;
	if (*end || errno)
		return error_create(ERROR_USAGE, "%s: '%s' is neither a symbol nor an address",
				    d->where, word);
	if (!d->object)
		return error_create(ERROR_USAGE, "%s: an address needs an object: %s@OBJECT",
				    d->where, word);
	return NULL;
}

static char *next_word(char **rest)
{
	char *word;

	do
		word = strsep(rest, " \t\r");
	while (word && !*word);
	return word;
}

static struct error *parse_words(struct described_function *d, char *symbol, char *rest)
{
	char *name = next_word(&rest), *word;
	const struct kind_row *kind = name ? find_kind(name) : NULL;
	struct error *err = parse_symbol(d, symbol);
	unsigned int seen = 0;

	if (err)
		return err;
	if (!kind)
		return error_create(ERROR_USAGE,
				    "%s: %s does '%s': one of alloc, out, realloc, resize, free, "
				    "clear, hide is needed", d->where, d->function.symbol,
				    name ?: "");
	d->function.kind = kind->kind;
	while (!err && (word = next_word(&rest)))
		err = parse_argument(d, kind, word, &seen);
	/* The pool is what is ended: that is its pointer. */
	if (d->function.kind == PROBE_CLEAR) {
		d->function.ptr_arg = d->function.pool_arg;
		d->function.pool_arg = NONE;
	}
	return err ? err : check_needs(d, kind, seen);
}

static bool same_place(const struct described_function *a, const struct described_function *b)
{
	return !strcmp(a->function.symbol, b->function.symbol) &&
	       (!a->object || !b->object || !strcmp(a->object, b->object));
}

static struct error *check_new(const struct described_vec *known,
			       const struct described_function *d)
{
	vec_for_each(other, known)
		if (same_place(other, d))
			return error_create(ERROR_USAGE, "%s: %s is described already (%s)",
					    d->where, d->function.symbol, other->where);
	return NULL;
}

static struct error *parse_statement(char *statement, const char *where, int line,
				     struct described_vec *ret)
{
	char *symbol = next_word(&statement);
	struct described_function d = {
		.function = {
			.size_arg = NONE, .count_arg = NONE, .ptr_arg = NONE, .pool_arg = NONE,
			.group = GROUP_DESCRIBED,
		},
	};
	struct error *err;

	if (!symbol)
		return NULL;
	d.where = xasprintf("%s, line %d", where, line);
	err = parse_words(&d, symbol, statement);
	if (!err)
		err = check_new(ret, &d);
	if (err)
		described_deinit(&d);
	else
		described_vec_push(ret, d);
	return err;
}

struct error *description_parse(const char *text, const char *where, struct described_vec *ret)
{
	__cleanup_free char *copy = xstrdup(text);
	char *lines = copy, *line;
	struct error *err = NULL;
	int number = 0;

	while (!err && (line = strsep(&lines, "\n"))) {
		char *statement;

		number++;
		line[strcspn(line, "#")] = '\0';
		while (!err && (statement = strsep(&line, ";")))
			err = parse_statement(statement, where, number, ret);
	}
	return err;
}

static struct error *add_text(struct allocator_choice *choice, const char *text,
			      const char *where)
{
	size_t before = choice->described.len;
	struct error *err = description_parse(text, where, &choice->described);

	if (!err && choice->described.len == before)
		return error_create(ERROR_USAGE, "%s: describes no function", where);
	return err;
}

static struct error *add_file(struct allocator_choice *choice, const char *path)
{
	__cleanup_fclose FILE *f = fopen(path, "re");
	__cleanup_free char *text = xcalloc(1, TEXT_MAX + 1);
	size_t len;

	if (!f)
		return error_create(ERROR_USAGE, "--allocator: %s: %s", path, strerror(errno));
	len = fread(text, 1, TEXT_MAX, f);
	if (ferror(f))
		return error_create(ERROR_USAGE, "--allocator: %s: %s", path, strerror(errno));
	if (len == TEXT_MAX || strlen(text) < len)
		return error_create(ERROR_USAGE, "--allocator: %s is no description: too long, "
				    "or not a text", path);
	return add_text(choice, text, path);
}

static bool is_name(const char *text)
{
	return *text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz"
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")];
}

static struct error *unknown_name(const char *name)
{
	struct strbuf names __cleanup_strbuf = { 0 };

	for (size_t i = 0; i < LENGTH(ready_made); i++)
		strbuf_addf(&names, "%s, ", ready_made[i].name);
	for (size_t i = 0; i < allocator_names_count; i++)
		if (!i || strcmp(allocator_names[i].name, allocator_names[i - 1].name))
			strbuf_addf(&names, "%s, ", allocator_names[i].name);
	return error_create(ERROR_USAGE,
			    "--allocator: '%s' is not known: %sa description, or @FILE", name,
			    strbuf_str(&names));
}

static struct error *add_name(struct allocator_choice *choice, const char *name)
{
	for (size_t i = 0; i < LENGTH(ready_made); i++) {
		size_t first = choice->described.len;
		struct error *err;

		if (strcmp(ready_made[i].name, name))
			continue;
		err = add_text(choice, ready_made[i].text, ready_made[i].name);
		for (; first < choice->described.len; first++)
			choice->described.data[first].ready_made = true;
		return err;
	}
	for (size_t i = 0; i < allocator_names_count; i++) {
		if (strcasecmp(allocator_names[i].name, name))
			continue;
		choice->only = allocator_names[i].name;
		return NULL;
	}
	return unknown_name(name);
}

struct error *allocator_choice_add(struct allocator_choice *choice, const char *text)
{
	if (*text == '@')
		return add_file(choice, text + 1);
	if (is_name(text))
		return add_name(choice, text);
	return add_text(choice, text, "--allocator");
}
