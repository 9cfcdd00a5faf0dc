// SPDX-License-Identifier: GPL-2.0-or-later
/* A moment of a recording; see moment.h. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/format.h"
#include "base/strbuf.h"
#include "cmd/moment.h"
#include "recording/reader.h"

#define HISTORY_MOMENTS 240	/* as many as a page can show */

/* The @ that ends the file's name in @spec, or NULL. */
static const char *find_at(const char *spec)
{
	return access(spec, F_OK) ? strrchr(spec, '@') : NULL;
}

/* "12.5s", "+30s", "-2m", "1h": seconds; below zero from the end. */
static bool parse_time(const char *text, double *ret)
{
	static const struct { char unit; double seconds; } units[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 },
	};
	bool negative = *text == '-';
	__cleanup_free char *number = xstrdup(text + (negative || *text == '+'));
	size_t len = strlen(number);

	for (size_t i = 0; len > 1 && i < sizeof(units) / sizeof(units[0]); i++) {
		if (number[len - 1] != units[i].unit)
			continue;
		number[len - 1] = '\0';
		if (!parse_seconds(number, ret))
			return false;
		*ret *= negative ? -units[i].seconds : units[i].seconds;
		return true;
	}
	return false;
}

/* By name, the last one that has it; or by number, from 1. */
static bool find_mark(const struct snapshot *last, const char *name, double *ret)
{
	uint64_t number;

	for (size_t i = last->marks.len; i > 0; i--) {
		if (strcmp(last->marks.data[i - 1].name, name))
			continue;
		*ret = last->marks.data[i - 1].t_s;
		return true;
	}
	if (!parse_uint(name, 1, last->marks.len, &number))
		return false;
	*ret = last->marks.data[number - 1].t_s;
	return true;
}

static struct error *no_such_moment(const char *file, const char *when,
				    const struct snapshot *last)
{
	struct strbuf names __cleanup_strbuf = { 0 };

	for (size_t i = 0; i < last->marks.len && i < 10; i++) {
		strbuf_addstr(&names, i ? ", " : "");
		format_escaped(&names, last->marks.data[i].name);
	}
	return error_create(ERROR_NOT_FOUND,
			    "'%s' has no mark '%s', and that is no time such as 12.5s: %s%s%s",
			    file, when, names.len ? "its marks are " : "it has no marks",
			    strbuf_str(&names), last->marks.len > 10 ? ", ..." : "");
}

/* The moment nearest to *t_s. */
static struct error *go_to_nearest(struct recording_reader *reader, double *t_s)
{
	__cleanup(recording_times_deinit) struct recording_times times = { 0 };
	struct error *err = recording_moment_times(reader, &times);
	double nearest = HUGE_VAL;

	vec_for_each(time, &times)
		if (fabs(*time - *t_s) < fabs(nearest - *t_s))
			nearest = *time;
	*t_s = nearest;
	return err;
}

static struct error *read_at(struct recording_reader *reader, const char *file,
			     const char *when, struct snapshot **ret)
{
	__cleanup(snapshot_destroyp) struct snapshot *last = NULL;
	struct error *err = recording_snapshot(reader, -1, &last);
	double t_s;

	if (err)
		return err;
	if (!when) {
		*ret = steal_ptr(last);
		return NULL;
	}
	if (!find_mark(last, when, &t_s)) {
		if (!parse_time(when, &t_s))
			return no_such_moment(file, when, last);
		if (*when == '-')
			t_s += last->duration_s;
		if (t_s < 0 || t_s > last->duration_s + 1)
			return error_create(ERROR_NOT_FOUND,
					    "'%s' has nothing at '%s': it covers %.1f s", file,
					    when, last->duration_s);
		err = go_to_nearest(reader, &t_s);
		if (err)
			return err;
	}
	return recording_snapshot(reader, t_s, ret);
}

/* Opens the file of @spec, or of @other; what stands behind its @ becomes *@when_ret. */
static struct error *open_spec(const char *spec, const char *other, char **file_ret,
			       const char **when_ret, struct recording_reader **ret)
{
	const char *at = find_at(spec), *name = spec;
	const char *name_end = at ? at : spec + strlen(spec);

	if (at == spec && other) {
		name = other;
		name_end = find_at(other);
		name_end = name_end ? name_end : other + strlen(other);
	}
	*file_ret = xasprintf("%.*s", (int)(name_end - name), name);
	*when_ret = at ? at + 1 : NULL;
	return recording_open(*file_ret, ret);
}

struct error *moment_read(const char *spec, const char *other, struct snapshot **ret)
{
	__cleanup(recording_reader_destroyp) struct recording_reader *reader = NULL;
	__cleanup_free char *file = NULL;
	const char *when;
	struct error *err = open_spec(spec, other, &file, &when, &reader);

	return err ? err : read_at(reader, file, when, ret);
}

struct error *moment_read_history(const char *spec, moment_visitor *each, void *arg,
				  struct snapshot **ret)
{
	__cleanup(recording_reader_destroyp) struct recording_reader *reader = NULL;
	__cleanup(snapshot_destroyp) struct snapshot *last = NULL;
	__cleanup_free char *file = NULL;
	const char *when;
	struct error *err = open_spec(spec, NULL, &file, &when, &reader);

	if (!err)
		err = read_at(reader, file, when, &last);
	if (!err)
		err = recording_history(reader, last->duration_s, HISTORY_MOMENTS, each, arg);
	if (!err)
		*ret = steal_ptr(last);
	return err;
}
