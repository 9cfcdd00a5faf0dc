// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * heapsonde doctor: what this kernel, this user and this target allow, before
 * anything is touched.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/format.h"
#include "base/log.h"
#include "base/version.h"
#include "capture/attach.h"
#include "capture/cost/large_trial.h"
#include "capture/cost/thrift.h"
#include "capture/discovery/confined.h"
#include "capture/discovery/discovery.h"
#include "capture/cost/choice.h"
#include "capture/cost/window_heaps.h"
#include "capture/cost/cost.h"
#include "capture/features.h"
#include "capture/go/runtime.h"
#include "capture/session.h"
#include "capture/target.h"
#include "cmd/command.h"
#include "cmd/preflight.h"
#include "cmd/watch.h"
#include "export/output.h"

/* What is told about one process; error says why it cannot be watched. */
struct patient {
	uint32_t pid;
	struct target_identity id;
	int seccomp;		/* its mode */
	struct address_space *names;
	struct probe_plan plan;
	struct go_runtime *go;	/* NULL: no Go program */
	bool go_readable;
	struct error *error;
	struct preflight flight;
	bool choice_known;	/* whether it is known what auto would choose */
	const char *no_windows;	/* why; NULL: windows could watch it */
	struct large_path large;	/* where malloc's large requests pass ... */
	const char *no_large;	/* ... or why nobody knows; NULL with no path: not glibc's */
	double cpu_share;	/* of a core that it takes now */
};

DEFINE_VEC(patient_vec, struct patient);

struct diagnosis {
	struct utsname kernel;
	struct features features;
	bool features_known;
	struct error *features_error;	/* NULL, or why nothing can be watched */
	enum attach_method method;
	struct price price;
	bool price_known;
	struct kernel_price kernel_price;
	bool slows_calls;		/* of all processes, while watching; by that much */
	struct patient_vec patients;
};

static void diagnosis_deinit(struct diagnosis *d)
{
	vec_for_each(p, &d->patients) {
		target_identity_deinit(&p->id);
		probe_plan_deinit(&p->plan);
		preflight_deinit(&p->flight);
		go_runtime_close(p->go);
		address_space_destroy(p->names);
		error_destroy(p->error);
	}
	patient_vec_deinit(&d->patients);
	error_destroy(d->features_error);
}

/* Reads it once, as watching would. */
static struct error *examine_runtime(struct patient *p)
{
	struct runtime_figures figures;
	struct error *err = go_runtime_open(p->pid, p->names, &p->go);

	if (!err && p->go)
		err = go_runtime_read(p->go, &figures);
	p->go_readable = !err && p->go;
	return err;
}

#define LOOK_NS 100000000

static double look_at_cpu(uint32_t pid)
{
	const struct timespec look = { 0, LOOK_NS };
	uint64_t before = cost_process_cpu_ns(pid), after;

	nanosleep(&look, NULL);
	after = cost_process_cpu_ns(pid);
	return after > before ? (double)(after - before) / LOOK_NS : 0;
}

/* The C library's malloc, if that is what gives the process memory. */
static void examine_large(struct patient *p, const struct features *features)
{
	if (!features->uprobe_multi || choice_is_foreign(&p->plan))
		return;
	vec_for_each(object, &p->plan.objects)
		if (choice_has_malloc(object) &&
		    large_path_prove(object->object, &p->large, &p->no_large))
			p->no_large = NULL;
}

static void examine(struct patient *p, uint32_t pid, const struct diagnosis *d,
		    const struct allocator_choice *choice)
{
	struct error *runtime_error __cleanup_error = NULL;
	bool return_probes;

	*p = (struct patient){ .pid = pid };
	p->error = target_check(pid);
	if (p->error)
		return;
	target_identity_init(&p->id, pid);
	p->seccomp = target_seccomp(pid);
	return_probes = confined_allows_returns(&d->features, p->seccomp, false);
	p->names = address_space_create(pid);
	p->error = address_space_refresh(p->names, NULL);
	if (!p->error)
		p->error = probe_plan_init(&p->plan, p->names, choice, return_probes);
	if (!p->error)
		p->error = probe_plan_check(&p->plan, choice);
	if (!p->error)
		runtime_error = examine_runtime(p);
	/* A C allocator can be watched all the same. */
	if (!p->error && !p->plan.objects.len)
		p->error = steal_ptr(runtime_error);
	if (!p->error && !p->plan.objects.len && !p->go)
		p->error = error_create(ERROR_UNSUPPORTED,
					"no known allocator is mapped in process %" PRIu32, pid);
	if (!p->error)
		preflight_init(&p->flight, pid, &p->plan, p->names, p->seccomp,
			       d->price_known ? &d->price : NULL);
	p->choice_known = !p->error && d->features_known;
	if (p->choice_known)
		p->no_windows = choice_no_windows(&p->plan, d->method);
	if (!p->error && !d->features_error)
		examine_large(p, &d->features);
	p->cpu_share = look_at_cpu(pid);
}

static void diagnose(struct diagnosis *d, const struct options *opts)
{
	uname(&d->kernel);
	d->features_error = features_detect(&d->features);
	d->features_known = !d->features_error;
	if (d->features_known)
		d->features_error = features_check(&d->features);
	d->method = watch_method(opts);
	if (d->method == ATTACH_BEST)
		d->method = attach_method_best(&d->features);
	if (!d->features_error && opts->target.pids.len) {
		struct error *unknown __cleanup_error = price_measure(d->method, &d->price);

		d->price_known = !unknown;
	}
	d->slows_calls = !d->features_error && !d->features.call_functions &&
			 d->features.call_tracepoint && price_measure_kernel(&d->kernel_price);
	vec_for_each(pid, &opts->target.pids)
		examine(patient_vec_append(&d->patients), *pid, d, &opts->target.allocators);
}

static bool is_well(const struct diagnosis *d)
{
	bool well = !d->features_error;

	vec_for_each(p, &d->patients)
		well = well && !p->error;
	return well;
}

/* --- text --------------------------------------------------------------- */

static void print_kernel(const struct diagnosis *d, FILE *f)
{
	fprintf(f, "kernel      %s %s %s\n", d->kernel.sysname, d->kernel.release,
		d->kernel.machine);
	fprintf(f, "user        %s\n", geteuid() ? "not root" : "root");
	if (d->features_error)
		fprintf(f, "cannot run  %s\n", d->features_error->message);
	if (!d->features_known)
		return;
#define X(member, name, without)					\
	fprintf(f, "%-11s %-30s %s\n", "", name,			\
		d->features.member ? "yes" : "no: " without);
	FEATURES(X)
#undef X
	/* Those that are refused have been told above. */
#define X(member, refused, why)						\
	if (!(refused) && d->features.hazards.member)			\
		fprintf(f, "hazard      %s\n", why);
	HOST_HAZARDS(X)
#undef X
	if (d->features_error)
		return;
	fprintf(f, "attach      %s\n", attach_method_name(d->method));
	if (d->slows_calls)
		fprintf(f, "others      each system call of every process takes %.0f ns longer "
			"while heapsonde watches\n", d->kernel_price.call_ns);
}

static void print_memory(FILE *f)
{
	char ring[FORMAT_MAX], limit[FORMAT_MAX];
	int64_t memory_limit = thrift_default_limit();

	fprintf(f, "memory      up to %s of its own (--memory-limit), of it ring buffer %s "
		"(--ring-size),\n%-11s 20 to 28 bytes a live block\n",
		format_bytes((uint64_t)memory_limit, limit),
		format_bytes(session_ring_bytes(memory_limit), ring), "");
}

static void print_probe(const struct planned_probe *probe, FILE *f)
{
	fprintf(f, "    %-22s +%-4" PRIu32 " %-28s %-14s %s\n", probe->symbol.name,
		probe->placement.offset, probe->placement.instruction,
		probe->placement.emulated ? "emulated" : "single-stepped",
		probe->placement.reason);
}

static void print_allocators(const struct patient *p, FILE *f)
{
	const char *separator = "  allocators  ";

	vec_for_each(object, &p->plan.objects) {
		struct strbuf name __cleanup_strbuf = { 0 };
		const char *base = strrchr(object->object->path, '/');

		if (!object->allocator)
			continue;
		format_escaped(&name, base ? base + 1 : object->object->path);
		fprintf(f, "%s%s (%s)", separator, object->allocator, strbuf_str(&name));
		separator = ", ";
	}
	fprintf(f, "%s", *separator == ',' ? "\n" : "");
}

static void print_price(const struct preflight *flight, FILE *f)
{
	fprintf(f, "  price       %zu probes emulated, %zu single-stepped", flight->emulated,
		flight->stepped);
	if (flight->pair_ns > 0)
		fprintf(f, "; %.1f us for the traps of one allocation and its free, as "
			"measured here", flight->pair_ns / 1000);
	fprintf(f, "\n");
}

static bool begins_in_windows(const struct patient *p)
{
	return !p->no_windows && p->cpu_share > CHOICE_BUSY;
}

/* Where --mode auto begins, and why. */
static void print_auto(const struct patient *p, FILE *f)
{
	fprintf(f, "  auto        ");
	if (p->go)
		fprintf(f, "Go's heap by samples or its own profile, C's exactly, or sampled where "
			"that is too dear\n");
	else if (p->no_windows)
		fprintf(f, "exact, and sampled where that is too dear: windows cannot watch it, "
			"%s\n", p->no_windows);
	else if (begins_in_windows(p))
		fprintf(f, "a few short windows, for it is busy (%.0f %% of a core), then exact if "
			"the budget allows it\n", 100 * p->cpu_share);
	else
		fprintf(f, "exact, for it is at rest (%.1f %% of a core), and in windows where "
			"that is too dear\n", 100 * p->cpu_share);
}

static void print_evidence(const struct patient *p, FILE *f)
{
	const struct window_heap *heap = window_heap_in_front(&p->plan);

	if (heap)
		fprintf(f, "  windows     know a block's end by %s\n", heap->told_by);
}

/* A place that can be probed all the time where malloc's entry cannot: few calls reach it. */
static void print_large(const struct patient *p, FILE *f)
{
	const struct large_step *step = &p->large.steps[0];

	if (p->no_large)
		fprintf(f, "  large       requests cannot be told from small ones: %s\n",
			p->no_large);
	else if (step->above)
		fprintf(f, "  large       requests for more than %" PRIu32 " bytes, and no others, "
			"pass the C library's +0x%" PRIx64 "\n", step->above, step->file_offset);
}

static void print_preflight(const struct patient *p, FILE *f)
{
	const struct preflight *flight = &p->flight;

	print_allocators(p, f);
	if (p->error)
		return;
	if (p->plan.objects.len)
		print_price(flight, f);
	if (p->choice_known)
		print_auto(p, f);
	if (p->choice_known && !p->no_windows) {
		print_evidence(p, f);
		print_large(p, f);
	}
	fprintf(f, "  stacks      %zu of %zu objects tell how their frames are laid out\n",
		flight->frames, flight->frames + flight->no_frames);
	vec_for_each(hazard, &flight->hazards)
		fprintf(f, "  hazard      %s\n", hazard->text);
}

static void print_patient(const struct patient *p, FILE *f)
{
	struct strbuf name __cleanup_strbuf = { 0 };

	format_escaped(&name, p->id.exe && *p->id.exe ? p->id.exe : "?");
	fprintf(f, "\nprocess %" PRIu32 "  %s\n", p->pid, strbuf_str(&name));
	if (p->error)
		fprintf(f, "  cannot be watched: %s\n", p->error->message);
	print_preflight(p, f);
	if (p->go)
		fprintf(f, "  runtime: %s, its figures can%s be read\n", go_runtime_version(p->go),
			p->go_readable ? "" : "not");
	vec_for_each(object, &p->plan.objects) {
		strbuf_reset(&name);
		format_escaped(&name, object->object->path);
		fprintf(f, "  %s: %zu probes\n", strbuf_str(&name), object->probes.len);
		fprintf(f, "    %-22s %-5s %-28s %-14s %s\n", "function", "at", "instruction",
			"the kernel", "why there");
		vec_for_each(probe, &object->probes)
			print_probe(probe, f);
	}
	vec_for_each(note, &p->plan.notes)
		fprintf(f, "  note: %s\n", *note);
}

static void print_text(const struct diagnosis *d, FILE *f)
{
	print_kernel(d, f);
	print_memory(f);
	vec_for_each(p, &d->patients)
		print_patient(p, f);
	fprintf(f, "\n%s\n", is_well(d) ? "All is well: nothing was touched."
				     : "Not all is well, see above; nothing was touched.");
}

/* --- JSON --------------------------------------------------------------- */

static void add_string(struct json_object *obj, const char *key, const char *value)
{
	json_object_object_add(obj, key, value ? json_object_new_string(value) : NULL);
}

/* null: who asks is not allowed to know. */
static void add_known(struct json_object *obj, const char *key, bool known, bool value)
{
	json_object_object_add(obj, key, known ? json_object_new_boolean(value) : NULL);
}

static struct json_object *probe_json(const struct planned_probe *probe)
{
	struct json_object *obj = json_object_new_object();

	add_string(obj, "function", probe->symbol.name);
	json_object_object_add(obj, "offset", json_object_new_int64(probe->placement.offset));
	add_string(obj, "instruction", probe->placement.instruction);
	json_object_object_add(obj, "emulated",
			       json_object_new_boolean(probe->placement.emulated));
	json_object_object_add(obj, "returns", json_object_new_boolean(probe->returns));
	json_object_object_add(obj, "exits", json_object_new_int64(probe->exits.len));
	add_string(obj, "reason", probe->placement.reason);
	return obj;
}

static struct json_object *object_json(const struct object_plan *object)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *probes = json_object_new_array();

	add_string(obj, "path", object->object->path);
	add_string(obj, "build_id", object->object->build_id);
	add_string(obj, "allocator", object->allocator);
	vec_for_each(probe, &object->probes)
		json_object_array_add(probes, probe_json(probe));
	json_object_object_add(obj, "probes", probes);
	return obj;
}

static struct json_object *hazards_json(const struct preflight *flight)
{
	struct json_object *hazards = json_object_new_array();

	vec_for_each(hazard, &flight->hazards) {
		struct json_object *obj = json_object_new_object();

		add_string(obj, "kind", hazard_name(hazard->kind));
		add_string(obj, "detail", hazard->text);
		json_object_array_add(hazards, obj);
	}
	return hazards;
}

/* Null where another allocator than glibc's is in use, or this cannot be tried. */
static struct json_object *large_json(const struct patient *p)
{
	const struct large_step *step = &p->large.steps[0];
	struct json_object *obj;

	if (!p->no_large && !step->above)
		return NULL;
	obj = json_object_new_object();
	json_object_object_add(obj, "proven", json_object_new_boolean(!p->no_large));
	add_string(obj, "why_not", p->no_large);
	if (!p->no_large) {
		json_object_object_add(obj, "above", json_object_new_int64(step->above));
		json_object_object_add(obj, "file_offset",
				       json_object_new_int64((int64_t)step->file_offset));
	}
	return obj;
}

static void add_preflight(struct json_object *obj, const struct patient *p)
{
	const struct preflight *flight = &p->flight;

	json_object_object_add(obj, "emulated_probes", json_object_new_int64(flight->emulated));
	json_object_object_add(obj, "single_stepped_probes",
			       json_object_new_int64(flight->stepped));
	json_object_object_add(obj, "return_probes", json_object_new_int64(flight->returns));
	json_object_object_add(obj, "functions_with_probed_exits",
			       json_object_new_int64(flight->exits));
	json_object_object_add(obj, "trap_ns_per_alloc_and_free", flight->pair_ns < 0 ? NULL :
			       json_object_new_int64((int64_t)flight->pair_ns));
	json_object_object_add(obj, "objects_with_call_frames",
			       json_object_new_int64(flight->frames));
	json_object_object_add(obj, "objects_without_call_frames",
			       json_object_new_int64(flight->no_frames));
	json_object_object_add(obj, "hazards", hazards_json(flight));
	add_string(obj, "auto_begins", !p->choice_known ? NULL :
		   begins_in_windows(p) ? "windows" : "exact");
	add_string(obj, "no_windows_because", p->no_windows);
	json_object_object_add(obj, "large_requests", large_json(p));
	json_object_object_add(obj, "cpu_share", json_object_new_double(p->cpu_share));
}

static struct json_object *patient_json(const struct patient *p)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *objects = json_object_new_array();
	struct json_object *notes = json_object_new_array();

	json_object_object_add(obj, "pid", json_object_new_int64(p->pid));
	add_string(obj, "comm", p->id.comm);
	add_string(obj, "exe", p->id.exe);
	add_string(obj, "runtime", p->go ? go_runtime_version(p->go) : NULL);
	add_string(obj, "error", p->error ? p->error->message : NULL);
	vec_for_each(object, &p->plan.objects)
		json_object_array_add(objects, object_json(object));
	vec_for_each(note, &p->plan.notes)
		json_object_array_add(notes, json_object_new_string(*note));
	json_object_object_add(obj, "objects", objects);
	json_object_object_add(obj, "notes", notes);
	add_preflight(obj, p);
	return obj;
}

static void print_json(const struct diagnosis *d, FILE *f)
{
	struct json_object *root = json_object_new_object();
	struct json_object *features = json_object_new_object();
	struct json_object *hazards = json_object_new_object();
	struct json_object *targets = json_object_new_array();
	int64_t memory_limit = thrift_default_limit();

	add_string(root, "heapsonde", heapsonde_version);
	add_string(root, "kernel", d->kernel.release);
	add_string(root, "machine", d->kernel.machine);
	add_string(root, "error", d->features_error ? d->features_error->message : NULL);
#define X(member, name, without)					\
	add_known(features, #member, d->features_known, d->features.member);
	FEATURES(X)
#undef X
	json_object_object_add(root, "features", features);
#define X(member, refused, why)						\
	add_known(hazards, #member, d->features_known, d->features.hazards.member);
	HOST_HAZARDS(X)
#undef X
	json_object_object_add(root, "hazards", hazards);
	add_string(root, "attach", d->features_known ? attach_method_name(d->method) : NULL);
	json_object_object_add(root, "system_call_ns", d->features_error ? NULL :
		json_object_new_double(d->slows_calls ? d->kernel_price.call_ns : 0));
	json_object_object_add(root, "memory_limit_bytes", json_object_new_int64(memory_limit));
	json_object_object_add(root, "ring_bytes", json_object_new_int64(
		(int64_t)session_ring_bytes(memory_limit)));
	vec_for_each(p, &d->patients)
		json_object_array_add(targets, patient_json(p));
	json_object_object_add(root, "targets", targets);
	json_object_object_add(root, "well", json_object_new_boolean(is_well(d)));
	fprintf(f, "%s\n", json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY |
							  JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
}

/* What a script that keeps the diagnosis elsewhere would miss. */
static void tell(const struct diagnosis *d)
{
	if (d->features_error)
		log_error("%s", d->features_error->message);
	vec_for_each(p, &d->patients)
		if (p->error)
			log_error("%s", p->error->message);
}

struct error *cmd_doctor(const struct options *opts, int *status)
{
	__cleanup(diagnosis_deinit) struct diagnosis d = { 0 };
	struct output *out __cleanup_output = NULL;
	struct error *err = output_open("-", false, &out);

	if (err)
		return err;
	diagnose(&d, opts);
	if (opts->output.json)
		print_json(&d, output_file(out));
	else
		print_text(&d, output_file(out));
	*status = is_well(&d) ? 0 : 1;
	tell(&d);
	return output_commit(steal_ptr(out));
}
