// SPDX-License-Identifier: GPL-2.0-or-later
/* From a function to its probe; see probe_site.h. */
#include "capture/discovery/probe_site.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "symbol/jump.h"

/* For a function whose symbol has no size and no neighbour. */
#define UNSIZED_FUNCTION 64
/* Allocator functions are a tenth of this; a lying symbol size ends here. */
#define MAX_FUNCTION (64 << 10)
/* How many functions one may go on in by jumps. */
#define MAX_EXIT_FUNCTIONS 16
/* More versions of one function than any library exports. */
#define MAX_TARGETS 8

/* Bytes from the symbol to the next function, where it does not say its size. */
static size_t size_up_to_neighbour(struct object *object, const struct object_symbol *symbol)
{
	const struct object_symbol *symbols;
	size_t lo = 0, hi = object_symbols(object, &symbols), count = hi;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (symbols[mid].vaddr <= symbol->vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == count || symbols[lo].vaddr - symbol->vaddr > UNSIZED_FUNCTION)
		return UNSIZED_FUNCTION;
	return symbols[lo].vaddr - symbol->vaddr;
}

static size_t read_function(struct object *object, const struct object_symbol *symbol,
			    uint8_t **ret)
{
	size_t size = symbol->size ?: size_up_to_neighbour(object, symbol);

	if (size > MAX_FUNCTION)
		size = MAX_FUNCTION;
	*ret = xmalloc(size);
	return object_read(object, symbol->vaddr, *ret, size);
}

static struct error *place_probe(struct object *object, struct planned_probe *probe)
{
	__cleanup_free uint8_t *code = NULL;
	size_t size = read_function(object, &probe->symbol, &code);

	return placement_find(&(struct placement_request){
				      .code = code,
				      .size = size,
				      .vaddr = probe->symbol.vaddr,
				      .args = allocator_function_args(probe->function),
				      .returns = probe->returns,
				      .stack = allocator_kind_reads_stack(probe->function->kind),
			      }, &probe->placement);
}

/* Fills where the probe is in the file and in its segment; false if in none. */
static bool locate_probe(const struct object *object, struct planned_probe *probe)
{
	uint64_t vaddr = probe->symbol.vaddr + probe->placement.offset;
	const struct object_segment *segments;
	size_t count = object_segments(object, &segments);

	for (size_t i = 0; i < count; i++) {
		if (vaddr - segments[i].vaddr >= segments[i].size)
			continue;
		probe->text_before = vaddr - segments[i].vaddr;
		probe->text_after = segments[i].size - probe->text_before;
		return object_vaddr_to_offset(object, vaddr, &probe->file_offset);
	}
	return false;
}

static void __attribute__((format(printf, 2, 3)))
add_reason(struct placement *placement, const char *fmt, ...)
{
	size_t len = strlen(placement->reason);
	char more[64];
	va_list args;

	va_start(args, fmt);
	vsnprintf(more, sizeof(more), fmt, args);
	va_end(args);
	snprintf(placement->reason + len, sizeof(placement->reason) - len, "; %s", more);
}

bool probe_same_row(const struct allocator_function *a, const struct allocator_function *b)
{
	return a->kind == b->kind && a->size_arg == b->size_arg &&
	       a->count_arg == b->count_arg && a->ptr_arg == b->ptr_arg &&
	       a->pool_arg == b->pool_arg;
}

bool probe_is_stub(const struct candidate *c, const struct object_plan *op,
		   const struct planned_probe *probe)
{
	__cleanup(jump_deinit) struct jump jump = { 0 };
	struct object_symbol targets[MAX_TARGETS];
	size_t count = 1;

	if (!jump_at(op->object, probe->symbol.vaddr, &jump))
		return false;
	targets[0].vaddr = jump.vaddr;
	if (jump.name)
		count = candidate_find_exported(c, jump.name, targets, MAX_TARGETS);
	for (size_t i = 0; i < count; i++)
		vec_for_each(other, &op->probes)
			if (other != probe && other->symbol.vaddr == targets[i].vaddr &&
			    probe_same_row(other->function, probe->function))
				return true;
	return false;
}

/* The function that @vaddr is in: where another one jumped to. */
static bool function_at(struct object *object, uint64_t vaddr, struct object_symbol *ret)
{
	const struct object_symbol *symbol = object_find_symbol(object, vaddr);

	*ret = (struct object_symbol){ .vaddr = vaddr };
	if (symbol && symbol->size)
		*ret = *symbol;
	return object_read(object, vaddr, &(char){ 0 }, 1);
}

static bool is_planned(const struct object_plan *op, uint64_t vaddr)
{
	vec_for_each(probe, &op->probes)
		if (probe->symbol.vaddr == vaddr)
			return true;
	return false;
}

enum destination {
	TO_PROBED,	/* whose own probes see what becomes of the call */
	TO_FUNCTION,	/* or a part that lies apart: its returns are the call's */
	TO_UNKNOWN,	/* in another object, or by a pointer */
};

/* Where control goes on that leaves a function by the jump to @target. */
static enum destination destination(const struct candidate *c, const struct object_plan *op,
				    uint64_t target, struct object_symbol *ret)
{
	__cleanup(jump_deinit) struct jump jump = { 0 };

	if (jump_at(c->object, target, &jump) && jump.name) {
		if (!object_find_exported(c->object, jump.name, ret, 1))
			return TO_UNKNOWN;
		target = ret->vaddr;
	}
	if (is_planned(op, target))
		return TO_PROBED;
	return function_at(c->object, target, ret) && !jump_at(c->object, target, &jump) ?
	       TO_FUNCTION : TO_UNKNOWN;
}

DEFINE_VEC(symbol_vec, struct object_symbol);

static void push_new(struct symbol_vec *functions, const struct object_symbol *symbol)
{
	vec_for_each(known, functions)
		if (known->vaddr == symbol->vaddr)
			return;
	symbol_vec_push(functions, *symbol);
}

/* What a calloc jumps to in the end clears the block, and returns it as memset does. */
static bool ends_in_memset(const struct planned_probe *probe, const struct function_exit *exit)
{
	return exit->always && probe->function->kind == PROBE_ALLOC &&
	       probe->function->count_arg != PROBE_NO_ARG;
}

static void push_offset(const struct candidate *c, uint64_t vaddr, struct offset_vec *ret)
{
	uint64_t offset;

	if (object_vaddr_to_offset(c->object, vaddr, &offset))
		offset_vec_push(ret, offset);
}

static struct error *follow_exit(const struct candidate *c, const struct object_plan *op,
				 const struct function_exit *exit, struct planned_probe *probe,
				 struct symbol_vec *functions)
{
	enum destination to;
	struct object_symbol next;

	if (exit->returns) {
		push_offset(c, exit->vaddr, &probe->exits);
		return NULL;
	}
	to = destination(c, op, exit->target, &next);
	if (to != TO_PROBED && ends_in_memset(probe, exit))
		push_offset(c, exit->vaddr, &probe->tails);
	else if (to == TO_FUNCTION)
		push_new(functions, &next);
	else if (to == TO_UNKNOWN && c->no_returns)
		return error_create(ERROR_UNSUPPORTED, "it is left for where its return cannot "
				    "be seen, and a return probe could end the program");
	return NULL;
}

/* The instructions by which @probe's function is left. */
static struct error *find_exits(const struct candidate *c, const struct object_plan *op,
				struct planned_probe *probe)
{
	__cleanup(symbol_vec_deinit) struct symbol_vec functions = { 0 };

	symbol_vec_push(&functions, probe->symbol);
	for (size_t i = 0; i < functions.len && i < MAX_EXIT_FUNCTIONS; i++) {
		const struct object_symbol function = functions.data[i];
		__cleanup(function_exit_vec_deinit) struct function_exit_vec exits = { 0 };
		__cleanup_free uint8_t *code = NULL;
		size_t size = read_function(c->object, &function, &code);
		struct error *err = placement_exits(code, size, function.vaddr, &exits);

		for (size_t k = 0; !err && k < exits.len; k++)
			err = follow_exit(c, op, &exits.data[k], probe, &functions);
		if (err)
			return err;
	}
	return NULL;
}

struct error *probe_complete(struct note_vec *notes, const struct candidate *c,
			     const struct object_plan *op, struct planned_probe *probe,
			     bool *ret)
{
	struct object *object = c->object;
	struct error *err = place_probe(object, probe);

	*ret = false;
	if (!err && object_is_go_code(object, probe->symbol.vaddr))
		err = error_create(ERROR_UNSUPPORTED,
				   "it is Go code, which passes arguments in other ways");
	if (!err && probe->by_exits)
		err = find_exits(c, op, probe);
	if (!err && c->no_returns && probe->by_exits && !probe->exits.len)
		err = error_create(ERROR_UNSUPPORTED, "where it returns cannot be seen, and a "
				   "return probe could end the program");
	if (err && err->code != ERROR_UNSUPPORTED)
		return error_wrap(err, "%s: %s", object->path, probe->symbol.name);
	if (err) {
		notes_add(notes, "%s: %s is not probed: %s", object->path, probe->symbol.name,
			 err->message);
		error_destroy(err);
		return NULL;
	}
	if (!locate_probe(object, probe)) {
		notes_add(notes, "%s: %s is not probed: it lies outside of the file's code",
			 object->path, probe->symbol.name);
		return NULL;
	}
	if (probe->function->kind == PROBE_FREE && probe->returns)
		add_reason(&probe->placement, "its return tells nested frees");
	if (probe->exits.len + probe->tails.len)
		add_reason(&probe->placement, "its returns too, %s",
			   c->no_returns ?: "it may throw");
	*ret = true;
	return NULL;
}
