// SPDX-License-Identifier: GPL-2.0-or-later
/* Gathering, indexing and asking for function symbols; see symtab.h. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/reader.h"
#include "base/vec.h"
#include "symbol/demangle.h"
#include "symbol/elf_symbols.h"
#include "symbol/go/lines.h"
#include "symbol/go/reader.h"
#include "symbol/symtab.h"

/* Of a piece of names: a small table must not cost what a large one is worth. */
#define NAMES_MIN_BYTES 2000
#define NAMES_MAX_BYTES (60u << 10)

#define NONE UINT32_MAX

#define ROOM_DEFAULT (1ull << 30)
#define ROOM_MIN (64ull << 20)
/* Besides its name, a symbol takes an entry, and as much again when all are sorted and indexed. */
#define SYMBOL_BYTES (2 * sizeof(struct entry))
/* Of a file, where a symbol has 24 bytes and each name is there once for each table. */
#define BYTES_PER_BYTE (SYMBOL_BYTES / 24 + 1)
#define SMALL_FILE_BYTES (1u << 20)

static atomic_llong room_left = ROOM_DEFAULT;

/* A symbol on its way into the index. */
struct entry {
	struct object_symbol sym;
	uint64_t limit;		/* where it ends at the latest */
	uint8_t rank;		/* enum binding_rank */
	bool label;		/* STT_NOTYPE: names code, but is no function */
	uint32_t index;		/* in functions or labels, after finishing */
};

/* From start to the next range's start, index names the best symbol. */
struct range {
	uint64_t start;
	uint32_t index;		/* functions, then labels; NONE */
};

/* A symbol whose end the sweep has not reached yet. */
struct open_symbol {
	uint64_t end;
	uint32_t index;
};

DEFINE_VEC(entry_vec, struct entry);
DEFINE_VEC(range_vec, struct range);
DEFINE_VEC(open_vec, struct open_symbol);
DEFINE_VEC(symbol_vec, struct object_symbol);
DEFINE_VEC(string_vec, char *);

struct symtab {
	const struct object_segment *segments;
	size_t segments_count;
	struct entry_vec entries;	/* empty once finished */
	struct string_vec names;	/* pieces, which the names point into */
	char *names_at;			/* where the next one goes in the last piece */
	size_t names_left, piece_bytes;
	int64_t taken, most;		/* bytes of the room; until the present file is taken */
	bool cut;			/* it has more */
	struct symbol_vec functions, labels;
	struct range_vec ranges;
	char **demangled;		/* by index; NULL: not asked for yet */
	/* Exported functions by the hash of their name, made at the first question. */
	uint32_t *buckets, *chain;
	uint32_t buckets_mask;
};

struct symtab *symtab_create(const struct object_segment *segments, size_t count)
{
	struct symtab *symtab = xcalloc(1, sizeof(*symtab));

	symtab->segments = segments;
	symtab->segments_count = count;
	return symtab;
}

static size_t symbols_count(const struct symtab *symtab)
{
	return symtab->functions.len + symtab->labels.len;
}

static const struct object_symbol *symbol_at(const struct symtab *symtab, uint32_t index)
{
	if (index < symtab->functions.len)
		return &symtab->functions.data[index];
	return &symtab->labels.data[index - symtab->functions.len];
}

void symtab_destroy(struct symtab *symtab)
{
	if (!symtab)
		return;
	if (symtab->demangled) {
		for (size_t i = 0; i < symbols_count(symtab); i++) {
			if (symtab->demangled[i] != symbol_at(symtab, i)->name)
				free(symtab->demangled[i]);
		}
	}
	vec_for_each(s, &symtab->names)
		free(*s);
	room_left += symtab->taken;
	free(symtab->demangled);
	free(symtab->buckets);
	free(symtab->chain);
	entry_vec_deinit(&symtab->entries);
	string_vec_deinit(&symtab->names);
	symbol_vec_deinit(&symtab->functions);
	symbol_vec_deinit(&symtab->labels);
	range_vec_deinit(&symtab->ranges);
	free(symtab);
}

/* ---- Gathering ---- */

/* What a reader is asked: so many segments follow. */
struct question { uint32_t segments; };

#define SEGMENTS_MAX 65536

static void send_name(void *arg, const struct named_range *range, const char *name)
{
	name_sender_put(arg, range, name);
}

static void send_go_function(void *arg, uint64_t vaddr, uint64_t size, const char *name)
{
	struct elf_symbols_wish *wish = arg;
	const struct object_segment *seg = elf_symbols_segment(wish->segments,
							       wish->segments_count, vaddr);
	uint64_t limit = seg ? seg->vaddr + seg->size : 0;
	struct named_range range;

	if (!seg)
		return;
	range = (struct named_range){
		.start = vaddr, .size = size < limit - vaddr ? size : limit - vaddr,
		.limit = limit, .rank = RANK_TOLD,
	};
	wish->take(wish->arg, &range, name);
}

/* What Go's runtime calls its functions is how Go's own tools show them. */
static void send_go_functions(int file, struct elf_symbols_wish *wish)
{
	struct go_lines *go = go_lines_create(file);

	if (go)
		go_lines_functions(go, send_go_function, wish);
	go_lines_destroy(go);
}

/* In the confined process. */
static void serve_symbols(int socket, int file)
{
	struct name_sender sender = { .socket = socket };
	struct elf_symbols_wish wish = { .take = send_name, .arg = &sender };
	struct object_segment *segments;
	struct question question;

	if (!reader_receive(socket, &question, sizeof(question)))
		return;
	segments = xcalloc(question.segments, sizeof(*segments));
	wish.segments = segments;
	wish.segments_count = question.segments;
	if (reader_receive(socket, segments, question.segments * sizeof(*segments))) {
		bool has_symtab = elf_symbols_take(file, &wish);

		send_go_functions(file, &wish);
		name_sender_end(&sender, has_symtab);
	}
	free(segments);
}

/* Where they lie one behind the other, in pieces that never move. */
static const char *keep_name(struct symtab *symtab, const char *name)
{
	size_t size = strlen(name) + 1;
	char *copy;

	if (size > symtab->names_left) {
		if (symtab->piece_bytes < NAMES_MAX_BYTES)
			symtab->piece_bytes = 2 * symtab->piece_bytes + NAMES_MIN_BYTES;
		symtab->names_left = size > symtab->piece_bytes ? size : symtab->piece_bytes;
		symtab->names_at = xmalloc(symtab->names_left);
		string_vec_push(&symtab->names, symtab->names_at);
	}
	copy = memcpy(symtab->names_at, name, size);
	symtab->names_at += size;
	symtab->names_left -= size;
	return copy;
}

void symtab_set_room(uint64_t bytes)
{
	room_left = (int64_t)(bytes > ROOM_MIN ? bytes : ROOM_MIN);
}

/* How many bytes the symbols of this file may take. */
static int64_t room_for(int fd)
{
	int64_t half = room_left / 2, earnest;
	struct stat st;

	if (fstat(fd, &st) || half <= 0)
		return 0;
	if (st.st_size > half / (int64_t)BYTES_PER_BYTE)
		return half;
	earnest = st.st_size * (int64_t)BYTES_PER_BYTE + SMALL_FILE_BYTES;
	return earnest < half ? earnest : half;
}

static bool take_room(struct symtab *symtab, int64_t bytes)
{
	symtab->cut = symtab->taken + bytes > symtab->most;
	if (symtab->cut)
		return false;
	symtab->taken += bytes;
	room_left -= bytes;
	return true;
}

/* Nothing that a reader says is believed: it may have fallen for the file. */
static bool is_sound(const struct symtab *symtab, const struct named_range *range)
{
	const struct object_segment *seg = elf_symbols_segment(
		symtab->segments, symtab->segments_count, range->start);

	return seg && range->limit > range->start && range->limit <= seg->vaddr + seg->size &&
	       range->size <= range->limit - range->start && range->rank <= RANK_LOCAL &&
	       range->is_label <= 1 && range->is_exported <= 1;
}

static bool take_symbol(void *arg, const struct named_range *range, const char *name)
{
	struct symtab *symtab = arg;

	if (!is_sound(symtab, range) || !*name ||
	    !take_room(symtab, (int64_t)(SYMBOL_BYTES + strlen(name) + 1)))
		return false;
	entry_vec_push(&symtab->entries, (struct entry){
		.sym = {
			.vaddr = range->start,
			.size = range->size,
			.name = keep_name(symtab, name),
			.exported = range->is_exported,
			.is_go = range->rank == RANK_TOLD,
		},
		.limit = range->limit,
		.rank = range->rank,
		.label = range->is_label,
	});
	return true;
}

int symtab_ask(const struct object_segment *segments, size_t count, int fd)
{
	const struct question question = { (uint32_t)count };
	int socket __cleanup_close = count > SEGMENTS_MAX ? -1 :
		reader_start_large(serve_symbols, fd, go_reader_bytes(fd));

	if (socket < 0 || !reader_send(socket, &question, sizeof(question)) ||
	    !reader_send(socket, segments, count * sizeof(*segments)))
		return -1;
	return steal_fd(&socket);
}

bool symtab_take(struct symtab *symtab, int socket, int fd, const char *path)
{
	size_t before = symtab->entries.len;
	uint64_t has_symtab;

	symtab->most = symtab->taken + room_for(fd);
	symtab->cut = false;
	if (socket >= 0 && name_stream_receive(socket, take_symbol, symtab, &has_symtab))
		return has_symtab;
	/* Nobody looks for more of them elsewhere. */
	if (symtab->cut) {
		reader_note_excess(path, "symbols");
		return true;
	}
	symtab->entries.len = before;
	reader_note_failure(path, "symbols");
	return false;
}

bool symtab_add_file(struct symtab *symtab, int fd, const char *path)
{
	int socket __cleanup_close = symtab_ask(symtab->segments, symtab->segments_count, fd);

	return symtab_take(symtab, socket, fd, path);
}

/* ---- Indexing ---- */

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int by_address_and_name(const void *va, const void *vb)
{
	const struct entry *a = va, *b = vb;

	return compare(a->sym.vaddr, b->sym.vaddr) ?: strcmp(a->sym.name, b->sym.name);
}

/* The best of several names of one address first. */
static int by_preference(const void *va, const void *vb)
{
	const struct entry *a = va, *b = vb;

	return a->label - b->label ?: a->rank - b->rank ?:
	       compare(strlen(a->sym.name), strlen(b->sym.name)) ?:
	       strcmp(a->sym.name, b->sym.name);
}

/* .symtab repeats .dynsym, and a debug file repeats .symtab. */
static void merge_into(struct entry *kept, const struct entry *twin)
{
	kept->sym.exported |= twin->sym.exported;
	kept->sym.is_go |= twin->sym.is_go;
	kept->label &= twin->label;
	if (twin->sym.size > kept->sym.size)
		kept->sym.size = twin->sym.size;
	if (twin->rank < kept->rank)
		kept->rank = twin->rank;
}

static void sort_and_merge(struct entry_vec *entries)
{
	size_t kept = 0;

	if (!entries->len)
		return;
	qsort(entries->data, entries->len, sizeof(*entries->data), by_address_and_name);
	for (size_t i = 1; i < entries->len; i++) {
		if (!by_address_and_name(&entries->data[kept], &entries->data[i]))
			merge_into(&entries->data[kept], &entries->data[i]);
		else
			entries->data[++kept] = entries->data[i];
	}
	entries->len = kept + 1;
}

/* The first entry from @i on that has another address. */
static size_t group_end(const struct entry_vec *entries, size_t i)
{
	uint64_t vaddr = entries->data[i].sym.vaddr;

	while (i < entries->len && entries->data[i].sym.vaddr == vaddr)
		i++;
	return i;
}

static void order_aliases(struct entry_vec *entries)
{
	for (size_t i = 0, end; i < entries->len; i = end) {
		end = group_end(entries, i);
		if (end - i > 1)
			qsort(&entries->data[i], end - i, sizeof(*entries->data),
			      by_preference);
	}
}

/* Functions and labels part; indices count the functions first. */
static void split(struct symtab *symtab)
{
	vec_for_each(entry, &symtab->entries) {
		if (!entry->label) {
			entry->index = symtab->functions.len;
			symbol_vec_push(&symtab->functions, entry->sym);
		}
	}
	vec_for_each(entry, &symtab->entries) {
		if (entry->label) {
			entry->index = symbols_count(symtab);
			symbol_vec_push(&symtab->labels, entry->sym);
		}
	}
}

static void emit(struct range_vec *ranges, uint64_t start, uint32_t index)
{
	if (ranges->len && ranges->data[ranges->len - 1].start == start)
		ranges->data[ranges->len - 1].index = index;
	else
		range_vec_push(ranges, (struct range){ start, index });
}

/*
 * Ends what is open and ends at or before @vaddr. Whoever began before it and
 * is still open goes on behind it.
 */
static void close_until(struct range_vec *ranges, struct open_vec *open, uint64_t vaddr)
{
	while (open->len && open->data[open->len - 1].end <= vaddr) {
		uint64_t end = open->data[open->len - 1].end;

		while (open->len && open->data[open->len - 1].end <= end)
			open->len--;
		emit(ranges, end, open->len ? open->data[open->len - 1].index : NONE);
	}
}

/* Opens what begins at the address of @group, the best on top. */
static void open_group(struct open_vec *open, const struct entry *group, size_t count,
		       uint64_t next_vaddr)
{
	for (size_t i = count; i-- > 0; ) {
		const struct entry *entry = &group[i];

		if (entry->sym.size)
			open_vec_push(open, (struct open_symbol){
				entry->sym.vaddr + entry->sym.size, entry->index });
	}
	if (!open->len)
		open_vec_push(open, (struct open_symbol){
			next_vaddr < group->limit ? next_vaddr : group->limit,
			group->index });
}

/*
 * Sweeps the addresses from low to high with a stack of the symbols that are
 * open; the one that began last is on top and names the range.
 */
static void flatten(struct range_vec *ranges, const struct entry_vec *entries)
{
	struct open_vec open = { 0 };

	for (size_t i = 0, end; i < entries->len; i = end) {
		uint64_t vaddr = entries->data[i].sym.vaddr;

		end = group_end(entries, i);
		close_until(ranges, &open, vaddr);
		open_group(&open, &entries->data[i], end - i,
			   end < entries->len ? entries->data[end].sym.vaddr : UINT64_MAX);
		emit(ranges, vaddr, open.data[open.len - 1].index);
	}
	close_until(ranges, &open, UINT64_MAX);
	open_vec_deinit(&open);
}

void symtab_finish(struct symtab *symtab)
{
	sort_and_merge(&symtab->entries);
	order_aliases(&symtab->entries);
	split(symtab);
	flatten(&symtab->ranges, &symtab->entries);
	entry_vec_deinit(&symtab->entries);
}

/* ---- Questions ---- */

size_t symtab_functions(const struct symtab *symtab, const struct object_symbol **ret)
{
	*ret = symtab->functions.data;
	return symtab->functions.len;
}

const struct object_symbol *symtab_find(const struct symtab *symtab, uint64_t vaddr)
{
	const struct range *ranges = symtab->ranges.data;
	size_t lo = 0, hi = symtab->ranges.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ranges[mid].start <= vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || ranges[lo - 1].index == NONE)
		return NULL;
	return symbol_at(symtab, ranges[lo - 1].index);
}

/* FNV-1a */
static uint32_t hash_name(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return hash;
}

static void hash_exported(struct symtab *symtab)
{
	size_t size = 16;

	while (size < symtab->functions.len)
		size *= 2;
	symtab->buckets_mask = size - 1;
	symtab->buckets = xmalloc(size * sizeof(*symtab->buckets));
	memset(symtab->buckets, 0xff, size * sizeof(*symtab->buckets));
	symtab->chain = xcalloc(symtab->functions.len, sizeof(*symtab->chain));
	for (size_t i = symtab->functions.len; i-- > 0; ) {
		uint32_t *bucket = &symtab->buckets[hash_name(symtab->functions.data[i].name) &
						    symtab->buckets_mask];

		if (!symtab->functions.data[i].exported)
			continue;
		symtab->chain[i] = *bucket;
		*bucket = i;
	}
}

size_t symtab_find_exported(struct symtab *symtab, const char *name,
			    struct object_symbol *ret, size_t max)
{
	size_t count = 0;
	uint32_t i;

	if (!symtab->buckets)
		hash_exported(symtab);
	i = symtab->buckets[hash_name(name) & symtab->buckets_mask];
	for (; i != NONE && count < max; i = symtab->chain[i]) {
		if (!strcmp(symtab->functions.data[i].name, name))
			ret[count++] = symtab->functions.data[i];
	}
	return count;
}

/* The number of the symbol that @sym is, or is a copy of; NONE. */
static uint32_t index_of(const struct symtab *symtab, const struct object_symbol *sym)
{
	const struct object_symbol *functions = symtab->functions.data;
	const struct symbol_vec *labels = &symtab->labels;
	size_t lo = 0, hi = symtab->functions.len;

	if (hi && sym >= functions && sym < functions + hi)
		return sym - functions;
	if (labels->len && sym >= labels->data && sym < labels->data + labels->len)
		return hi + (sym - labels->data);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (functions[mid].vaddr < sym->vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < symtab->functions.len && functions[lo].vaddr == sym->vaddr; lo++) {
		if (functions[lo].name == sym->name)
			return lo;
	}
	return NONE;
}

const char *symtab_demangle(struct symtab *symtab, const struct object_symbol *sym)
{
	uint32_t index = index_of(symtab, sym);
	char **slot;

	if (index == NONE)
		return sym->name;
	if (!symtab->demangled)
		symtab->demangled = xcalloc(symbols_count(symtab), sizeof(char *));
	slot = &symtab->demangled[index];
	if (!*slot)
		*slot = demangle(sym->name) ?: (char *)symbol_at(symtab, index)->name;
	return *slot;
}
