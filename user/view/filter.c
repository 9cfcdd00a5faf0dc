// SPDX-License-Identifier: GPL-2.0-or-later
/* Which call paths are shown; see filter.h. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/format.h"
#include "view/filter.h"
#include "view/names.h"

static const char *const subject_names[] = {
#define X(symbol, name, help) name,
	FILTER_TEXTS(X)
#undef X
#define X(symbol, name, value, bytes, help) name,
	FILTER_NUMBERS(X)
#undef X
};

static void word_deinit(struct filter_word *word)
{
	if (word->has_regex)
		regfree(&word->regex);
	map64_deinit(&word->memo);
}

void filter_deinit(struct filter *filter)
{
	vec_for_each(word, &filter->words)
		word_deinit(word);
	filter_word_vec_deinit(&filter->words);
	free(filter->text);
	*filter = (struct filter){ 0 };
}

/* The subject that @text begins with, before one of @marks; moves @text behind the mark. */
static int find_subject(const char **text, const char *marks, int first, int count, char *mark)
{
	for (int i = first; i < first + count; i++) {
		size_t len = strlen(subject_names[i]);

		if (strncmp(*text, subject_names[i], len) || !(*text)[len] ||
		    !strchr(marks, (*text)[len]))
			continue;
		*mark = (*text)[len];
		*text += len + 1;
		return i;
	}
	return -1;
}

static bool has_capital(const char *s)
{
	for (; *s; s++)
		if (isupper((unsigned char)*s))
			return true;
	return false;
}

static struct error *set_regex(struct filter_word *word, const char *pattern)
{
	int flags = REG_EXTENDED | REG_NOSUB | (has_capital(pattern) ? 0 : REG_ICASE);
	int ret = regcomp(&word->regex, pattern, flags);
	char why[128];

	word->has_regex = !ret;
	if (!ret)
		return NULL;
	regerror(ret, &word->regex, why, sizeof(why));
	return error_create(ERROR_USAGE, "'%s' is no regular expression: %s", pattern, why);
}

static struct error *set_number(struct filter_word *word, const char *text)
{
	bool negative = *text == '-';
	uint64_t bytes;

	if (parse_seconds(text + negative, &word->number)) {
		word->number = negative ? -word->number : word->number;
		return NULL;
	}
	if (!parse_bytes(text + negative, &bytes))
		return error_create(ERROR_USAGE, "'%s' is not a number such as 10 or 64K", text);
	word->number = negative ? -(double)bytes : (double)bytes;
	return NULL;
}

/* Blocks are not kept by size but by class, whose bounds are powers of two. */
static struct error *check_class(const struct filter_word *word)
{
	uint64_t n = word->number >= 1 && word->number < 1e18 ? (uint64_t)word->number : 0;
	unsigned int above = size_class(n);

	if (n && (double)n == word->number && n == 1ull << above)
		return NULL;
	return error_create(ERROR_USAGE, "size takes a power of two, for blocks are told apart by"
			    " such classes: %llu, or mean>N", n ? 1ull << above : 1ull);
}

static struct error *parse_word(struct filter_word *word, const char *text)
{
	char mark = 0;
	int subject;

	word->negated = *text == '!' && text[1];
	text += word->negated;
	subject = find_subject(&text, "<>", FILTER_TEXTS_COUNT,
			       sizeof(subject_names) / sizeof(subject_names[0]) -
			       FILTER_TEXTS_COUNT, &mark);
	if (subject >= 0) {
		word->subject = subject;
		struct error *err = set_number(word, text);

		word->less = mark == '<';
		return err || word->subject != FILTER_SIZE ? err : check_class(word);
	}
	subject = find_subject(&text, ":", 0, FILTER_TEXTS_COUNT, &mark);
	word->subject = subject < 0 ? FILTER_ANY : subject;
	return set_regex(word, text);
}

static struct error *parse_words(struct filter *filter, const char *text)
{
	__cleanup_free char *copy = xstrdup(text);
	char *rest = copy, *item;

	while ((item = strsep(&rest, " "))) {
		struct error *err;

		if (!*item)
			continue;
		filter_word_vec_push(&filter->words, (struct filter_word){ 0 });
		err = parse_word(&filter->words.data[filter->words.len - 1], item);
		if (err)
			return err;
	}
	return NULL;
}

struct error *filter_set(struct filter *filter, const char *text)
{
	struct filter fresh = { 0 };
	struct error *err = parse_words(&fresh, text);

	if (err) {
		filter_deinit(&fresh);
		return err;
	}
	filter_deinit(filter);
	*filter = fresh;
	if (filter->words.len)
		filter->text = xstrdup(text);
	return NULL;
}

void filter_begin(struct filter *filter)
{
	vec_for_each(word, &filter->words)
		map64_deinit(&word->memo);
}

/* Interned text is one address, and most frames are of the same few functions. */
static bool text_matches(struct filter_word *word, const char *text)
{
	uint64_t key = (uintptr_t)text;
	uint32_t known;

	if (!text || !*text)
		return false;
	known = map64_get(&word->memo, key);
	if (!known) {
		known = regexec(&word->regex, text, 0, NULL, 0) ? 1 : 2;
		map64_set(&word->memo, key, known);
	}
	return known == 2;
}

static bool frame_matches(struct filter_word *word, const struct frame *frame)
{
	enum filter_subject subject = word->subject;

	return ((subject == FILTER_FUNCTION || subject == FILTER_ANY) &&
		text_matches(word, frame->function)) ||
	       ((subject == FILTER_FILE || subject == FILTER_ANY) &&
		text_matches(word, frame->file)) ||
	       ((subject == FILTER_MODULE || subject == FILTER_ANY) &&
		text_matches(word, frame->module));
}

static bool path_matches(struct filter_word *word, const struct snapshot *snap,
			 const struct snapshot_stack *stack)
{
	const struct frame *frames = snapshot_frames(snap, stack);

	for (uint32_t i = 0; i < stack->frame_count; i++)
		if (frame_matches(word, &frames[i]))
			return true;
	return false;
}

static bool target_matches(struct filter_word *word, const struct snapshot_target *target)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%u", target->pid);
	return text_matches(word, target->comm) || !regexec(&word->regex, pid, 0, NULL, 0);
}

static bool number_matches(const struct filter_word *word, const struct metrics *m)
{
	double value = 0;

	switch (word->subject) {
#define X(symbol, name, expression, bytes, help)	\
	case symbol:					\
		value = (expression);			\
		break;
	FILTER_NUMBERS(X)
#undef X
	default:
		break;
	}
	return word->less ? value < word->number : value > word->number;
}

static bool speaks_of_shares(const struct filter_word *word)
{
	return word->subject == FILTER_THREAD || word->subject == FILTER_SIZE;
}

bool filter_wants_shares(const struct filter *filter)
{
	vec_for_each(word, &filter->words)
		if (speaks_of_shares(word))
			return true;
	return false;
}

static bool thread_matches(struct filter_word *word, const struct snapshot *snap, uint32_t nr)
{
	const struct snapshot_thread *thread = &snap->threads.data[nr];
	char tid[16];

	if (!nr || nr >= snap->threads.len)
		return text_matches(word, "others");
	snprintf(tid, sizeof(tid), "%u", thread->tid);
	return text_matches(word, thread->name) || !regexec(&word->regex, tid, 0, NULL, 0);
}

static bool class_matches(const struct filter_word *word, uint32_t class)
{
	if (class >= SIZE_CLASS_ANY)
		return false;
	if (word->less)
		return exp2(class) <= word->number;
	return class && exp2(class - 1) >= word->number;
}

bool filter_matches_share(struct filter *filter, const struct snapshot *snap,
			  const struct snapshot_share *share)
{
	vec_for_each(word, &filter->words) {
		if (!speaks_of_shares(word))
			continue;
		if ((word->subject == FILTER_THREAD ? thread_matches(word, snap, share->thread) :
		     class_matches(word, share->size_class)) == word->negated)
			return false;
	}
	return true;
}

static bool word_holds(struct filter_word *word, const struct snapshot *snap,
		       const struct snapshot_stack *stack)
{
	const struct frame *thread;

	if (word->subject >= FILTER_TEXTS_COUNT)
		return number_matches(word, &stack->m);
	switch (word->subject) {
	case FILTER_KIND:
		return text_matches(word, memory_kind_name(stack->kind));
	case FILTER_TARGET:
		return stack->target < snap->targets.len &&
		       target_matches(word, &snap->targets.data[stack->target]);
	case FILTER_BEGAN:
		thread = thread_frame(snap, stack);
		return thread && text_matches(word, thread->function);
	default:
		return path_matches(word, snap, stack);
	}
}

bool filter_matches(struct filter *filter, const struct snapshot *snap,
		    const struct snapshot_stack *stack)
{
	vec_for_each(word, &filter->words)
		if (!speaks_of_shares(word) && word_holds(word, snap, stack) == word->negated)
			return false;
	return true;
}

bool filter_matches_frame(struct filter *filter, const struct frame *frame)
{
	vec_for_each(word, &filter->words)
		if (!word->has_regex || frame_matches(word, frame) == word->negated)
			return false;
	return filter->words.len;
}

bool filter_matches_text(struct filter *filter, const char *text)
{
	vec_for_each(word, &filter->words)
		if (!word->has_regex ||
		    !regexec(&word->regex, text, 0, NULL, 0) == word->negated)
			return false;
	return filter->words.len;
}
