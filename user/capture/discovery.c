// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Allocator discovery: between the address space, which knows what a target
 * has mapped, and attach. Reads files only; the target notices nothing.
 */
#include "capture/discovery.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strset.h"
#include "symbol/elfread.h"
#include "symbol/jump.h"

/* More versions of one function than any library exports. */
#define MAX_ADDRESSES 8
/* For a function whose symbol has no size and no neighbour. */
#define UNSIZED_FUNCTION 64
/* Allocator functions are a tenth of this; a lying symbol size ends here. */
#define MAX_FUNCTION (64 << 10)
/* How many functions one may go on in by jumps. */
#define MAX_EXIT_FUNCTIONS 16

/* A function of an object that has one of the names looked for. */
struct sighting {
	struct object_symbol symbol;
	const char *name;	/* of the symbol, or Rust's behind the mangling */
};

DEFINE_VEC(sighting_vec, struct sighting);

/* One object under examination. */
struct candidate {
	struct object *object;
	struct sighting_vec sightings;
	bool is_static;		/* a static program: local symbols count as exported */
	bool hides_heap;	/* has all of a heap under the plain names, not exported */
	bool has_heap;		/* a group of malloc and free */
	bool is_glibcs;		/* ... which is glibc's own */
	bool left_out;		/* ... that is not to be probed, by the user's choice */
	bool c_library;
	bool wraps;		/* another allocator may stand behind this one */
	const char *allocator;	/* its name, or NULL */
	const struct allocator_choice *choice;
	uint64_t bias;		/* of the object in the target */
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

/* Prefix number @i of those known and the user's; NULL behind the last. */
static const char *prefix_at(const struct allocator_choice *choice, size_t i)
{
	if (i < allocator_prefixes_count)
		return allocator_prefixes[i];
	return i == allocator_prefixes_count ? choice->prefix : NULL;
}

/* "malloc" behind "je_" and the like, for as long as the buffer lives. */
struct full_name { char text[64]; };

static const char *full_name(struct full_name *buf, const char *prefix, const char *symbol)
{
	snprintf(buf->text, sizeof(buf->text), "%s%s", prefix, symbol);
	return buf->text;
}

static bool is_exported(const struct candidate *c, const struct sighting *sighting)
{
	return sighting->symbol.exported || c->is_static || c->hides_heap;
}

static size_t find_function(const struct candidate *c, const char *name, bool exported,
			    struct object_symbol *ret, size_t max)
{
	size_t count = 0;

	vec_for_each(sighting, &c->sightings) {
		if (count == max)
			break;
		if (!strcmp(sighting->name, name) && (!exported || is_exported(c, sighting)))
			ret[count++] = sighting->symbol;
	}
	return count;
}

static bool defines(const struct candidate *c, const char *name, bool exported)
{
	struct object_symbol symbol;

	return find_function(c, name, exported, &symbol, 1) > 0;
}

/* Whether names of this group under this prefix say little, so that only exports count. */
static bool only_exports(enum allocator_group group, const char *prefix)
{
	switch (allocator_groups[group].where) {
	case OWN_NAME:
	case IN_HEAP:
		return group == GROUP_MAPPING;
	case PREFIXED:
		return !*prefix && group == GROUP_MALLOC;
	default:
		return true;
	}
}

static bool has_anchors(const struct candidate *c, enum allocator_group group,
			const char *prefix)
{
	for (int i = 0; i < 2; i++) {
		const char *anchor = allocator_groups[group].anchors[i];
		struct full_name name;

		if (anchor && !defines(c, full_name(&name, prefix, anchor),
				       only_exports(group, prefix)))
			return false;
	}
	return true;
}

/* Whether the rows of @group are looked for in this object. */
static bool is_active(const struct candidate *c, enum allocator_group group, const char *prefix)
{
	if (!has_anchors(c, group, prefix))
		return false;
	switch (allocator_groups[group].where) {
	case IN_HEAP:
		if (group == GROUP_CXX && c->is_glibcs)
			return false;
		return c->has_heap && (group == GROUP_MAPPING || !c->left_out);
	case IN_LIBC:
		return c->c_library;
	default:
		break;
	}
	return group == GROUP_UNWINDER || !c->left_out;
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

/*
 * The plain name of a symbol of Rust's runtime. Compilers since 1.87 mangle
 * them: _RNvCs5QKde7ScR4H_7___rustc12___rust_alloc is __rust_alloc.
 */
static const char *plain_name(const char *symbol)
{
	const char *crate = strncmp(symbol, "_RNvC", 5) ? NULL : strstr(symbol, "7___rustc");
	size_t digits;

	if (!crate)
		return symbol;
	crate += strlen("7___rustc");
	digits = strspn(crate, "0123456789");
	return digits && crate[digits] == '_' ? crate + digits + 1 : symbol;
}

/* All that is looked for anywhere; the names made here are kept in @made. */
static void gather_names(struct strset *names, struct note_vec *made,
			 const struct allocator_choice *choice)
{
	static const char *const others[] = {
		"__libc_start_main", "_dl_allocate_tls", "__libc_malloc",
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		strset_add(names, others[i]);
	vec_for_each(d, &choice->described)
		strset_add(names, d->function.symbol);
	for (size_t p = 0; prefix_at(choice, p); p++) {
		const char *prefix = prefix_at(choice, p);

		for (size_t i = 0; i < allocator_names_count; i++) {
			note_vec_push(made, xasprintf("%s%s", prefix, allocator_names[i].symbol));
			strset_add(names, made->data[made->len - 1]);
		}
		for (size_t i = 0; i < allocator_functions_count; i++) {
			const struct allocator_function *f = &allocator_functions[i];

			if (*prefix && allocator_groups[f->group].where != PREFIXED)
				continue;
			note_vec_push(made, xasprintf("%s%s", prefix, f->symbol));
			strset_add(names, made->data[made->len - 1]);
		}
	}
}

static void look_for_names(struct candidate *c, const struct strset *names)
{
	const struct object_symbol *symbols;
	size_t count = object_symbols(c->object, &symbols);

	for (size_t i = 0; i < count; i++) {
		const char *name = plain_name(symbols[i].name);

		if (strset_has(names, name))
			sighting_vec_push(&c->sightings, (struct sighting){ symbols[i], name });
	}
}

static const char *known_allocator(const struct candidate *c)
{
	for (size_t i = 0; i < allocator_names_count; i++) {
		for (size_t p = 0; prefix_at(c->choice, p); p++) {
			struct full_name name;

			if (defines(c, full_name(&name, prefix_at(c->choice, p),
						 allocator_names[i].symbol), false))
				return allocator_names[i].name;
		}
	}
	return c->c_library ? "C library" : NULL;
}

static bool is_object(const struct object *object, const char *name)
{
	const char *base = strrchr(object->path, '/');

	return !strcmp(object->path, name) || (base && !strcmp(base + 1, name));
}

/* glibc has no operator new: one beside its malloc is libstdc++'s, and calls that. */
static bool is_glibcs(const struct candidate *c)
{
	struct object_symbol public, own;

	return find_function(c, "malloc", false, &public, 1) &&
	       find_function(c, "__libc_malloc", false, &own, 1) && public.vaddr == own.vaddr;
}

static void examine(struct candidate *c)
{
	bool c_library = defines(c, "__libc_start_main", true);

	c->hides_heap = !defines(c, "_dl_allocate_tls", false) &&
			defines(c, "malloc", false) && defines(c, "calloc", false) &&
			defines(c, "realloc", false) && defines(c, "free", false);
	/* glibc's dynamic linker has a malloc for itself until libc is there. */
	if (!c_library && defines(c, "_dl_allocate_tls", true))
		return;
	for (size_t p = 0; prefix_at(c->choice, p); p++)
		c->has_heap |= has_anchors(c, GROUP_MALLOC, prefix_at(c->choice, p));
	for (int group = 0; group < GROUPS_COUNT && !c->has_heap; group++)
		if (allocator_groups[group].where == OWN_NAME)
			c->has_heap = has_anchors(c, group, "");
	c->c_library = c_library && c->has_heap;
	c->is_glibcs = c->has_heap && is_glibcs(c);
	if (c->has_heap)
		c->allocator = known_allocator(c);
	c->left_out = (c->choice->library && !is_object(c->object, c->choice->library)) ||
		      (c->choice->only && strcmp(c->choice->only, c->allocator ?: ""));
}

static bool has_candidate(const struct candidate_vec *candidates, const struct object *object)
{
	vec_for_each(c, candidates)
		if (c->object == object)
			return true;
	return false;
}

/* What looks like a part of an allocator, or was described, and is chosen at run time. */
static void note_indirect(struct probe_plan *plan, const struct candidate *c)
{
	static const char text[] = "%s: %s is not probed: it is an indirect function, chosen at "
				   "run time: describe the one that is chosen";

	if (!c->has_heap && c->sightings.len)
		for (int i = 0; i < 2; i++)
			if (jump_is_indirect(c->object, allocator_groups[0].anchors[i]))
				add_note(plan, text, c->object->path,
					 allocator_groups[0].anchors[i]);
	vec_for_each(d, &c->choice->described)
		if (jump_is_indirect(c->object, d->function.symbol))
			add_note(plan, text, c->object->path, d->function.symbol);
}

static void find_candidates(const struct address_space *as, struct probe_plan *plan,
			    const struct allocator_choice *choice,
			    struct candidate_vec *candidates)
{
	const struct mapping_vec *mappings = address_space_mappings(as);
	__cleanup(strset_deinit) struct strset names = { 0 };
	struct note_vec made = { 0 };

	gather_names(&names, &made, choice);
	vec_for_each(m, mappings) {
		struct candidate c = {
			.object = m->object,
			.choice = choice,
			.bias = m->bias,
		};

		if (!c.object || has_candidate(candidates, c.object))
			continue;
		c.is_static = is_static_program(c.object);
		look_for_names(&c, &names);
		examine(&c);
		if (c.is_static && !c.has_heap)
			add_note(plan, "%s: statically linked, and no allocator among its symbols",
				 c.object->path);
		note_indirect(plan, &c);
		candidate_vec_push(candidates, c);
	}
	vec_for_each(name, &made)
		free(*name);
	note_vec_deinit(&made);
}

/*
 * With more than one allocator, those that nobody knows may be wrappers that
 * end in another: nothing in a file says whether they do.
 */
static void find_wrappers(struct candidate_vec *candidates)
{
	int allocators = 0;

	vec_for_each(c, candidates)
		allocators += c->has_heap;
	vec_for_each(c, candidates)
		c->wraps = allocators > 1 && c->has_heap && !c->allocator;
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

static void add_reason(struct placement *placement, const char *more)
{
	size_t len = strlen(placement->reason);

	snprintf(placement->reason + len, sizeof(placement->reason) - len, "; %s", more);
}

static bool same_row(const struct allocator_function *a, const struct allocator_function *b)
{
	return a->kind == b->kind && a->size_arg == b->size_arg &&
	       a->count_arg == b->count_arg && a->ptr_arg == b->ptr_arg &&
	       a->pool_arg == b->pool_arg;
}

/*
 * Whether the address has its probe already: by the name of an earlier row,
 * or by another version of this one.
 */
static bool is_alias(struct probe_plan *plan, const struct object_plan *op,
		     const struct allocator_function *function,
		     const struct object_symbol *symbol)
{
	vec_for_each(probe, &op->probes) {
		if (probe->symbol.vaddr != symbol->vaddr)
			continue;
		if (!same_row(probe->function, function))
			add_note(plan, "%s: %s is at the address of %s and is taken for it",
				 op->object->path, symbol->name, probe->symbol.name);
		return true;
	}
	return false;
}

static bool passes_on(const struct candidate *c, const struct allocator_function *function)
{
	return function->kind == PROBE_FREE &&
	       (c->wraps || function->group == GROUP_DESCRIBED);
}

static const struct allocator_function *row(const struct allocator_choice *choice, size_t func)
{
	if (func < allocator_functions_count)
		return &allocator_functions[func];
	return &choice->described.data[func - allocator_functions_count].function;
}

static void list_function(struct probe_plan *plan, struct object_plan *op,
			  const struct candidate *c, uint16_t func,
			  const struct object_symbol *symbol)
{
	const struct allocator_function *function = row(c->choice, func);

	if (is_alias(plan, op, function, symbol))
		return;
	planned_probe_vec_push(&op->probes, (struct planned_probe){
		.function = function,
		.func = func,
		.symbol = *symbol,
		.returns = (allocator_kind_returns(function->kind) || passes_on(c, function)) &&
			   !allocator_function_throws(function),
	});
}

/* Where a described function is in the object: addresses of its symbol, or the one given. */
static size_t find_described(const struct candidate *c, const struct described_function *d,
			     struct object_symbol *ret)
{
	if (d->object && !is_object(c->object, d->object))
		return 0;
	if (!d->by_address)
		return find_function(c, d->function.symbol, false, ret, MAX_ADDRESSES);
	ret[0] = (struct object_symbol){ .vaddr = d->vaddr, .name = d->function.symbol };
	return 1;
}

static struct error *check_overlap(const struct object_plan *op,
				   const struct described_function *d, uint64_t vaddr)
{
	vec_for_each(probe, &op->probes)
		if (probe->symbol.vaddr == vaddr && !same_row(probe->function, &d->function))
			return error_create(ERROR_USAGE,
					    "%s: %s is at the address of %s in %s, "
					    "which is described as something else", d->where,
					    d->function.symbol, probe->symbol.name,
					    op->object->path);
	return NULL;
}

/* Where the variable that names the pool is in the target. */
static struct error *bind_variable(const struct candidate *c,
				   const struct described_function *d,
				   struct planned_probe *probe)
{
	if (!jump_find_variable(c->object, d->variable, &probe->variable))
		return error_create(ERROR_USAGE, "%s: %s has no variable %s", d->where,
				    c->object->path, d->variable);
	probe->variable += c->bias;
	return NULL;
}

static struct error *list_described_at(struct probe_plan *plan, const struct candidate *c,
				       struct object_plan *op, size_t index,
				       const struct object_symbol *symbol)
{
	const struct described_function *d = &c->choice->described.data[index];
	struct error *err = check_overlap(op, d, symbol->vaddr);
	size_t before = op->probes.len;

	if (err)
		return err;
	list_function(plan, op, c, allocator_functions_count + index, symbol);
	if (d->variable && op->probes.len > before)
		err = bind_variable(c, d, &op->probes.data[before]);
	return err;
}

/* Lists what the user described, before anything else can be at its addresses. */
static struct error *list_described(struct probe_plan *plan, const struct candidate *c,
				    struct object_plan *op)
{
	const struct described_vec *described = &c->choice->described;

	for (size_t i = 0; i < described->len; i++) {
		const struct described_function *d = &described->data[i];
		struct object_symbol found[MAX_ADDRESSES];
		size_t count = find_described(c, d, found);

		for (size_t at = 0; at < count; at++) {
			struct error *err = list_described_at(plan, c, op, i, &found[at]);

			if (err)
				return err;
		}
		if (count > 1)
			add_note(plan, "%s: %s stands for %zu functions, each is probed",
				 c->object->path, d->function.symbol, count);
	}
	return NULL;
}

/* Lists the functions of the table that the object has, each address once. */
static void list_functions(struct probe_plan *plan, const struct candidate *c,
			   struct object_plan *op, const char *prefix)
{
	bool active[GROUPS_COUNT];

	for (int group = 0; group < GROUPS_COUNT; group++)
		active[group] = is_active(c, group, prefix);
	for (size_t func = 0; func < allocator_functions_count; func++) {
		const struct allocator_function *f = &allocator_functions[func];
		struct object_symbol found[MAX_ADDRESSES];
		struct full_name name;
		size_t count;

		if (!active[f->group] ||
		    (*prefix && allocator_groups[f->group].where != PREFIXED))
			continue;
		count = find_function(c, full_name(&name, prefix, f->symbol),
				      only_exports(f->group, prefix), found, MAX_ADDRESSES);
		for (size_t i = 0; i < count; i++)
			list_function(plan, op, c, func, &found[i]);
	}
}

/* Whether @probe's function only jumps to another one of the plan with the same meaning. */
static bool is_stub(const struct candidate *c, const struct object_plan *op,
		    const struct planned_probe *probe)
{
	__cleanup(jump_deinit) struct jump jump = { 0 };
	struct object_symbol targets[MAX_ADDRESSES];
	size_t count = 1;

	if (!jump_at(op->object, probe->symbol.vaddr, &jump))
		return false;
	targets[0].vaddr = jump.vaddr;
	if (jump.name)
		count = find_function(c, jump.name, true, targets, MAX_ADDRESSES);
	for (size_t i = 0; i < count; i++)
		vec_for_each(other, &op->probes)
			if (other != probe && other->symbol.vaddr == targets[i].vaddr &&
			    same_row(other->function, probe->function))
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

/*
 * Where control goes on that leaves a function by the jump to @target: into a
 * part of it that lies apart, or into another function of the object, whose
 * returns are then its own; false if it is probed itself, or lies elsewhere.
 */
static bool leads_on(const struct candidate *c, const struct object_plan *op, uint64_t target,
		     struct object_symbol *ret)
{
	__cleanup(jump_deinit) struct jump jump = { 0 };

	if (jump_at(c->object, target, &jump) && jump.name) {
		if (!object_find_exported(c->object, jump.name, ret, 1))
			return false;
		target = ret->vaddr;
	}
	return !is_planned(op, target) && function_at(c->object, target, ret);
}

DEFINE_VEC(symbol_vec, struct object_symbol);

static void push_new(struct symbol_vec *functions, const struct object_symbol *symbol)
{
	vec_for_each(known, functions)
		if (known->vaddr == symbol->vaddr)
			return;
	symbol_vec_push(functions, *symbol);
}

/* The return instructions by which @probe's function is left. */
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
		struct object_symbol next;
		uint64_t offset;

		if (err)
			return err;
		vec_for_each(exit, &exits) {
			if (!exit->returns && leads_on(c, op, exit->target, &next))
				push_new(&functions, &next);
			else if (exit->returns &&
				 object_vaddr_to_offset(c->object, exit->vaddr, &offset))
				offset_vec_push(&probe->exits, offset);
		}
	}
	return NULL;
}

/* Finds the instruction; false, with a note, if the function cannot be probed. */
static struct error *complete_probe(struct probe_plan *plan, const struct candidate *c,
				    const struct object_plan *op, struct planned_probe *probe,
				    bool *ret)
{
	struct object *object = c->object;
	struct error *err = place_probe(object, probe);

	*ret = false;
	if (!err && allocator_function_throws(probe->function))
		err = find_exits(c, op, probe);
	if (err && err->code != ERROR_UNSUPPORTED)
		return error_wrap(err, "%s: %s", object->path, probe->symbol.name);
	if (err) {
		add_note(plan, "%s: %s is not probed: %s", object->path, probe->symbol.name,
			 err->message);
		error_destroy(err);
		return NULL;
	}
	if (!locate_probe(object, probe)) {
		add_note(plan, "%s: %s is not probed: it lies outside of the file's code",
			 object->path, probe->symbol.name);
		return NULL;
	}
	if (probe->function->kind == PROBE_FREE && probe->returns)
		add_reason(&probe->placement, "its return tells nested frees");
	if (probe->exits.len)
		add_reason(&probe->placement, "its returns too, it may throw");
	*ret = true;
	return NULL;
}

static void mark_described(struct probe_plan *plan, const struct planned_probe *probe)
{
	if (probe->function->group == GROUP_DESCRIBED)
		plan->described[probe->func - allocator_functions_count] = true;
}

/* Stubs may jump to each other, so all are found before one is dropped. */
static struct error *plan_object(struct probe_plan *plan, const struct candidate *c,
				 struct object_plan *op)
{
	struct planned_probe_vec kept = { 0 };
	struct error *err = list_described(plan, c, op);

	for (size_t p = 0; prefix_at(c->choice, p) && !err; p++)
		list_functions(plan, c, op, prefix_at(c->choice, p));
	for (size_t i = 0; i < op->probes.len && !err; i++) {
		struct planned_probe *probe = &op->probes.data[i];
		bool good = false;

		if (is_stub(c, op, probe))
			mark_described(plan, probe);
		else
			err = complete_probe(plan, c, op, probe, &good);
		if (good)
			mark_described(plan, probe);
		if (good)
			planned_probe_vec_push(&kept, *probe);
		else
			offset_vec_deinit(&probe->exits);
	}
	planned_probe_vec_deinit(&op->probes);
	op->probes = kept;
	return err;
}

static void object_plan_deinit(struct object_plan *op)
{
	vec_for_each(probe, &op->probes)
		offset_vec_deinit(&probe->exits);
	planned_probe_vec_deinit(&op->probes);
}

static struct error *plan_candidates(struct probe_plan *plan,
				     const struct candidate_vec *candidates)
{
	vec_for_each(c, candidates) {
		struct object_plan op = {
			.object = c->object,
			.allocator = c->allocator ?: c->has_heap ? "an allocator" : NULL,
			.c_library = c->c_library,
		};
		struct error *err = plan_object(plan, c, &op);

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
	free(plan->described);
	plan->described = NULL;
}

static void candidates_deinit(struct candidate_vec *candidates)
{
	vec_for_each(c, candidates)
		sighting_vec_deinit(&c->sightings);
	candidate_vec_deinit(candidates);
}

/* Why a described function has no probe. */
static const char *reason_for(const struct probe_plan *plan, const struct described_function *d)
{
	vec_for_each(note, &plan->notes)
		if (strstr(*note, d->function.symbol) && strstr(*note, "is not probed"))
			return *note;
	return NULL;
}

static struct error *missing(const struct probe_plan *plan, const struct described_function *d)
{
	const char *reason = reason_for(plan, d);

	if (reason)
		return error_create(ERROR_USAGE, "%s: %s", d->where, reason);
	return error_create(ERROR_USAGE, "%s: %s%s%s is nowhere in the target (a stripped file "
			    "has no local symbols: give an address)", d->where,
			    d->function.symbol, d->object ? "@" : "", d->object ?: "");
}

struct error *probe_plan_check(const struct probe_plan *plan,
			       const struct allocator_choice *choice)
{
	const struct described_function *absent = NULL;
	bool any = false;

	for (size_t i = 0; choice && i < choice->described.len; i++) {
		const struct described_function *d = &choice->described.data[i];

		if (!plan->described[i] && !d->ready_made)
			return missing(plan, d);
		any |= plan->described[i];
		if (!plan->described[i])
			absent = d;
	}
	return absent && !any ? missing(plan, absent) : NULL;
}

struct error *probe_plan_init(struct probe_plan *plan, const struct address_space *as,
			      const struct allocator_choice *choice)
{
	static const struct allocator_choice none;
	__cleanup(candidates_deinit) struct candidate_vec candidates = { 0 };
	struct error *err;

	if (!choice)
		choice = &none;
	*plan = (struct probe_plan){
		.described = xcalloc(choice->described.len + 1, sizeof(bool)),
	};
	find_candidates(as, plan, choice, &candidates);
	find_wrappers(&candidates);
	err = plan_candidates(plan, &candidates);
	if (err)
		probe_plan_deinit(plan);
	return err;
}
