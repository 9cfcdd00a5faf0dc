// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The unwind table compiler; see unwind_table.h. FDEs are sorted by address
 * and interpreted in that order, so that rows come out ascending and go
 * straight into buckets, and the text is scanned for calls in one pass.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "symbol/call_sites.h"
#include "symbol/go/frames.h"
#include "symbol/unwind_image.h"
#include "symbol/unwind_table.h"

/*
 * Functions are padded to their alignment. Shorter holes without calls are
 * that; giving each a row would double the table.
 */
#define PADDING_MAX 63

/* What .init, .fini and .plt take beside .text: not worth a range of its own. */
#define SLACK_MAX (64 << 10)

/* Text beyond this is not indexed. */
#define TEXT_MAX (4ull << 30)

/* ---- rules ---- */

static uint64_t rule_bits(struct unwind_rule rule)
{
	uint64_t bits;

	memcpy(&bits, &rule, sizeof(bits));
	return bits;
}

static uint32_t *rule_slot(const struct unwind_rules *rules, uint64_t bits)
{
	uint32_t mask = rules->cap * 2 - 1;
	uint32_t i = bits * 0x9e3779b97f4a7c15 >> 32 & mask;

	while (rules->slots[i] && rule_bits(rules->data[rules->slots[i] - 1]) != bits)
		i = (i + 1) & mask;
	return &rules->slots[i];
}

static void rules_grow(struct unwind_rules *rules)
{
	rules->cap *= 2;
	rules->data = xreallocarray(rules->data, rules->cap, sizeof(*rules->data));
	free(rules->slots);
	rules->slots = xcalloc(rules->cap * 2, sizeof(*rules->slots));
	for (uint32_t i = 0; i < rules->len; i++)
		*rule_slot(rules, rule_bits(rules->data[i])) = i + 1;
}

void unwind_rules_init(struct unwind_rules *rules)
{
	*rules = (struct unwind_rules){ .cap = 64 };
	rules_grow(rules);
	for (int cfa = 0; cfa < FIXED_RULES; cfa++)
		unwind_rules_intern(rules, (struct unwind_rule){ .cfa = cfa });
}

void unwind_rules_deinit(struct unwind_rules *rules)
{
	free(rules->data);
	free(rules->slots);
	*rules = (struct unwind_rules){ 0 };
}

/* When numbers are used up, which no real set of files does, it is unsupported. */
uint32_t unwind_rules_intern(struct unwind_rules *rules, struct unwind_rule rule)
{
	uint32_t *slot = rule_slot(rules, rule_bits(rule));

	if (*slot)
		return *slot - 1;
	if (rules->len == UNWIND_RULES_MAX)
		return CFA_UNSUPPORTED;
	if (rules->len == rules->cap) {
		rules_grow(rules);
		slot = rule_slot(rules, rule_bits(rule));
	}
	rules->data[rules->len++] = rule;
	*slot = rules->len;
	return rules->len - 1;
}

/* ---- a row's rule ---- */

static const struct unwind_rule unsupported = { .cfa = CFA_UNSUPPORTED };

struct machine {
	uint32_t sp, bp;	/* DWARF register numbers */
};

static const struct machine x86_64 = { .sp = 7, .bp = 6 };
static const struct machine arm64 = { .sp = 31, .bp = 29 };

static bool fits(int64_t value, int bits)
{
	return value >= -(1ll << (bits - 1)) && value < 1ll << (bits - 1);
}

/* @offset in words, if it is a whole number of them that fits @bits. */
static bool to_words(int64_t offset, int bits, int32_t *ret)
{
	if (offset & 7 || !fits(offset / 8, bits))
		return false;
	*ret = offset / 8;
	return true;
}

static bool set_plain(struct unwind_rule *rule, const struct machine *m,
		      uint32_t reg, int64_t offset)
{
	if ((reg != m->sp && reg != m->bp) || !fits(offset, 32))
		return false;
	rule->cfa = reg == m->sp ? CFA_SP : CFA_BP;
	rule->cfa_off = offset;
	return true;
}

static bool set_deref(struct unwind_rule *rule, const struct machine *m,
		      const struct cfi_expression *e)
{
	if (!set_plain(rule, m, e->reg, 0) || !fits(e->offset, 16) ||
	    !fits(e->addend, 16))
		return false;
	rule->cfa = rule->cfa == CFA_SP ? CFA_DEREF_SP : CFA_DEREF_BP;
	rule->cfa_off = (uint32_t)e->offset << 16 | (uint16_t)e->addend;
	return true;
}

static bool set_cfa(struct unwind_rule *rule, const struct machine *m,
		    const struct cfi *cfi, const struct cfi_where *cfa)
{
	struct cfi_expression e;

	if (cfa->how == CFI_REGISTER)
		return set_plain(rule, m, cfa->reg, cfa->value);
	if (cfa->how != CFI_VAL_EXPRESSION)
		return false;
	e = cfi_expression(cfi, cfa);
	switch (e.form) {
	case CFI_FORM_PLAIN:
		return set_plain(rule, m, e.reg, e.offset);
	case CFI_FORM_DEREF:
		return set_deref(rule, m, &e);
	case CFI_FORM_PLT:
		rule->cfa = CFA_PLT;
		rule->cfa_off = e.offset;
		return true;
	case CFI_FORM_OTHER:
		break;
	}
	return false;
}

/* Where the caller's frame pointer is. A lost one fails only who needs it. */
static void set_bp(struct unwind_rule *rule, const struct machine *m,
		   const struct cfi *cfi, const struct cfi_where *bp)
{
	struct cfi_expression e;
	int32_t words;

	rule->flags |= RULE_BP_LOST;
	if (bp->how == CFI_UNSPECIFIED || bp->how == CFI_SAME) {
		rule->flags &= ~RULE_BP_LOST;
	} else if (bp->how == CFI_OFFSET && to_words(bp->value, 16, &words)) {
		rule->flags ^= RULE_BP_LOST | RULE_BP_AT_CFA;
		rule->bp_words = words;
	} else if (bp->how == CFI_EXPRESSION) {
		e = cfi_expression(cfi, bp);
		if (e.form != CFI_FORM_PLAIN || e.reg != m->bp ||
		    !to_words(e.offset, 16, &words))
			return;
		rule->flags ^= RULE_BP_LOST | RULE_BP_AT_BP;
		rule->bp_words = words;
	}
}

static bool set_ra_x86(const struct cfi_where *ra)
{
	return ra->how == CFI_OFFSET && ra->value == -8;
}

static bool set_ra_arm64(struct unwind_rule *rule, const struct cfi_where *ra)
{
	int32_t cfa_words, ra_words;

	if (ra->how == CFI_UNSPECIFIED || ra->how == CFI_SAME) {
		rule->flags |= RULE_RA_IN_LR;
		return true;
	}
	if (ra->how != CFI_OFFSET)
		return false;
	if (rule->flags & RULE_BP_AT_CFA && ra->value == rule->bp_words * 8 + 8)
		return true;
	if ((rule->cfa != CFA_SP && rule->cfa != CFA_BP) ||
	    !to_words(rule->cfa_off, 20, &cfa_words) ||
	    !to_words(ra->value, 12, &ra_words))
		return false;
	rule->flags |= RULE_RA_PACKED;
	rule->cfa_off = (uint32_t)ra_words << 20 | (cfa_words & 0xfffff);
	return true;
}

static struct unwind_rule rule_of_row(uint16_t machine, const struct cfi *cfi,
				      const struct cfi_row *row)
{
	bool x86 = machine == EM_X86_64;
	const struct machine *m = x86 ? &x86_64 : &arm64;
	struct unwind_rule rule = { 0 };

	if (row->signal_frame)
		return (struct unwind_rule){ .cfa = CFA_SIGFRAME };
	if (row->ra.how == CFI_UNDEFINED || (x86 && row->ra.how == CFI_UNSPECIFIED))
		return (struct unwind_rule){ .cfa = CFA_STOP };
	if (!set_cfa(&rule, m, cfi, &row->cfa))
		return unsupported;
	set_bp(&rule, m, cfi, &row->bp);
	if (x86 ? !set_ra_x86(&row->ra) : !set_ra_arm64(&rule, &row->ra))
		return unsupported;
	if (row->other_stack)
		rule.flags |= RULE_OTHER_STACK;
	return rule;
}

/* ---- from FDEs to rows ---- */

/* A function's rows, wherever they come from: @cfi, or the Go program's own table. */
struct fde_ref {
	uint64_t start, end;
	const struct cfi *cfi;		/* NULL: Go */
	const struct cfi_fde *fde;
	size_t go;			/* the function's number */
};

DEFINE_VEC(fde_ref_vec, struct fde_ref);

struct compiler {
	struct unwind_table *table;
	struct unwind_image *image;
	struct call_sites sites;
	const struct go_frames *go;	/* NULL: no Go program */
	struct fde_ref_vec fdes;	/* sorted, cut to be free of overlaps */

	/* the text being written */
	struct unwind_text *text;
	uint32_t buckets_begun;
	uint32_t last_rule;
	uint64_t done;			/* rows are settled up to here */

	/* the FDE being interpreted */
	const struct fde_ref *fde;
};

static int cmp_ref(const void *a, const void *b)
{
	const struct fde_ref *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

static void sort_refs(struct fde_ref *refs, size_t len)
{
	for (size_t i = 1; i < len; i++) {
		if (cmp_ref(&refs[i - 1], &refs[i]) > 0) {
			qsort(refs, len, sizeof(*refs), cmp_ref);
			return;
		}
	}
}

/* Does one of the @len sorted refs share an address with @fde? */
static bool is_covered(const struct fde_ref *refs, size_t len,
		       const struct cfi_fde *fde)
{
	size_t lo = 0, hi = len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (refs[mid].end <= fde->start)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < len && refs[lo].start < fde->end;
}

/* FDEs that share addresses: as a search by start does, the later start wins. */
static void cut_overlaps(struct fde_ref_vec *fdes)
{
	for (size_t i = 1; i < fdes->len; i++)
		if (fdes->data[i - 1].end > fdes->data[i].start)
			fdes->data[i - 1].end = fdes->data[i].start;
}

/* Adds a section's FDEs, except where an earlier section has spoken. */
static void add_section(struct compiler *c, const struct cfi *cfi)
{
	size_t known = c->fdes.len;

	c->table->stats.malformed += cfi->malformed;
	fde_ref_vec_reserve(&c->fdes, known + cfi->fdes.len);
	vec_for_each(fde, &cfi->fdes)
		if (!known || !is_covered(c->fdes.data, known, fde))
			fde_ref_vec_push(&c->fdes, (struct fde_ref){
				.start = fde->start, .end = fde->end, .cfi = cfi, .fde = fde });
	sort_refs(c->fdes.data, c->fdes.len);
	cut_overlaps(&c->fdes);
}

/* Of all sections the first: where Go code is, only its own runtime knows all of it. */
static void add_go(struct compiler *c)
{
	struct fde_ref ref = { 0 };

	while (go_frames_function(c->go, ref.go, &ref.start, &ref.end)) {
		if (ref.start < ref.end)
			fde_ref_vec_push(&c->fdes, ref);
		ref.go++;
	}
	sort_refs(c->fdes.data, c->fdes.len);
	cut_overlaps(&c->fdes);
}

static uint32_t bucket_of(const struct unwind_text *text, uint64_t vaddr)
{
	return (vaddr - text->base) >> UNWIND_BUCKET_SHIFT;
}

/* The index up to @bucket points to the next row that will be written. */
static void begin_buckets(struct compiler *c, uint32_t bucket)
{
	struct unwind_table *t = c->table;

	while (c->buckets_begun <= bucket)
		t->index.data[c->text->first_bucket + c->buckets_begun++] = t->rows.len;
}

static void write_row(struct compiler *c, uint64_t vaddr, uint32_t rule)
{
	begin_buckets(c, bucket_of(c->text, vaddr));
	unwind_word_vec_push(&c->table->rows,
			     UNWIND_ROW((vaddr - c->text->base) % UNWIND_BUCKET_SIZE,
					rule));
	c->last_rule = rule;
}

/* Is [start, end) needed in the table, given the rule that it would get without? */
static bool is_needed(struct compiler *c, uint64_t start, uint64_t end, uint32_t rule)
{
	if (rule == c->last_rule)
		return false;
	if (rule == CFA_GAP)
		return end - start > PADDING_MAX ||
		       call_sites_in(&c->sites, start, end);
	if (c->table->kind == UNWIND_FULL || rule < FIXED_RULES)
		return true;
	return call_sites_in(&c->sites, start, end);
}

/*
 * Is this the beginning of code that is entered by a made-up return address,
 * as __start_context is by what makecontext() left? It calls with a stack that
 * is empty but for a return address, which no called function may do, since
 * the stack is aligned to 16 at calls.
 */
static bool is_thread_start(struct compiler *c, uint64_t start, uint64_t end,
			    uint32_t id)
{
	const struct unwind_rule *rule = &c->table->rules.data[id];

	return c->table->machine == EM_X86_64 && c->fde && start == c->fde->start &&
	       rule->cfa == CFA_SP && rule->cfa_off == 8 &&
	       call_sites_in(&c->sites, start, end);
}

/*
 * Settles everything up to @end: what lies before @start is a gap. Walks look
 * up the address before the one they return to: for a made-up return address
 * that is padding, and means the bottom.
 */
static void settle(struct compiler *c, uint64_t start, uint64_t end, uint32_t rule)
{
	if (end > c->text->end)
		end = c->text->end;
	if (start < c->done)
		start = c->done;
	if (start >= end)
		return;
	if (start > c->done) {
		if (is_needed(c, c->done, start, CFA_GAP))
			write_row(c, c->done, CFA_GAP);
		else if (is_thread_start(c, start, end, rule))
			write_row(c, start - 1, CFA_STOP);
	}
	if (is_needed(c, start, end, rule))
		write_row(c, start, rule);
	c->done = end;
}

static void compile_row(void *ctx, const struct cfi_row *row)
{
	struct compiler *c = ctx;
	uint64_t end = row->end < c->fde->end ? row->end : c->fde->end;
	struct unwind_rule rule = rule_of_row(c->table->machine, c->fde->cfi, row);

	c->table->stats.rows_seen++;
	c->table->stats.unsupported += rule.cfa == CFA_UNSUPPORTED;
	settle(c, row->start, end, unwind_rules_intern(&c->table->rules, rule));
}

/* Where the instructions are broken, the rest of the function is unsupported. */
static void compile_fde(struct compiler *c, const struct fde_ref *ref)
{
	c->fde = ref;
	c->table->stats.fdes++;
	if (!ref->cfi) {
		go_frames_rows(c->go, ref->go, compile_row, c);
		return;
	}
	if (!cfi_fde_rows(ref->cfi, ref->fde, compile_row, c)) {
		c->table->stats.malformed++;
		settle(c, ref->start, ref->end, CFA_UNSUPPORTED);
	}
}

static void begin_text(struct compiler *c, struct unwind_text *text)
{
	c->text = text;
	c->buckets_begun = 0;
	c->done = text->vaddr;
	write_row(c, text->base, CFA_GAP);
}

static void end_text(struct compiler *c)
{
	if (c->done < c->text->end && c->last_rule != CFA_GAP)
		write_row(c, c->done, CFA_GAP);
	begin_buckets(c, c->text->buckets);
}

/* The first FDE that begins at or after @vaddr. */
static const struct fde_ref *first_fde(const struct compiler *c, uint64_t vaddr)
{
	size_t lo = 0, hi = c->fdes.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->fdes.data[mid].start < vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return c->fdes.data + lo;
}

static void compile_text(struct compiler *c, struct unwind_text *text)
{
	const struct fde_ref *ref = first_fde(c, text->vaddr);

	if (text->vaddr == text->end)
		return;
	begin_text(c, text);
	for (; ref < c->fdes.data + c->fdes.len && ref->start < text->end; ref++)
		if (ref->start < ref->end)
			compile_fde(c, ref);
	end_text(c);
}

/* Cuts off what no FDE speaks of, if it is much. */
static void set_extent(const struct compiler *c, struct unwind_text *text)
{
	const struct fde_ref *first = first_fde(c, text->segment);
	const struct fde_ref *next = first_fde(c, text->segment_end);

	text->vaddr = text->end = text->segment;
	if (first == next)
		return;
	if (first->start - text->segment > SLACK_MAX)
		text->vaddr = first->start;
	text->end = text->segment_end;
	if (next[-1].end < text->end && text->end - next[-1].end > SLACK_MAX)
		text->end = next[-1].end;
}

static void add_text(struct compiler *c, const struct unwind_segment *seg)
{
	struct unwind_table *t = c->table;
	struct unwind_text text = {
		.segment = seg->vaddr,
		.segment_end = seg->vaddr + seg->size,
		.first_bucket = t->index.len,
	};

	set_extent(c, &text);
	text.base = text.vaddr & ~(uint64_t)(UNWIND_BUCKET_SIZE - 1);
	if (text.vaddr < text.end) {
		text.buckets = bucket_of(&text, text.end - 1) + 1;
		unwind_word_vec_reserve(&t->index, t->index.len + text.buckets + 1);
		t->index.len += text.buckets + 1;
	}
	unwind_text_vec_push(&t->texts, text);
}

/* A forged header may claim the same bytes of a file many times over. */
static void compile_texts(struct compiler *c)
{
	uint64_t rest = TEXT_MAX;

	for (size_t i = 0; i < c->image->segments_count; i++) {
		const struct unwind_segment *seg = &c->image->segments[i];

		if (!seg->executable || seg->size > rest)
			continue;
		rest -= seg->size;
		add_text(c, seg);
	}
	vec_for_each(text, &c->table->texts)
		compile_text(c, text);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* @debug: the separate debug file, or NULL. */
static struct unwind_table *compile(struct unwind_image *image,
				    struct unwind_image *debug,
				    enum unwind_table_kind kind)
{
	struct unwind_table *t = xcalloc(1, sizeof(*t));
	struct compiler c = { .table = t, .image = image };
	__cleanup(go_frames_destroyp) struct go_frames *go = go_frames_create(image);
	struct unwind_cfi eh = { 0 }, own = { 0 }, separate = { 0 };
	uint64_t begin_ns = now_ns();

	t->kind = kind;
	t->machine = image->machine;
	unwind_rules_init(&t->rules);
	fde_ref_vec_reserve(&c.fdes, 1);
	call_sites_init(&c.sites, image);
	c.go = go;
	if (go)
		add_go(&c);
	if (unwind_image_eh_frame(image, &eh))
		add_section(&c, &eh.cfi);
	/* A Go program's .debug_frame is of Go code; C compilers write .eh_frame. */
	if (!go && unwind_image_debug_frame(image, &own))
		add_section(&c, &own.cfi);
	if (debug && unwind_image_debug_frame(debug, &separate))
		add_section(&c, &separate.cfi);
	compile_texts(&c);
	unwind_cfi_deinit(&eh);
	unwind_cfi_deinit(&own);
	unwind_cfi_deinit(&separate);
	call_sites_deinit(&c.sites);
	fde_ref_vec_deinit(&c.fdes);
	t->stats.compile_ns = now_ns() - begin_ns;
	return t;
}

struct error *unwind_table_create(int fd, int debug_fd, enum unwind_table_kind kind,
				  struct unwind_table **ret)
{
	struct unwind_image image, debug;
	bool has_debug = false;
	struct error *err = unwind_image_init(&image, fd, NULL, 0);

	if (err)
		return err;
	if (debug_fd >= 0) {
		err = unwind_image_init(&debug, debug_fd, NULL, 0);
		has_debug = !err && debug.machine == image.machine;
		if (!err && !has_debug)
			unwind_image_deinit(&debug);
		error_destroy(err);	/* a broken debug file is as good as none */
	}
	*ret = compile(&image, has_debug ? &debug : NULL, kind);
	if (has_debug)
		unwind_image_deinit(&debug);
	unwind_image_deinit(&image);
	return NULL;
}

struct error *unwind_table_create_memory(const void *memory, size_t size,
					 enum unwind_table_kind kind,
					 struct unwind_table **ret)
{
	struct unwind_image image;
	struct error *err = unwind_image_init(&image, -1, memory, size);

	if (err)
		return err;
	*ret = compile(&image, NULL, kind);
	unwind_image_deinit(&image);
	return NULL;
}

void unwind_table_destroy(struct unwind_table *table)
{
	if (!table)
		return;
	unwind_text_vec_deinit(&table->texts);
	unwind_word_vec_deinit(&table->index);
	unwind_word_vec_deinit(&table->rows);
	unwind_rules_deinit(&table->rules);
	free(table);
}

/* ---- the finished table ---- */

static const struct unwind_text *find_text(const struct unwind_table *table,
					   uint64_t vaddr)
{
	vec_for_each(text, &table->texts)
		if (vaddr - text->segment < text->segment_end - text->segment)
			return text;
	return NULL;
}

bool unwind_table_find(const struct unwind_table *table, uint64_t vaddr,
		       struct unwind_rule *ret)
{
	const struct unwind_text *text = find_text(table, vaddr);
	const uint32_t *index;
	uint32_t lo, hi, key;

	if (!text)
		return false;
	*ret = (struct unwind_rule){ .cfa = CFA_GAP };
	if (vaddr < text->vaddr || vaddr >= text->end)
		return true;
	index = table->index.data + text->first_bucket + bucket_of(text, vaddr);
	lo = index[0];
	hi = index[1];
	key = (vaddr - text->base) % UNWIND_BUCKET_SIZE;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (UNWIND_ROW_OFFSET(table->rows.data[mid]) <= key)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret = table->rules.data[UNWIND_ROW_RULE(table->rows.data[lo - 1])];
	return true;
}

/*
 * @text's buckets: rows of each ascending, the first beginning with its begin. Of two
 * at one place, as whole tables of the C library have, the latter counts.
 */
static bool is_text_indexed(const struct unwind_table *t, const struct unwind_text *text)
{
	const uint32_t *index = t->index.data + text->first_bucket;
	const uint32_t *rows = t->rows.data;

	if (index[0] >= index[1] || index[1] > t->rows.len || UNWIND_ROW_OFFSET(rows[index[0]]))
		return false;
	for (uint32_t b = 0; b < text->buckets; b++) {
		if (index[b] > index[b + 1] || index[b + 1] > t->rows.len)
			return false;
		for (uint32_t i = index[b] + 1; i < index[b + 1]; i++)
			if (UNWIND_ROW_OFFSET(rows[i - 1]) > UNWIND_ROW_OFFSET(rows[i]))
				return false;
	}
	return true;
}

static bool is_text_sound(const struct unwind_table *t, const struct unwind_text *text)
{
	if (text->segment >= text->segment_end || text->vaddr < text->segment ||
	    text->vaddr > text->end || text->end > text->segment_end)
		return false;
	if (text->base != (text->vaddr & ~(uint64_t)(UNWIND_BUCKET_SIZE - 1)))
		return false;
	if (text->vaddr == text->end)
		return !text->buckets;
	if (text->end - text->base > TEXT_MAX ||
	    text->buckets != bucket_of(text, text->end - 1) + 1 ||
	    (uint64_t)text->first_bucket + text->buckets + 1 > t->index.len)
		return false;
	return is_text_indexed(t, text);
}

bool unwind_table_is_sound(const struct unwind_table *table)
{
	uint64_t end = 0;

	vec_for_each(text, &table->texts) {
		if (text->segment < end || !is_text_sound(table, text))
			return false;
		end = text->segment_end;
	}
	vec_for_each(word, &table->index)
		if (*word > table->rows.len)
			return false;
	vec_for_each(row, &table->rows)
		if (UNWIND_ROW_RULE(*row) >= table->rules.len)
			return false;
	for (uint32_t i = 0; i < table->rules.len; i++)
		if (table->rules.data[i].cfa >= CFA_COUNT)
			return false;
	return true;
}

uint32_t unwind_table_words(const struct unwind_table *table)
{
	return table->index.len + table->rows.len;
}

size_t unwind_table_bytes(const struct unwind_table *table)
{
	return unwind_table_words(table) * sizeof(uint32_t) +
	       table->rules.len * sizeof(struct unwind_rule);
}

void unwind_table_place(const struct unwind_table *table, uint32_t at,
			struct unwind_rules *rules, uint32_t *words)
{
	__cleanup_free uint32_t *number = xcalloc(table->rules.len, sizeof(*number));
	uint32_t first_row = at + table->index.len;

	for (uint32_t i = 0; i < table->rules.len; i++)
		number[i] = unwind_rules_intern(rules, table->rules.data[i]);
	vec_for_each(word, &table->index)
		*words++ = first_row + *word;
	vec_for_each(row, &table->rows)
		*words++ = UNWIND_ROW(UNWIND_ROW_OFFSET(*row),
				      number[UNWIND_ROW_RULE(*row)]);
}

/* Appends the part of [from, to) that lies in [start, end), if there is one. */
static size_t add_range(struct unwind_range *ret, uint64_t from, uint64_t to,
			uint64_t start, uint64_t end, struct unwind_range range)
{
	range.start = from > start ? from : start;
	range.end = to < end ? to : end;
	if (range.start >= range.end)
		return 0;
	*ret = range;
	return 1;
}

size_t unwind_table_ranges(const struct unwind_table *table, uint32_t at,
			   uint64_t start, uint64_t end, uint64_t bias,
			   struct unwind_range ret[UNWIND_TABLE_RANGES_MAX])
{
	static const struct unwind_range gap = { .kind = RANGE_RULE, .value = CFA_GAP };
	size_t n = 0;

	vec_for_each(text, &table->texts) {
		struct unwind_range range = {
			.base = bias + text->base,
			.value = at + text->first_bucket,
			.kind = RANGE_TABLE,
			.flags = table->kind == UNWIND_FULL ? RANGE_FULL : 0,
		};

		if (end <= bias + text->segment || start >= bias + text->segment_end)
			continue;
		n += add_range(ret + n, bias + text->segment, bias + text->vaddr,
			       start, end, gap);
		n += add_range(ret + n, bias + text->vaddr, bias + text->end,
			       start, end, range);
		n += add_range(ret + n, bias + text->end, bias + text->segment_end,
			       start, end, gap);
		break;
	}
	return n;
}
