// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Demangling by libiberty behind a guard; see demangle.h.
 *
 * A mangled name of a few hundred bytes can stand for gigabytes of text, each
 * substitution doubling the last. libiberty limits the depth of recursion, not
 * that; so its output goes through a callback, which leaves by longjmp() once
 * the text is longer than anybody would read. libiberty's printers keep their
 * state on the stack, so nothing is left behind.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Debian and Ubuntu put it in a directory, Fedora does not. */
#if __has_include(<libiberty/demangle.h>)
#include <libiberty/demangle.h>
#else
#include <demangle.h>
#endif

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "symbol/demangle.h"

#define MANGLED_MAX 32768
#define DEMANGLED_MAX 65536
/* D's demangler has no callback; back references are what makes its text explode. */
#define D_BACK_REFERENCES_MAX 32

#define RUST_HASH_LEN (sizeof("::h0123456789abcdef") - 1)

/*
 * libiberty takes xmalloc() and its kin from base/alloc.c, and with them its
 * answer to lack of memory. Its own xrealloc() shares an object file with its
 * own xmalloc(): had it not this one, the two would clash.
 */
void *xrealloc(void *p, size_t size)
{
	return xreallocarray(p, 1, size);
}

struct sink {
	struct strbuf text;
	jmp_buf too_long;
};

/* After each of these may stand ".<digits>"; at the end of a name only. */
static const char *const clone_suffixes[] = {
	".cold", ".part", ".constprop", ".isra", ".llvm", ".lto_priv",
	".localalias", ".clone", ".__uniq",
};

/* Length of @name without the clone suffix that ends at @len; 0 if there is none. */
static size_t without_clone_suffix(const char *name, size_t len)
{
	size_t digits = len;

	while (digits > 0 && isdigit((unsigned char)name[digits - 1]))
		digits--;
	if (digits < len && digits > 0 && name[digits - 1] == '.')
		len = digits - 1;
	for (size_t i = 0; i < sizeof(clone_suffixes) / sizeof(*clone_suffixes); i++) {
		size_t n = strlen(clone_suffixes[i]);

		if (len > n && !memcmp(name + len - n, clone_suffixes[i], n))
			return len - n;
	}
	return 0;
}

static size_t base_length(const char *name)
{
	size_t len = strlen(name), shorter;

	while ((shorter = without_clone_suffix(name, len)) > 0)
		len = shorter;
	return len;
}

static void sink_add(const char *text, size_t len, void *opaque)
{
	struct sink *sink = opaque;

	if (sink->text.len + len > DEMANGLED_MAX)
		longjmp(sink->too_long, 1);
	strbuf_add(&sink->text, text, len);
}

typedef int demangler(const char *mangled, int options, demangle_callbackref callback,
		      void *opaque);

static char *demangle_bounded(demangler *fn, const char *mangled)
{
	struct sink *sink = xcalloc(1, sizeof(*sink));
	char *ret = NULL;

	if (!setjmp(sink->too_long)) {
		if (fn(mangled, DMGL_PARAMS | DMGL_ANSI, sink_add, sink) && sink->text.len)
			ret = strbuf_detach(&sink->text);
	}
	strbuf_deinit(&sink->text);
	free(sink);
	return ret;
}

static char *demangle_d(const char *mangled)
{
	int back_references = 0;
	char *ret;

	for (const char *c = mangled; *c; c++)
		back_references += *c == 'Q';
	if (back_references > D_BACK_REFERENCES_MAX)
		return NULL;
	ret = dlang_demangle(mangled, DMGL_PARAMS);
	if (ret && strlen(ret) > DEMANGLED_MAX) {
		free(ret);
		return NULL;
	}
	return ret;
}

static bool is_rust_hash(const char *s)
{
	return !strncmp(s, "::h", 3) && strlen(s) == RUST_HASH_LEN &&
	       strspn(s + 3, "0123456789abcdef") == RUST_HASH_LEN - 3;
}

static void strip_rust_hash(char *name)
{
	size_t len = strlen(name);

	if (len > RUST_HASH_LEN && is_rust_hash(name + len - RUST_HASH_LEN))
		name[len - RUST_HASH_LEN] = '\0';
}

/* Rust before C++: its legacy scheme is also valid Itanium. */
static char *demangle_base(const char *mangled)
{
	char *ret = NULL;

	if (!strncmp(mangled, "_R", 2) || !strncmp(mangled, "_ZN", 3))
		ret = demangle_bounded(rust_demangle_callback, mangled);
	if (!ret && (!strncmp(mangled, "_Z", 2) || !strncmp(mangled, "_GLOBAL_", 8)))
		ret = demangle_bounded(cplus_demangle_v3_callback, mangled);
	if (!ret && !strncmp(mangled, "_D", 2))
		ret = demangle_d(mangled);
	if (ret)
		strip_rust_hash(ret);
	return ret;
}

char *demangle(const char *raw)
{
	size_t len = base_length(raw);
	__cleanup_free char *base = NULL;
	char *ret;

	if (raw[0] != '_' && !raw[len])
		return NULL;
	base = xstrndup(raw, len);
	ret = len <= MANGLED_MAX ? demangle_base(base) : NULL;
	if (!ret && raw[len])
		ret = steal_ptr(base);
	return ret;
}
