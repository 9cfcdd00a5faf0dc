// SPDX-License-Identifier: GPL-2.0-or-later
/* Numbers and names for people; see format.h. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/utf8.h"

const char *format_bytes(int64_t bytes, char buf[FORMAT_MAX])
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes / 1024;
	size_t i = 0;

	if (bytes > -1024 && bytes < 1024) {
		snprintf(buf, FORMAT_MAX, "%d B", (int)bytes);
		return buf;
	}
	/* 1023.95 would round up to "1024.0": take the next unit there. */
	while (fabs(value) >= 1023.95 && i + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		i++;
	}
	snprintf(buf, FORMAT_MAX, "%.1f %s", value, units[i]);
	return buf;
}

const char *format_count(int64_t count, char buf[FORMAT_MAX])
{
	static const char *const units[] = { "k", "M", "G", "T", "P", "E" };
	double value = (double)count / 1000;
	size_t i = 0;

	if (count > -10000 && count < 10000) {
		snprintf(buf, FORMAT_MAX, "%d", (int)count);
		return buf;
	}
	while (fabs(value) >= 999.95 && i + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1000;
		i++;
	}
	snprintf(buf, FORMAT_MAX, "%.1f %s", value, units[i]);
	return buf;
}

const char *format_duration(double seconds, char buf[FORMAT_MAX])
{
	uint64_t s = seconds < 0 ? 0 : (uint64_t)(seconds + 0.5);

	if (seconds < 9.95)
		snprintf(buf, FORMAT_MAX, "%.1f s", seconds < 0 ? 0 : seconds);
	else if (s < 60)
		snprintf(buf, FORMAT_MAX, "%d s", (int)s);
	else if (s < 3600)
		snprintf(buf, FORMAT_MAX, "%d m %02d s", (int)(s / 60), (int)(s % 60));
	else if (s < 86400)
		snprintf(buf, FORMAT_MAX, "%d h %02d m", (int)(s / 3600), (int)(s / 60 % 60));
	else
		snprintf(buf, FORMAT_MAX, "%llu d %02d h",
			 (unsigned long long)(s / 86400), (int)(s / 3600 % 24));
	return buf;
}

/* Three digits and a unit. */
static const char *short_number(double value, double base, const char *units, bool plus,
				char buf[FORMAT_MAX])
{
	const char *sign = value < 0 ? "-" : plus && value > 0 ? "+" : "";
	size_t i = 0;

	value = fabs(value);
	if (value < 999.5) {
		snprintf(buf, FORMAT_MAX, "%s%.0f", sign, value);
		return buf;
	}
	for (value /= base; value >= 999.5 && units[i + 1]; i++)
		value /= base;
	snprintf(buf, FORMAT_MAX, "%s%.*f%c", sign, value < 9.995 ? 2 : value < 99.95 ? 1 : 0,
		 value, units[i]);
	return buf;
}

const char *format_slope(double bytes_per_s, char buf[FORMAT_MAX])
{
	char number[FORMAT_MAX];

	if (fabs(bytes_per_s) < 0.5)
		return "0";
	format_bytes(llround(bytes_per_s), number);
	snprintf(buf, FORMAT_MAX, "%s%.26s/s", bytes_per_s > 0 ? "+" : "", number);
	return buf;
}

const char *format_bytes_short(int64_t bytes, bool plus, char buf[FORMAT_MAX])
{
	return short_number((double)bytes, 1024, "KMGTPE", plus, buf);
}

const char *format_count_short(int64_t count, char buf[FORMAT_MAX])
{
	return short_number((double)count, 1000, "kMGTPE", false, buf);
}

const char *format_duration_short(double seconds, char buf[FORMAT_MAX])
{
	int64_t s = seconds < 0 ? 0 : (int64_t)(seconds + 0.5);

	if (seconds < 9.95)
		snprintf(buf, FORMAT_MAX, "%.1fs", seconds < 0 ? 0 : seconds);
	else if (s < 60)
		snprintf(buf, FORMAT_MAX, "%ds", (int)s);
	else if (s < 3600)
		snprintf(buf, FORMAT_MAX, "%dm%02d", (int)(s / 60), (int)(s % 60));
	else if (s < 86400)
		snprintf(buf, FORMAT_MAX, "%dh%02d", (int)(s / 3600), (int)(s / 60 % 60));
	else
		snprintf(buf, FORMAT_MAX, "%lldd%02dh", (long long)(s / 86400),
			 (int)(s / 3600 % 24));
	return buf;
}

/* A character that may be shown: U+0080 to U+009F drive terminals, too. */
static size_t shown_length(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	if (p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0))
		return 0;
	return utf8_char_len(s);
}

void format_escaped(struct strbuf *sb, const char *s)
{
	while (*s) {
		size_t len = shown_length(s);

		if (len)
			strbuf_add(sb, s, len);
		else
			strbuf_addf(sb, "\\x%02x", (unsigned char)*s);
		s += len ? len : 1;
	}
}

bool parse_bytes(const char *s, uint64_t *ret)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	char *end;
	double value;

	if (!isdigit((unsigned char)*s))
		return false;
	errno = 0;
	value = strtod(s, &end);
	if (errno || !isfinite(value))
		return false;
	if (*end && (suffix = strchr(suffixes, toupper((unsigned char)*end)))) {
		for (const char *p = suffixes; p <= suffix; p++)
			value *= 1024;
		end++;
		if (!strcmp(end, "iB") || !strcmp(end, "B"))
			end += strlen(end);
	}
	if (*end || value >= 0x1p63)
		return false;
	*ret = (uint64_t)value;
	return true;
}

bool parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	unsigned long long value;
	char *end;

	if (!isdigit((unsigned char)*s))
		return false;
	errno = 0;
	value = strtoull(s, &end, 10);
	if (errno || *end || value < min || value > max)
		return false;
	*ret = value;
	return true;
}

bool parse_seconds(const char *s, double *ret)
{
	double value;
	char *end;

	if (!isdigit((unsigned char)*s) && *s != '.')
		return false;
	errno = 0;
	value = strtod(s, &end);
	if (errno || *end || end == s || !isfinite(value) || value < 0)
		return false;
	*ret = value;
	return true;
}
