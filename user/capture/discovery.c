// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Allocator discovery: between the address space, which knows what a target
 * has mapped, and attach. Reads files only; the target notices nothing.
 */
#include "capture/discovery.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "symbol/elfread.h"

/* More versions of one function than any library exports. */
#define MAX_ADDRESSES 8
/* For a function whose symbol has no size and no neighbour. */
#define UNSIZED_FUNCTION 64
/* Allocator functions are a tenth of this; a lying symbol size ends here. */
#define MAX_FUNCTION (64 << 10)

enum object_roles {
	ROLE_ALLOCATOR = 1,
	ROLE_C_LIBRARY = 2,
	ROLE_UNWINDER = 4,
};

/* One object under examination. */
struct candidate {
	struct object *object;
	bool by_symtab;		/* a static program: local symbols count as exported */
	unsigned int roles;
	bool wraps;		/* another allocator may stand behind this one */
};

DEFINE_VEC(candidate_vec, struct candidate);

static void __attribute__((format(printf, 2, 3)))
add_note(struct probe_plan *plan, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	note_vec_push(&plan->notes, xvasprintf(fmt, args));
	va_end(args);
}

static size_t find_in_symtab(struct object *object, const char *name,
			     struct object_symbol *ret, size_t max)
{
	const struct object_symbol *symbols;
	size_t n = object_symbols(object, &symbols), count = 0;

	for (size_t i = 0; i < n && count < max; i++)
		if (!strcmp(symbols[i].name, name))
			ret[count++] = symbols[i];
	return count;
}

static size_t find_function(const struct candidate *c, const char *name,
			    struct object_symbol *ret, size_t max)
{
	if (c->by_symtab)
		return find_in_symtab(c->object, name, ret, max);
	return object_find_exported(c->object, name, ret, max);
}

static bool defines(const struct candidate *c, const char *name)
{
	struct object_symbol symbol;

	return find_function(c, name, &symbol, 1) > 0;
}

/* Whether a PT_DYNAMIC belongs to an executable rather than to a library. */
static bool dynamic_says_pie(int fd, const Elf64_Phdr *phdr)
{
	__cleanup_free Elf64_Dyn *dyn = elfread_whole(fd, phdr->p_offset, phdr->p_filesz, 1 << 20);

	for (size_t i = 0; dyn && i < phdr->p_filesz / sizeof(*dyn); i++) {
		if (dyn[i].d_tag == DT_NULL)
			break;
		if (dyn[i].d_tag == DT_FLAGS_1)
			return dyn[i].d_un.d_val & DF_1_PIE;
	}
	return false;
}

/* A program without interpreter; libraries have none either, and are not PIE. */
static bool is_static_program(const struct object *object)
{
	__cleanup_elf Elf *elf = elfread_open(object->fd);
	bool program = false;
	Elf64_Ehdr *ehdr;
	Elf64_Phdr *phdr;
	size_t count;

	if (!elf || elf_getphdrnum(elf, &count))
		return false;
	ehdr = elf64_getehdr(elf);
	phdr = elf64_getphdr(elf);
	if (!ehdr || !phdr)
		return false;
	program = ehdr->e_type == ET_EXEC;
	for (size_t i = 0; i < count; i++) {
		if (phdr[i].p_type == PT_INTERP)
			return false;
		if (phdr[i].p_type == PT_DYNAMIC && ehdr->e_type == ET_DYN)
			program = dynamic_says_pie(object->fd, &phdr[i]);
	}
	return program;
}

static void find_roles(struct candidate *c)
{
	bool c_library = defines(c, "__libc_start_main");

	if (defines(c, "_Unwind_RaiseException"))
		c->roles |= ROLE_UNWINDER;
	if (!defines(c, "malloc") || !defines(c, "free"))
		return;
	/* glibc's dynamic linker has a malloc for itself until libc is there. */
	if (!c_library && defines(c, "_dl_allocate_tls"))
		return;
	c->roles |= ROLE_ALLOCATOR;
	if (c_library)
		c->roles |= ROLE_C_LIBRARY;
}

static bool has_candidate(const struct candidate_vec *candidates, const struct object *object)
{
	vec_for_each(c, candidates)
		if (c->object == object)
			return true;
	return false;
}

static void find_candidates(const struct address_space *as, struct probe_plan *plan,
			    struct candidate_vec *candidates)
{
	const struct mapping_vec *mappings = address_space_mappings(as);

	vec_for_each(m, mappings) {
		struct candidate c = { .object = m->object };

		if (!c.object || has_candidate(candidates, c.object))
			continue;
		c.by_symtab = is_static_program(c.object);
		find_roles(&c);
		if (c.by_symtab && !(c.roles & ROLE_ALLOCATOR))
			add_note(plan, "%s: statically linked, and no malloc among its symbols",
				 c.object->path);
		candidate_vec_push(candidates, c);
	}
}

/*
 * With more than one allocator, all but the C library's may be wrappers that
 * end in another: nothing in a file says whether they do.
 */
static void find_wrappers(struct candidate_vec *candidates)
{
	int allocators = 0;

	vec_for_each(c, candidates)
		allocators += !!(c->roles & ROLE_ALLOCATOR);
	vec_for_each(c, candidates)
		c->wraps = allocators > 1 && c->roles & ROLE_ALLOCATOR &&
			   !(c->roles & ROLE_C_LIBRARY);
}

static unsigned int wanted_role(const struct allocator_function *function)
{
	switch (function->kind) {
	case PROBE_ALLOC:
	case PROBE_CALLOC:
	case PROBE_ALLOC_OUT:
	case PROBE_REALLOC:
	case PROBE_FREE:
		return ROLE_ALLOCATOR;
	case PROBE_LEAVE:
		if (!strncmp(function->symbol, "_Unwind_", strlen("_Unwind_")))
			return ROLE_UNWINDER;
		return ROLE_C_LIBRARY;
	case PROBE_MMAP:
	case PROBE_MUNMAP:
	case PROBE_MREMAP:
	case PROBE_BRK:
		return ROLE_C_LIBRARY;
	}
	return 0;
}

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

static struct error *place_probe(struct object *object, const struct object_symbol *symbol,
				 struct planned_probe *probe)
{
	__cleanup_free uint8_t *code = NULL;
	size_t size = read_function(object, symbol, &code);

	return placement_find(&(struct placement_request){
				      .code = code,
				      .size = size,
				      .vaddr = symbol->vaddr,
				      .args = allocator_function_args(probe->function),
				      .returns = probe->returns,
				      .stack = allocator_kind_reads_stack(probe->function->kind),
			      }, &probe->placement);
}

/* Fills where the probe is in the file and in its segment; false if in none. */
static bool locate_probe(const struct object *object, struct planned_probe *probe)
{
	uint64_t vaddr = probe->vaddr + probe->placement.offset;
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

static void add_reason(struct placement *placement, const char *more)
{
	size_t len = strlen(placement->reason);

	snprintf(placement->reason + len, sizeof(placement->reason) - len, "; %s", more);
}

static bool same_row(const struct allocator_function *a, const struct allocator_function *b)
{
	return a->kind == b->kind && a->size_arg == b->size_arg &&
	       a->count_arg == b->count_arg && a->ptr_arg == b->ptr_arg;
}

/*
 * Whether the address has its probe already: by the name of an earlier row,
 * or by another version of this one.
 */
static bool is_alias(struct probe_plan *plan, const struct object_plan *op,
		     const struct allocator_function *function, uint64_t vaddr)
{
	vec_for_each(probe, &op->probes) {
		if (probe->vaddr != vaddr)
			continue;
		if (!same_row(probe->function, function))
			add_note(plan, "%s: %s is at the address of %s and is taken for it",
				 op->object->path, function->symbol, probe->function->symbol);
		return true;
	}
	return false;
}

/* Plans one probe; a function that cannot be probed leaves a note instead. */
static struct error *plan_probe(struct probe_plan *plan, struct object_plan *op,
				const struct candidate *c, uint8_t func,
				const struct object_symbol *symbol)
{
	const struct allocator_function *function = &allocator_functions[func];
	bool wraps = function->kind == PROBE_FREE && c->wraps;
	struct planned_probe probe = {
		.function = function,
		.func = func,
		.vaddr = symbol->vaddr,
		.returns = allocator_kind_returns(function->kind) || wraps,
	};
	struct error *err;

	if (is_alias(plan, op, function, symbol->vaddr))
		return NULL;
	err = place_probe(c->object, symbol, &probe);
	if (err && err->code != ERROR_UNSUPPORTED)
		return error_wrap(err, "%s: %s", c->object->path, function->symbol);
	if (err) {
		add_note(plan, "%s: %s is not probed: %s", c->object->path, function->symbol,
			 err->message);
		error_destroy(err);
		return NULL;
	}
	if (!locate_probe(c->object, &probe)) {
		add_note(plan, "%s: %s is not probed: it lies outside of the file's code",
			 c->object->path, function->symbol);
		return NULL;
	}
	if (wraps)
		add_reason(&probe.placement, "its return tells nested frees");
	planned_probe_vec_push(&op->probes, probe);
	return NULL;
}

static struct error *plan_object(struct probe_plan *plan, const struct candidate *c,
				 struct object_plan *op)
{
	struct object_symbol found[MAX_ADDRESSES];
	struct error *err = NULL;

	for (size_t func = 0; func < allocator_functions_count && !err; func++) {
		const struct allocator_function *function = &allocator_functions[func];
		size_t count;

		if (!(c->roles & wanted_role(function)))
			continue;
		count = find_function(c, function->symbol, found, MAX_ADDRESSES);
		for (size_t i = 0; i < count && !err; i++)
			err = plan_probe(plan, op, c, func, &found[i]);
	}
	return err;
}

static void object_plan_deinit(struct object_plan *op)
{
	planned_probe_vec_deinit(&op->probes);
}

static struct error *plan_candidates(struct probe_plan *plan,
				     const struct candidate_vec *candidates)
{
	vec_for_each(c, candidates) {
		struct object_plan op = { .object = c->object };
		struct error *err;

		if (!c->roles)
			continue;
		err = plan_object(plan, c, &op);
		if (err || !op.probes.len)
			object_plan_deinit(&op);
		else
			object_plan_vec_push(&plan->objects, op);
		if (err)
			return err;
	}
	return NULL;
}

void probe_plan_deinit(struct probe_plan *plan)
{
	vec_for_each(op, &plan->objects)
		object_plan_deinit(op);
	object_plan_vec_deinit(&plan->objects);
	vec_for_each(note, &plan->notes)
		free(*note);
	note_vec_deinit(&plan->notes);
}

struct error *probe_plan_init(struct probe_plan *plan, const struct address_space *as)
{
	__cleanup(candidate_vec_deinit) struct candidate_vec candidates = { 0 };
	struct error *err;

	*plan = (struct probe_plan){ 0 };
	find_candidates(as, plan, &candidates);
	find_wrappers(&candidates);
	err = plan_candidates(plan, &candidates);
	if (err)
		probe_plan_deinit(plan);
	return err;
}
