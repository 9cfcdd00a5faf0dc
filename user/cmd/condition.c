// SPDX-License-Identifier: GPL-2.0-or-later
/* Conditions of --fail-on; see condition.h. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "cmd/condition.h"

#define SURE 0.8		/* as the text report tells growth */
#define LEAK_SURE 0.95

/* Values */

static double known(int64_t bytes)
{
	return bytes < 0 ? NAN : (double)bytes;
}

static double sure_growth(const struct metrics *m)
{
	return m->growth_confidence >= SURE ? m->growth_bytes_per_s : 0;
}

static double growing_paths(const struct snapshot *snap)
{
	size_t count = 0;

	vec_for_each(stack, &snap->stacks)
		count += stack->m.growth_bytes_per_s > 0 && stack->m.live_bytes > 0 &&
			 stack->m.growth_confidence >= LEAK_SURE;
	return (double)count;
}

static double lost_events(const struct snapshot_loss *loss)
{
	double sum = (double)(loss->dropped_events + loss->dropped_stacks +
			      loss->untracked_allocs + loss->missed_probes);

	return sum > 0 || loss->complete ? sum : 1;
}

static double value_of(const struct condition *c, const struct snapshot *snap)
{
	const double values[] = {
#define X(name, unit, text, value) value,
		CONDITION_QUANTITIES(X)
#undef X
	};
	double value = NAN;

	if (c->quantity >= 0)
		return values[c->quantity];
	metrics_get(&snap->totals.m, c->metric, &value);
	return value;
}

/* Parsing */

static const struct quantity_name {
	const char *name;
	enum metric_unit unit;
} quantities[] = {
#define X(name, unit, text, value) { name, unit },
	CONDITION_QUANTITIES(X)
#undef X
}, metrics[] = {
#define X(name, type, unit, header, help) { #name, unit },
	METRICS(X)
#undef X
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool find_quantity(const char *name, struct condition *ret)
{
	for (size_t i = 0; i < COUNT(quantities); i++) {
		if (strcmp(quantities[i].name, name))
			continue;
		ret->quantity = (int)i;
		ret->unit = quantities[i].unit;
		return true;
	}
	for (size_t i = 0; i < COUNT(metrics); i++) {
		if (strcmp(metrics[i].name, name))
			continue;
		ret->quantity = -1;
		ret->metric = metrics[i].name;
		ret->unit = metrics[i].unit;
		return true;
	}
	return false;
}

/* What @suffix multiplies with, or 0. */
static double factor(const char *suffix, enum metric_unit unit)
{
	static const struct {
		enum metric_unit unit;
		const char *suffix;
		double factor;
	} units[] = {
		{ UNIT_SECONDS, "s", 1 }, { UNIT_SECONDS, "m", 60 }, { UNIT_SECONDS, "min", 60 },
		{ UNIT_SECONDS, "h", 3600 }, { UNIT_RATIO, "%", 0.01 },
		{ UNIT_BYTES, "B", 1 }, { UNIT_BYTES, "K", 1024 }, { UNIT_BYTES, "M", 1 << 20 },
		{ UNIT_BYTES, "G", 1 << 30 }, { UNIT_BYTES, "KB", 1024 },
		{ UNIT_BYTES, "MB", 1 << 20 }, { UNIT_BYTES, "GB", 1 << 30 },
		{ UNIT_BYTES, "KiB", 1024 }, { UNIT_BYTES, "MiB", 1 << 20 },
		{ UNIT_BYTES, "GiB", 1 << 30 },
	};

	if (!*suffix)
		return 1;
	for (size_t i = 0; i < COUNT(units); i++)
		if (units[i].unit == unit && !strcasecmp(units[i].suffix, suffix))
			return units[i].factor;
	return 0;
}

/* "MB/min" and its kin. */
static double rate_factor(const char *suffix)
{
	const char *slash = strchr(suffix, '/');
	__cleanup_free char *bytes = xasprintf("%.*s", slash ? (int)(slash - suffix) :
					       (int)strlen(suffix), suffix);
	double per = slash ? factor(slash + 1, UNIT_SECONDS) : 1;

	if (!per || (slash && !slash[1]))
		return 0;
	return factor(bytes, UNIT_BYTES) / per;
}

static const char *const unit_texts[] = {
	[UNIT_BYTES] = "a size such as 100MB",
	[UNIT_COUNT] = "a number",
	[UNIT_BYTES_PER_S] = "a rate such as 1MB/min",
	[UNIT_SECONDS] = "a time such as 30s",
	[UNIT_RATIO] = "a number or a percentage",
};

static bool parse_value(const char *text, struct condition *ret)
{
	char *end;
	double f;

	if (!isdigit((unsigned char)*text))
		return false;
	ret->value = strtod(text, &end);
	f = ret->unit == UNIT_BYTES_PER_S ? rate_factor(end) : factor(end, ret->unit);
	ret->value *= f;
	return f > 0 && isfinite(ret->value);
}

static char *known_names(void)
{
	struct strbuf names = { 0 };

	for (size_t i = 0; i < COUNT(quantities); i++)
		strbuf_addf(&names, "%s, ", quantities[i].name);
	strbuf_addstr(&names, metrics_names());
	return strbuf_detach(&names);
}

bool condition_parse(const char *text, struct condition *ret, char **why_ret)
{
	size_t len = strcspn(text, "<>");
	__cleanup_free char *name = xasprintf("%.*s", (int)len, text), *names = NULL;
	const char *value = text + len;

	*ret = (struct condition){ .text = text };
	if (!*value) {
		*why_ret = xasprintf("has no <, <=, > or >=, as in 'live>100MB'");
		return false;
	}
	if (!find_quantity(name, ret)) {
		names = known_names();
		*why_ret = xasprintf("'%s' is not one of %s", name, names);
		return false;
	}
	ret->less = *value++ == '<';
	ret->or_equal = *value == '=';
	value += ret->or_equal;
	if (!parse_value(value, ret)) {
		*why_ret = xasprintf("'%s' is not %s", value, unit_texts[ret->unit]);
		return false;
	}
	return true;
}

/* Checking */

static bool holds(const struct condition *c, double value)
{
	if (value == c->value)
		return c->or_equal;
	return c->less ? value < c->value : value > c->value;
}

/* Rates in the unit of time in which they were asked for. */
static void add_value(struct strbuf *sb, const struct condition *c, double value)
{
	const char *slash = strchr(c->text, '/');
	char buf[FORMAT_MAX];

	switch (c->unit) {
	case UNIT_BYTES:
		strbuf_addstr(sb, format_bytes(llround(value), buf));
		break;
	case UNIT_BYTES_PER_S:
		value *= slash ? factor(slash + 1, UNIT_SECONDS) : 1;
		strbuf_addf(sb, "%s%s", format_bytes(llround(value), buf), slash ? slash : "/s");
		break;
	case UNIT_COUNT:
		strbuf_addf(sb, "%lld", llround(value));
		break;
	case UNIT_SECONDS:
		strbuf_addstr(sb, format_duration(value, buf));
		break;
	case UNIT_RATIO:
		strbuf_addf(sb, "%.3g", value);
		break;
	}
}

bool conditions_check(const struct condition_vec *conditions, const struct snapshot *snap)
{
	bool any = false;

	vec_for_each(c, conditions) {
		struct strbuf text __cleanup_strbuf = { 0 };
		double value = value_of(c, snap);

		if (!isnan(value) && !holds(c, value))
			continue;
		any = true;
		if (isnan(value))
			strbuf_addstr(&text, "not known");
		else
			add_value(&text, c, value);
		log_error("failed on '%s': it is %s", c->text, strbuf_str(&text));
	}
	return any;
}
