/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a language's runtime itself knows of its heap. Names and meanings are
 * those of Go's runtime.MemStats and runtime/debug; JSON, recordings, the report
 * and the screen derive from this table.
 */
#ifndef HEAPSONDE_MODEL_RUNTIME_H
#define HEAPSONDE_MODEL_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

/* X(name, type, unit, what it is); unit: BYTES, COUNT, NS, DATE, PERCENT or SHARE */
#define RUNTIME_FIGURES(X)						\
	X(HeapAlloc, int64_t, BYTES, "live objects and those not swept yet") \
	X(HeapMarked, int64_t, BYTES, "what the last collection found live") \
	X(NextGC, int64_t, BYTES, "target heap size of the next collection") \
	X(GOGC, int64_t, PERCENT, "growth since the last collection that begins one; -1 is off") \
	X(MemoryLimit, int64_t, BYTES, "soft limit on all the runtime's memory") \
	X(HeapInuse, int64_t, BYTES, "in spans with at least one object")	\
	X(HeapIdle, int64_t, BYTES, "in spans without any")		\
	X(HeapReleased, int64_t, BYTES, "of the idle, returned to the system") \
	X(HeapSys, int64_t, BYTES, "obtained for the heap")		\
	X(HeapObjects, int64_t, COUNT, "objects allocated and not swept")	\
	X(TotalAlloc, int64_t, BYTES, "allocated since the start")	\
	X(Mallocs, int64_t, COUNT, "objects allocated since the start")	\
	X(Frees, int64_t, COUNT, "objects swept since the start")	\
	X(NumGC, int64_t, COUNT, "collections finished")		\
	X(NumForcedGC, int64_t, COUNT, "of them, asked for by the program") \
	X(PauseTotalNs, int64_t, NS, "the world stood still, in all")	\
	X(LastGC, int64_t, DATE, "when the last collection ended")	\
	X(GCCPUFraction, double, SHARE, "of its CPU time, spent on collecting") \
	X(StackInuse, int64_t, BYTES, "goroutines' stacks")		\
	X(StackSys, int64_t, BYTES, "those and the threads' own")	\
	X(MSpanInuse, int64_t, BYTES, "descriptions of spans")		\
	X(MSpanSys, int64_t, BYTES, "obtained for them")		\
	X(MCacheInuse, int64_t, BYTES, "caches of processors")		\
	X(MCacheSys, int64_t, BYTES, "obtained for them")		\
	X(BuckHashSys, int64_t, BYTES, "the program's own profile")	\
	X(GCSys, int64_t, BYTES, "the collector's own")			\
	X(OtherSys, int64_t, BYTES, "the rest of the runtime")		\
	X(Sys, int64_t, BYTES, "obtained from the system in all")	\
	X(StackScan, int64_t, BYTES, "stacks that the last collection scanned") \
	X(GlobalsScan, int64_t, BYTES, "variables that it scans")

enum runtime_unit {
	RUNTIME_BYTES, RUNTIME_COUNT, RUNTIME_NS, RUNTIME_DATE, RUNTIME_PERCENT, RUNTIME_SHARE
};

#define RUNTIME_NO_LIMIT (-1)		/* MemoryLimit; null in JSON */

struct runtime_figures {
#define X(name, type, unit, text) type name;
	RUNTIME_FIGURES(X)
#undef X
};

struct snapshot_runtime {
	const char *language;		/* "go"; NULL: no runtime is known */
	const char *version;		/* "go1.22.12" */
	struct runtime_figures f;
	/* Of the heap profile that the program keeps of itself; -1: it keeps none. */
	int64_t MemProfileRate;		/* mean bytes between samples */
	double profile_age_s;		/* since the collection that it is of; -1: none was yet */
};

/* What runtime.MemStats has in BySize: objects of up to @Size bytes since the start. */
struct runtime_size { int64_t Size, Mallocs, Frees; };

/* Names of figures in order, their units and values as numbers, for whoever lists them. */
struct runtime_figure { const char *name; enum runtime_unit unit; double value; const char *text; };
enum {
#define X(name, type, unit, text) RUNTIME_##name,
	RUNTIME_FIGURES(X)
#undef X
	RUNTIME_FIGURES_COUNT
};
void runtime_list(const struct runtime_figures *f,
		  struct runtime_figure ret[RUNTIME_FIGURES_COUNT]);

/* What holds the resident memory, as far as the runtime and C's heap explain it. */
struct runtime_holding { const char *text; int64_t bytes; };
#define RUNTIME_HOLDINGS 8
/*
 * How many of @ret there are: the largest first, and last what neither the runtime
 * nor @c_heap_bytes, the heap of C beside it, explain of @rss_bytes, or, if they
 * have more than that, how much is not resident.
 */
int runtime_holdings(const struct runtime_figures *f, int64_t rss_bytes, int64_t c_heap_bytes,
		     struct runtime_holding ret[RUNTIME_HOLDINGS]);

/*
 * At which heap size the next collection would be due with another GOGC, by the
 * pacer's formula: an estimate, because what is live changes until then.
 */
int64_t runtime_goal(const struct runtime_figures *f, int64_t gogc);
/*
 * The heap size at which a memory limit would make it due, likewise; less than
 * HeapMarked means that it would collect without end.
 */
int64_t runtime_limit_goal(const struct runtime_figures *f, int64_t limit_bytes);

#endif
