// SPDX-License-Identifier: GPL-2.0-or-later
/* UTF-8; see utf8.h. */
#include "base/utf8.h"

size_t utf8_char_len(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 :
		     p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	/* The second byte's range shuts out overlong forms, surrogates, > U+10FFFF. */
	unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
	unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;

	if (len > 1 && (p[1] < low || p[1] > high))
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

void utf8_repair(struct strbuf *sb, const char *s)
{
	while (*s) {
		size_t len = utf8_char_len(s);

		if (len)
			strbuf_add(sb, s, len);
		else
			strbuf_addstr(sb, "\xef\xbf\xbd");
		s += len ? len : 1;
	}
}
