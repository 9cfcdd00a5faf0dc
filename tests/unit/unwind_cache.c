// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The cache of unwind tables: what comes out of it is what was put in, or what
 * compiling gives, whatever has become of its files meanwhile.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/unwind_cache.h"
#include "tests/unit/symbol_helpers.h"
#include "tests/unit/test.h"

#define BUILD_ID "0123456789abcdef0123456789abcdef01234567"
#define MANY (1ull << 30)

/* A file that has not been written to lately; the caller closes it. */
static int sample(void)
{
	static const char *const libraries[] = {
		"/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6",
		"/usr/lib64/libc.so.6", "/lib64/libc.so.6",
	};

	for (size_t i = 0; i < sizeof(libraries) / sizeof(*libraries); i++) {
		int fd = open(libraries[i], O_RDONLY | O_CLOEXEC);

		if (fd >= 0)
			return fd;
	}
	test_skip("no libc found");
}

static char *fresh_dir(void)
{
	static int count;
	char *dir = scratch("cache%d", count++);

	return dir;
}

/* Asks a cache of its own for the table, counting what happened. */
static struct unwind_table *ask(const char *dir, int fd, struct unwind_cache_counts *ret)
{
	struct unwind_cache *cache = unwind_cache_open(dir, MANY);
	struct unwind_table *table;

	check(cache);
	check_ok(unwind_cache_table(cache, fd, BUILD_ID, UNWIND_CALL_SITES, false, &table));
	*ret = unwind_cache_counts(cache);
	unwind_cache_close(cache);
	return table;
}

static bool same(const struct unwind_table *a, const struct unwind_table *b)
{
	return a->kind == b->kind && a->machine == b->machine && a->texts.len == b->texts.len &&
	       a->index.len == b->index.len && a->rows.len == b->rows.len &&
	       a->rules.len == b->rules.len &&
	       !memcmp(a->texts.data, b->texts.data, a->texts.len * sizeof(*a->texts.data)) &&
	       !memcmp(a->index.data, b->index.data, a->index.len * 4) &&
	       !memcmp(a->rows.data, b->rows.data, a->rows.len * 4) &&
	       !memcmp(a->rules.data, b->rules.data, a->rules.len * sizeof(*a->rules.data));
}

static char *entry_of(const char *dir)
{
	return xasprintf("%s/" BUILD_ID ".unwind", dir);
}

static size_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_size;
}

/* That the table asked for now is right, and where it came from. */
static void check_asked(const char *dir, int fd, bool hit)
{
	struct unwind_table *truth __cleanup(unwind_table_destroyp) = NULL;
	struct unwind_table *got __cleanup(unwind_table_destroyp) = NULL;
	struct unwind_cache_counts counts;

	check_ok(unwind_table_create(fd, -1, UNWIND_CALL_SITES, &truth));
	got = ask(dir, fd, &counts);
	check(same(got, truth));
	check_int(counts.hits, hit);
	check_int(counts.compiled, !hit);
}

TEST(a_table_is_compiled_once)
{
	__cleanup_free char *dir = fresh_dir(), *entry = entry_of(dir);
	__cleanup_close int fd = sample();
	struct stat st;

	check_asked(dir, fd, false);
	check_asked(dir, fd, true);
	check_asked(dir, fd, true);
	check(!stat(dir, &st) && (st.st_mode & 0777) == 0700);
	check(!stat(entry, &st) && (st.st_mode & 0777) == 0600);
}

TEST(kinds_are_kept_apart)
{
	__cleanup_free char *dir = fresh_dir();
	__cleanup_close int fd = sample();
	struct unwind_cache *cache = unwind_cache_open(dir, MANY);
	struct unwind_table *calls __cleanup(unwind_table_destroyp) = NULL;
	struct unwind_table *full __cleanup(unwind_table_destroyp) = NULL;

	check_ok(unwind_cache_table(cache, fd, BUILD_ID, UNWIND_CALL_SITES, false, &calls));
	check_ok(unwind_cache_table(cache, fd, BUILD_ID, UNWIND_FULL, false, &full));
	check_int(unwind_cache_counts(cache).stored, 2);
	check(full->rows.len > 2 * calls->rows.len);
	unwind_cache_close(cache);
	check_asked(dir, fd, true);
}

/* A target may map a file that claims another's build id. */
TEST(another_file_of_the_same_build_id_gets_its_own_table)
{
	__cleanup_free char *dir = fresh_dir(), *path = scratch("forged.so");
	__cleanup_close int fd = sample(), forged = -1;

	check(compile_library(path, "int f(int n) { return n ? f(n - 1) + 1 : 0; }"));
	forged = open(path, O_RDONLY);
	check_asked(dir, fd, false);
	check_asked(dir, forged, false);
	check_asked(dir, fd, true);
}

TEST(a_file_that_just_changed_is_not_kept)
{
	__cleanup_free char *dir = fresh_dir(), *path = scratch("fresh.so");
	__cleanup_close int fd = -1;

	check(compile_library(path, "int f(void) { return 1; }"));
	fd = open(path, O_RDONLY);
	check_asked(dir, fd, false);
	check_asked(dir, fd, false);
}

TEST(a_file_without_build_id_or_name_is_not_kept)
{
	__cleanup_free char *dir = fresh_dir();
	__cleanup_close int fd = sample();
	struct unwind_cache *cache = unwind_cache_open(dir, MANY);
	static const char *const ids[] = { "", "../../../etc/x", "0123", "0123456789ABCDEF" };

	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		struct unwind_table *table;

		check_ok(unwind_cache_table(cache, fd, ids[i], UNWIND_CALL_SITES, false, &table));
		unwind_table_destroy(table);
	}
	check_int(unwind_cache_counts(cache).stored, 0);
	unwind_cache_close(cache);
}

TEST(a_cut_entry_is_compiled_again)
{
	__cleanup_free char *dir = fresh_dir(), *entry = entry_of(dir);
	__cleanup_close int fd = sample();
	size_t size, cuts = 0;

	check_asked(dir, fd, false);
	size = size_of(entry);
	check(size > 10000);
	for (size_t len = 0; len < size; len += len < 256 ? 13 : size / 7) {
		check(!truncate(entry, len));
		check_asked(dir, fd, false);
		check_int(size_of(entry), size);
		cuts++;
	}
	check(cuts > 20);
	check(!truncate(entry, size + 1));
	check_asked(dir, fd, false);
}

TEST(a_changed_entry_is_compiled_again)
{
	__cleanup_free char *dir = fresh_dir(), *entry = entry_of(dir);
	__cleanup_close int fd = sample();
	size_t size;

	check_asked(dir, fd, false);
	size = size_of(entry);
	for (size_t at = 0; at < size; at += at < 200 ? 3 : size / 11) {
		__cleanup_close int damaged = open(entry, O_RDWR);
		uint8_t byte;

		check(pread(damaged, &byte, 1, at) == 1);
		byte ^= 0x10;
		check(pwrite(damaged, &byte, 1, at) == 1);
		check_asked(dir, fd, false);
	}
	check_asked(dir, fd, true);
}

TEST(what_others_may_write_is_not_read)
{
	__cleanup_free char *dir = fresh_dir(), *entry = entry_of(dir);
	__cleanup_close int fd = sample();

	check_asked(dir, fd, false);
	check(!chmod(entry, 0622));
	check_asked(dir, fd, false);
	check_asked(dir, fd, true);
	check(!chmod(dir, 0770));
	check(!unwind_cache_open(dir, MANY));
	check(!chmod(dir, 0700));
	check_asked(dir, fd, true);
}

TEST(links_and_pipes_are_not_followed)
{
	__cleanup_free char *dir = fresh_dir(), *entry = entry_of(dir);
	__cleanup_free char *link = scratch("link"), *other = scratch("other");
	__cleanup_close int fd = sample();

	check_asked(dir, fd, false);
	check(!symlink(dir, link));
	check(!unwind_cache_open(link, MANY));
	check(!rename(entry, other) && !symlink(other, entry));
	check_asked(dir, fd, false);
	check(!unlink(entry) && !mkfifo(entry, 0600));
	check_asked(dir, fd, false);
	check_asked(dir, fd, true);
}

static uint64_t bytes_in(const char *dir, size_t *files_ret)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;
	uint64_t bytes = 0;
	struct stat st;

	*files_ret = 0;
	while ((entry = readdir(d))) {
		if (fstatat(dirfd(d), entry->d_name, &st, 0) || !S_ISREG(st.st_mode))
			continue;
		bytes += st.st_size;
		++*files_ret;
	}
	closedir(d);
	return bytes;
}

/* Entries under other names, each an hour younger than the one before. */
static void age(const char *dir, int count)
{
	for (int i = 0; i < count; i++)
		check(shell("cp -p %s/" BUILD_ID ".unwind %s/%040d.unwind && "
			    "touch -d '-%d hours' %s/%040d.unwind", dir, dir, i,
			    2 * count - i, dir, i));
}

TEST(the_oldest_go_when_it_is_full)
{
	__cleanup_free char *dir = fresh_dir(), *oldest = NULL, *youngest = NULL;
	__cleanup_close int fd = sample();
	struct unwind_table *table;
	struct unwind_cache *cache;
	uint64_t one, bytes;
	size_t files;

	check_asked(dir, fd, false);
	one = bytes_in(dir, &files);
	check_int(files, 1);
	age(dir, 9);
	cache = unwind_cache_open(dir, 5 * one + one / 2);
	check_ok(unwind_cache_table(cache, fd, BUILD_ID "00", UNWIND_CALL_SITES, false, &table));
	unwind_table_destroy(table);
	unwind_cache_close(cache);
	bytes = bytes_in(dir, &files);
	check(bytes <= 5 * one + one / 2 && files >= 4);
	oldest = xasprintf("%s/%040d.unwind", dir, 0);
	youngest = xasprintf("%s/%040d.unwind", dir, 8);
	check(access(oldest, F_OK) && !access(youngest, F_OK));
	check_asked(dir, fd, true);
}

TEST(abandoned_temporary_files_go_and_foreign_files_stay)
{
	__cleanup_free char *dir = fresh_dir();
	__cleanup_free char *old = NULL, *new = NULL, *foreign = NULL;
	__cleanup_close int fd = sample();

	check(!mkdir(dir, 0700));
	old = xasprintf("%s/.new-1-1", dir);
	new = xasprintf("%s/.new-1-2", dir);
	foreign = xasprintf("%s/notes.txt", dir);
	check(shell("touch -d '-2 hours' %s %s && touch %s", old, foreign, new));
	check_asked(dir, fd, false);
	check(access(old, F_OK) && !access(new, F_OK) && !access(foreign, F_OK));
}

/* Whatever unwind_table_is_sound() lets pass can be searched and placed. */
static void use(const struct unwind_table *table)
{
	uint32_t *words = xcalloc(unwind_table_words(table) + 1, sizeof(*words));
	struct unwind_rules rules;
	struct unwind_rule rule;

	vec_for_each(text, &table->texts) {
		uint64_t size = text->segment_end - text->segment, step = size / 97 + 1;

		for (uint64_t at = 0; at < size && size - at > step; at += step)
			check(unwind_table_find(table, text->segment + at, &rule) &&
			      rule.cfa < CFA_COUNT);
	}
	unwind_rules_init(&rules);
	unwind_table_place(table, 7, &rules, words);
	unwind_rules_deinit(&rules);
	free(words);
}

/* One word of the table's arrays, by number. */
static uint32_t *word_of(struct unwind_table *t, size_t i)
{
	size_t texts = t->texts.len * sizeof(*t->texts.data) / 4;

	if (i < texts)
		return (uint32_t *)t->texts.data + i;
	i -= texts;
	return i < t->index.len ? &t->index.data[i] : &t->rows.data[i - t->index.len];
}

TEST(a_sound_table_can_be_used)
{
	static const uint32_t values[] = { 0, 1, 0x7fffffff, 0xffffffff };
	struct unwind_table *t __cleanup(unwind_table_destroyp) = NULL;
	__cleanup_free char *path = scratch("small.so");
	__cleanup_close int fd = -1;
	size_t words, unsound = 0;

	check(compile_library(path, "void g(char *); int f(int n) { char b[900]; g(b); "
			      "return n ? f(n - 1) + b[n] : 0; }"));
	fd = open(path, O_RDONLY);
	check_ok(unwind_table_create(fd, -1, UNWIND_FULL, &t));
	check(unwind_table_is_sound(t));
	words = t->texts.len * sizeof(*t->texts.data) / 4 + t->index.len + t->rows.len;
	for (size_t i = 0; i < words; i++) {
		uint32_t *word = word_of(t, i), kept = *word;

		for (size_t v = 0; v < 8; v++) {
			*word = v < 4 ? values[v] : kept ^ 1u << (v - 4) * 9;
			if (unwind_table_is_sound(t))
				use(t);
			else
				unsound++;
			*word = kept;
		}
	}
	check(unsound > words);
}

static void check_default(const char *dir, const char *xdg, const char *want)
{
	__cleanup_free char *got = NULL;

	if (dir)
		setenv("HEAPSONDE_CACHE_DIR", dir, 1);
	else
		unsetenv("HEAPSONDE_CACHE_DIR");
	setenv("XDG_CACHE_HOME", xdg, 1);
	got = unwind_cache_default_dir();
	if (want)
		check_str(got, want);
	else
		check(!got);
}

TEST(where_it_is)
{
	bool root = !geteuid();

	setenv("HOME", "/home/you", 1);
	check_default("/x/y", "/xdg", "/x/y");
	check_default("", "/xdg", NULL);
	check_default(NULL, "/xdg", root ? "/var/cache/heapsonde" : "/xdg/heapsonde");
	check_default(NULL, "relative",
		      root ? "/var/cache/heapsonde" : "/home/you/.cache/heapsonde");
}
