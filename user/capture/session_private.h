/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of a session, for the files that make it up: session.c (beginning,
 * reading the ring, time, end), follow.c (which images and probes there are as
 * targets live on), children.c (the command that was started, and what targets
 * fork), cost/level.c (which allocations are recorded), go/session.c (what Go
 * runtimes know), go/level.c (how Go heaps are watched), compose.c (snapshots).
 */
#ifndef HEAPSONDE_CAPTURE_SESSION_PRIVATE_H
#define HEAPSONDE_CAPTURE_SESSION_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "capture/rewalk.h"
#include "capture/cost/budget.h"
#include "capture/cost/cost.h"
#include "capture/cost/focus.h"
#include "capture/cost/large.h"
#include "capture/cost/thrift.h"
#include "capture/cost/watchdog.h"
#include "capture/features.h"
#include "capture/go/live.h"
#include "capture/go/events.h"
#include "capture/go/profile.h"
#include "capture/ledger/distress.h"
#include "capture/ledger/ledger.h"
#include "capture/go/runtime.h"
#include "capture/programs.h"
#include "capture/session.h"
#include "capture/spawn.h"
#include "capture/target.h"
#include "capture/unwinder.h"
#include "capture/cost/warden.h"
#include "capture/cost/windows.h"
#include "model/map64.h"
#include "model/sink.h"
#include "symbol/object_store.h"
#include "symbol/symbolizer.h"

#define NS_PER_S 1000000000ull

/*
 * Stacks that user space walks after each change of the mappings, at most: what
 * stays unknown is then left as it is.
 */
#define WALKS_TO_LEAVE 8192

/* One program image of a target; a process that execs has several. */
struct image {
	uint32_t pid;
	uint32_t generation;	/* counts the execs of this pid */
	struct address_space *names;
	struct target_identity id;
	struct go_runtime *go;	/* NULL: no Go program, or not one that can be read */
	struct go_pulse pulse;		/* of it */
	struct go_profile profile;	/* its own; rate 0: it keeps none */
	bool looked_for_go;
	bool heap_watched;	/* its Go heap */
	bool heap_known;	/* whether it is, or has a profile of its own */
	int64_t swap_bytes;	/* as last read; -1: never */
	bool ended;
	char *exit_reason;	/* NULL while it runs */
	char *oom_reason;	/* of one that the OOM killer chose; NULL: none */
};

DEFINE_VEC(image_vec, struct image);

struct file_id { uint64_t dev, ino; };

DEFINE_VEC(file_id_vec, struct file_id);

/* A process and its probes. They are in files, and stay when exec maps those again. */
struct watched {
	uint32_t pid;
	struct attachment attachment;
	struct attachment heap;		/* those that change with the level, where it may change */
	struct attachment go, go_refill, go_births;	/* the same of its Go runtime */
	struct file_id_vec probed;
	bool heap_unset;	/* all but the heap's probes are set */
	uint32_t lane;		/* among those whose births may be held (bpf/held.bpf.h) */
	bool frees_nest;	/* as the probes were set */
	bool loader_probed;
};

DEFINE_VEC(watched_vec, struct watched);

/* A stack whose frames have just come; pcs owned. */
struct fresh_stack {
	uint32_t tgid, count;
	uint64_t id;
	uint64_t *pcs;
};

/*
 * What the ring told that is a matter of mappings. Its order counts: what a
 * stack's addresses mean depends on whether it was taken before or after code
 * was unmapped.
 */
struct news {
	uint16_t kind;			/* enum event_kind */
	union {
		struct fresh_stack stack;	/* EV_STACK */
		struct left_walk walk;		/* EV_UNFINISHED */
		struct ev_process process;	/* all others */
	};
};

DEFINE_VEC(news_vec, struct news);

/* One to be named; pcs owned. */
struct unnamed_stack {
	uint32_t image;			/* index */
	struct fresh_stack stack;
};

DEFINE_VEC(unnamed_stack_vec, struct unnamed_stack);

/* Frames that were named while what they lie in was mapped; they lie in s->store. */
struct named_stack {
	const struct frame *frames;
	uint32_t count;
	bool late;		/* has generated code, which gets its names later */
};

DEFINE_VEC(named_stack_vec, struct named_stack);

/* Probes that a thread is removing. */
struct removal {
	struct attachment attachment;
	pthread_t thread;
	bool started;
	atomic_bool done;
};

/* When the probe of a Go target's refills stands; see go/turns.c. */
struct go_turns {
	bool set;
	double share;		/* of the time; 1: always */
	double period_s;	/* when the next period begins, ... */
	double opens_s, shuts_s;	/* ... this one's window (0: not open yet) */
	double seen_s;		/* until then so much was allocated in spans: ... */
	double seen_bytes;
	double calm_s;		/* when that was last slow enough */
};

/* What a Go target allocates is watched. */
struct go_heap {
	uint32_t pid;
	bool exact;		/* each block; else samples */
	uint32_t thrift;	/* the mean between samples is so many times what is wanted */
	struct go_live *live;
	struct go_turns turns;
	double paced_s;		/* when its births were last looked at ... */
	int64_t paced_births;	/* ... and how many there were */
};

DEFINE_VEC(go_heap_vec, struct go_heap);

/* The kernel's ledger, as far as it is made of events. */
struct growth_watch {
	struct growth_programs programs;
	struct bpf_link *links[GROWTH_PROGRAMS_MAX];
	size_t links_count;
	struct kernel_price price;
	bool price_known;
	bool sees_pages;		/* page faults are told */
	bool sees_calls;		/* system calls on memory are told, with whole stacks */
	int kpageflags;			/* descriptor, -1: may not be read */
	double next_look_s;
	int64_t kswapd_pages;		/* freed by it since boot, as last read; -1: never */
};

/* As the model numbers them: [0] stands for all that are not told apart. */
struct watched_thread {
	uint32_t image;		/* the model's number */
	uint32_t tgid, tid;
	char name[17];		/* "": could not be read */
	double next_s, pause_s;	/* when it is read again, and how long that was put off */
};

DEFINE_VEC(watched_thread_vec, struct watched_thread);

/* How --mode auto stands; see cost/auto.c. */
struct auto_state {
	bool cannot_move;		/* to windows, though it was tried */
	bool holds;			/* births may be held where all is recorded */
	bool chosen_sampling;		/* by auto, that is, rather than by the user of top */
	bool rising;			/* from windows: probes that are set now are not theirs */
	uint64_t windows_ns;		/* since when windows stand for all time */
	/* Of windows: since when recording would keep the budget, and how long it must. */
	double fits_since_s, hold_s;
	struct cost_mark from;		/* of the level ... */
	double hit_ns;			/* ... and what a hit costs in it; 0: not known yet */
	double risen_s;			/* when all was recorded again, last */
	uint64_t first_ns, first_cpu_ns;	/* a moment before probes, and the CPU time then */
};

struct session {
	struct session_settings settings;
	struct heapsonde_bpf *skel;
	struct features features;
	enum attach_method method;
	struct attach_programs programs;
	struct growth_watch growth;
	struct unwinder *unwinder;
	struct watched_vec watched;
	struct image_vec images;
	struct object_store *objects;	/* what they map */
	struct spawned *command;	/* NULL: none */
	int command_status;		/* -1 until it ended */
	struct governor *governor;	/* NULL unless windows are wanted */
	struct auto_state auto_state;
	struct warden warden;
	struct focus focus;		/* beside windows */
	struct large_requests large;	/* the same */
	double windows_since_s;		/* all was recorded before */
	bool foreign;			/* another allocator than glibc's is in use */
	struct attachment retired;	/* probes of processes that have ended */
	struct removal removal;

	/* Shared with the reader thread, under lock. */
	pthread_mutex_t lock;
	struct model *model;
	struct news_vec news;		/* since session_follow() */
	struct stack_piece_vec pieces;	/* of stacks whose EV_UNFINISHED is to come */
	bool urgent;			/* the sooner the news are looked at, the better */
	bool windowed;			/* what allocators do is the governor's */
	bool frozen;			/* what comes now is no longer counted */
	int64_t records[EVENT_KINDS_COUNT];
	int64_t pairs;			/* told of in EV_PAIRS */
	uint32_t slice;

	struct ring_buffer *ring;
	pthread_t reader;
	bool reader_started;
	volatile bool reader_stop;
	struct unnamed_stack_vec unnamed;
	struct news_vec late;		/* walks that take whole tables, which are slow to make */
	int wake_fd;			/* an eventfd: ends session_run()'s sleep */

	uint64_t start_ns, end_ns;	/* end_ns 0 while watching */
	uint64_t sample_bytes;		/* now; 0: every allocation is recorded */
	bool sampled;			/* at any time */
	int64_t untold_ends;		/* samples that found no room in the kernel, here */
	double next_sample_s, next_look_s;
	double called_s;		/* when something urgent was last told */
	double own_cpu_start_s;
	struct cost cost;
	struct watchdog watchdog;
	double thinner;			/* than settings.interval_s was: 1, or more */
	struct thrift thrift;
	double next_thrift_s;
	bool told_of_thrift;
	struct cost_mark budget_from;	/* what the budget is looked at from */
	double next_budget_s;
	double overspent_ns;	/* of auto's own budget, where none was given */
	bool told_of_saving;		/* that fewer samples of Go heaps are taken */
	double timed_until_s;	/* the programs take their own time until then */
	uint64_t timed_since_ns;	/* ... the ledger's since then ... */
	double timed_s;			/* ... and before that for so long */
	int64_t noted_loss;		/* already told to the model */
	int64_t forks;			/* children that were not watched */
	bool watches_functions;		/* that give blocks */
	bool watches_reports;		/* of blocks that a program samples by itself */
	int64_t blind_times;		/* probes were off for a moment while a target ran */
	struct go_heap_vec go_heaps;	/* under lock */
	struct map64 told;		/* stacks whose names went into a snapshot */
	struct map64 named;		/* stack and image -> index of named_stacks + 1 */
	struct named_stack_vec named_stacks;
	struct frame_store *store;	/* holds their frames and strings */
	struct frame_vec scratch;
	struct snapshot_sample_vec timeline;
	struct snapshot_level_vec levels;	/* changes; none: it was always the same */
	struct watched_thread_vec threads;
	struct ledger ledger;
	double ledger_read_s, ledger_took_s;
	bool alarms;			/* somebody wants to know of distress */
	struct distress distress;
	enum distress_sign sign;	/* the gravest that was not told yet */
	double next_look_for_distress_s;
	bool memory_short;		/* where we would take what a target needs */
	bool told_of_short_memory;
	double next_look_at_room_s;
	int64_t oom_kills;		/* of the machine, when last looked */
	double next_ledger_s, next_growth_s;
	struct runtime_size sizes[GO_SIZE_CLASSES];	/* of the same */
	struct snapshot_runtime runtime;	/* of the last Go target; version is its image's */
};

/* --- session.c --- */

uint64_t session_now_ns(void);
double session_own_cpu_s(void);
/* Whether there is news that should be looked at at once. */
bool session_is_called(const struct session *s);

/* How long the ledger's programs were timed in all. */
double session_timed_s(const struct session *s);
/* For a moment from now on, the programs tell how long they take. */
void session_time_programs(struct session *s);

/* --- load.c --- */

/*
 * Looks what the kernel can, and loads the programs and maps for it; those that are not
 * of a process are attached. From here on the model knows how much room it has.
 */
struct error *session_load(struct session *s) __must_check;

/* --- ring.c --- */

/* A thread of its own reads the ring from now on, under lock. */
struct error *session_start_reader(struct session *s) __must_check;
/* Feeds the model with what is in the ring now. */
void session_drain(struct session *s);
/* The same with what the kernel side has held back until now. */
void session_settle(struct session *s);

/* Has a stack of the image that @ev's process runs now named. */
void session_keep_stack(struct session *s, const struct ev_stack *ev, size_t size);

/* --- watched.c --- */

/* The newest image of @pid, or NULL. Dies at the next image. */
struct image *session_image(struct session *s, uint32_t pid);
/* The process and its probes, none at first. Dies at the next process. */
struct watched *session_watched(struct session *s, uint32_t pid);
/* Whether any function of any target is probed. */
bool session_has_probes(const struct session *s);
/* Looks, once, whether the image is a Go program; why not, if one cannot be read. */
struct error *session_find_runtime(struct image *image) __must_check;
/* A new image of @pid: its identity and an empty address space. */
struct image *session_add_image(struct session *s, uint32_t pid);
/* Probes the allocators among objects that have none yet. */
struct error *session_probe_objects(struct session *s, const struct image *image) __must_check;
/* For probes that no longer serve; what the target does meanwhile is missed. */
void session_drop_probes(struct session *s, struct watched *w);
/* All of a process's, to be removed when there is time. */
void session_retire_probes(struct session *s, struct watched *w);
/*
 * How often the loader of @pid has changed what is mapped. What is read of the
 * mappings counts only if that is the same before and after.
 */
uint32_t session_loader_changes(const struct session *s, uint32_t pid);
/* Has the kernel tell of the process's life. */
struct error *session_watch_pid(struct session *s, uint32_t pid) __must_check;
/* What is mapped now: to the walker, and probes to the allocators among it. */
struct error *session_take_over(struct session *s, const struct image *image) __must_check;
/* Whether a held program, at a system call made at @ip, may run: see spawn.h. */
bool session_has_started(pid_t pid, uint64_t ip, void *arg);
/* Takes a process in; before loading, so that its tables' size is known. */
struct error *session_add_pid(struct session *s, uint32_t pid) __must_check;
/* Sets the probes of a process that was taken in. */
struct error *session_attach_pid(struct session *s, uint32_t pid) __must_check;
/* Whether windows can watch all that a process allocates. Before it has probes. */
bool session_suits_windows(struct session *s, uint32_t pid);
/*
 * Where the level may change: removes the probes of a process's allocators, and sets
 * them, by the level of now, when they are not.
 */
void session_unset_heap(struct session *s, uint32_t pid);
struct error *session_set_heap(struct session *s, uint32_t pid) __must_check;
bool session_all_ended(const struct session *s);
void session_detach(struct session *s);
void session_free_targets(struct session *s);

/* --- follow.c --- */

/* Execs, exits, and objects that were mapped: their names, tables, allocators. */
void session_follow(struct session *s);
/* The same, without naming anything. */
void session_follow_news(struct session *s);
/* The same, and names all stacks that wait for it. */
void session_follow_names(struct session *s);
/* Frees what the ring told and nobody will look at. */
void session_free_news(struct session *s);
/* @pid ended with @status, as wait(2) has it; the first who knows tells. */
void session_end_pid(struct session *s, uint32_t pid, int status);
/* @pid ended before it was watched: nobody will tell how. */
void session_lose_pid(struct session *s, uint32_t pid);
/* Exits that nobody told of. */
void session_follow_exits(struct session *s);

/* --- children.c --- */

/* Starts the command that is to be watched. */
struct error *session_start_command(struct session *s) __must_check;
/* Does what it and its children wait for. */
void session_serve_command(struct session *s);
void session_on_fork(struct session *s, const struct ev_process *ev);
/* @pid has ended: its probes and tables go. */
void session_retire(struct session *s, uint32_t pid);
/* Begins to remove the probes of those, or sees whether that is done. */
void session_remove_retired(struct session *s);
/* Waits until no probe of an ended process is left. */
void session_finish_removal(struct session *s);

/* --- level.c --- */

/*
 * Looks whether the probes keep settings.max_share, and lowers the level where
 * they do not; false if no level is left. Warns of both.
 */
bool session_keep_budget(struct session *s);

/* Keeps to what we may take of the processors; false: the watching is to end. */
bool session_keep_own_cost(struct session *s, double now_s);

/* --- go/session.c --- */

/*
 * The figures of each Go target, and what of its heap is known by call path. The
 * first time it is decided how: each block if that is wanted and can be, else by
 * the profile that the program keeps of itself, else by samples. @last: of what was
 * sampled nothing waits any more.
 */
void session_read_runtimes(struct session *s, bool last);
/* The same of Go targets of which nothing was read yet. */
void session_begin_go(struct session *s);
/* ... of one; the error says why it, a Go program, cannot be read. */
struct error *session_begin_runtime(struct session *s, struct image *image) __must_check;
/* Takes a record of a kind EV_GO_*, under lock. */
void session_take_go_record(struct session *s, const struct ev_header *record, size_t size);
/* What looking at samples cost the Go targets. */
void session_add_go_cost(const struct session *s, struct snapshot_cost *cost);
void session_free_go(struct session *s);
/* Whether a target's own heap profile is shown; with the rate of the first. */
bool session_has_profile(const struct session *s, int64_t *rate_ret);
/* Adds what these profiles say to @total, which is of all else. */
void session_add_profile_totals(const struct session *s, struct metrics *total);

/* --- go/level.c --- */

/* Of the process; NULL: not watched. Dies at the next that begins to be. */
struct go_heap *session_go_heap(struct session *s, uint32_t pid);
/* Begins to record each block; false, and told, if that cannot be. */
bool session_track_go(struct session *s, struct image *image);
/* Begins to sample; if that cannot be, it is told. */
void session_sample_go(struct session *s, struct image *image);
/* After figures were read and samples settled: how many samples are taken from now on. */
void session_pace_go(struct session *s, struct image *image, bool last);

/*
 * Recording each block serves programs that allocate up to so many a second, seen
 * over some seconds; others are sampled from then on, and that is told.
 */
#define GO_EXACT_PER_S 50000
#define GO_EXACT_LOOK_S 2.0
void session_keep_go_pace(struct session *s);
/* Samples from now on where each block is recorded. */
void session_end_go_tracking(struct session *s);
/* Takes fewer samples of Go heaps; false if they can hardly be fewer. */
bool session_save_go_samples(struct session *s);
/* Takes more again, up to what would be taken without a budget. */
void session_spend_go_samples(struct session *s);
/* Whether a Go target is sampled, and the mean between samples of the first. */
bool session_samples_go(const struct session *s, int64_t *mean_ret);
/* Whether each block of a Go target is recorded. */
bool session_tracks_go(const struct session *s);

/* --- go/turns.c --- */

/* Sampling begins: @up_s after the process did. False if refills cannot be probed. */
bool session_begin_go_turns(struct session *s, const struct image *image,
			    struct go_heap *heap, double up_s);
/* After figures were read. */
void session_pace_go_turns(struct session *s, const struct image *image, struct go_heap *heap);
/*
 * Sets and removes what is due; returns when to be called again, HUGE_VAL if no
 * probe comes and goes: while some do, hits of a few moments would say little of all.
 */
double session_turn_go(struct session *s, double now_s);
/* The instruction at @vaddr gets a probe; part of level.c. */
bool session_attach_go(struct session *s, const struct go_runtime *go, struct attachment *att,
		       uint64_t vaddr, struct bpf_program *program);

/* --- auto.c --- */

/* What probes may cost the targets: as given, or what auto takes; its share alone. */
struct budget session_budget(const struct session *s);
double session_budget_share(const struct session *s);
/* Before the programs are loaded, which takes long enough to see what targets do. */
void session_begin_auto(struct session *s);
/* Before anything is probed: whether it is safer to begin with a few short windows. */
bool session_begins_in_windows(struct session *s);
/*
 * After those: goes on with them, or begins anew and exactly where the budget allows
 * that. Takes some tenths of a second.
 */
struct error *session_settle_level(struct session *s) __must_check;
/* The same where there is nothing to choose: until windows can open, for a short while. */
void session_await_windows(struct session *s);
/*
 * Goes over to windows where recording everything has become too dear. False if
 * that is not its affair: --mode auto has another level, or none other to go to.
 */
bool session_move_level(struct session *s);
/* Whether it may be another one later: then the heap's probes are kept apart. */
bool session_may_move(const struct session *s);
/* What a hit costs the target: as measured, or on the safe side. */
double session_hit_ns(const struct session *s);
/*
 * Whether recording all has fitted into the budget for long enough; @fits: it would
 * now. What was believed in vain is believed more slowly after session_note_fall().
 */
bool session_has_fitted(struct session *s, bool fits);
void session_note_fall(struct session *s);
/*
 * Whether recording all would fit where sampling takes @share of the CPU time, which is
 * @cpu_share of a core.
 */
bool session_sampling_leaves_room(const struct session *s, double share, double cpu_share);
void session_tell_of_return(const struct session *s);
/* Whether sampling would keep the budget, where recording everything does not. */
bool session_sampling_would_do(const struct session *s);

/* --- flight.c --- */

/* Whether memory runs short for a target, and that is news. */
bool session_look_for_distress(struct session *s, double now_s);
/*
 * Looks whether memory is so short for a target that nothing may be begun that takes some
 * of the same: memory_short. What has names to come waits for them then, as processes that
 * read files (base/reader.h) could be what meets the limit.
 */
void session_look_at_room(struct session *s);
/* The OOM killer has chosen @image, which may be NULL. */
void session_note_victim(struct session *s, struct image *image);
/* What ended it, in words; @status as of wait(2). */
char *session_describe_exit(struct session *s, struct image *image, int status);

/* --- shares.c --- */

/* Reads names of threads that the model has met. */
void session_name_threads(struct session *s);
/* @snap's first stacks are the model's rows; @target_of_image is by the model's numbers. */
void session_add_shares(struct session *s, struct snapshot *snap,
			const struct model_share_vec *shares, const uint32_t *target_of_image);

/* --- compose.c --- */

/* Appends to s->scratch what @object now says of @frame's place. */
void session_name_frame(struct session *s, struct object *object, const struct frame *frame);
/* Names a stack's frames by what is mapped in @image now, for good. */
void session_name_stack(struct session *s, const struct image *image,
			const struct fresh_stack *fresh);

bool session_is_named(const struct session *s, const struct image *image, uint64_t id);
/* Its frames; NULL if it has no names yet. Dies at the next stack that gets some. */
const struct named_stack *session_named_stack(const struct session *s, const struct image *image,
					      uint64_t id);

/* --- growth.c --- */

void session_init_growth(struct session *s);
void session_deinit_growth(struct session *s);
/* After loading: before any process is a target. */
void session_attach_growth(struct session *s);
void session_detach_growth(struct session *s);
/* What @pid, which is a target already, has mapped. */
void session_seed_growth(struct session *s, uint32_t pid);
/* Looks which pages are still resident; unless @now, for a small part of the time only. */
void session_check_growth(struct session *s, bool now);

/* --- reclaim.c --- */

/*
 * What the process has in swap, and what kswapd has freed since boot, now: where the
 * watch begins. -1: not told.
 */
int64_t session_swapped_bytes(uint32_t pid);
int64_t session_kswapd_pages(void);
/* What no event tells of, by what has changed since the last call. */
void session_poll_reclaim(struct session *s);
/* What was given back so far, with the names of who did it. */
void session_add_reclaims(struct session *s, struct snapshot *snap);

/* --- compose.c --- */

/* Which level it is now, as a word of --mode. */
const char *session_level(const struct session *s);
/* It is another one than @before from now on. */
void session_note_level(struct session *s, const char *before);
/* What the kernel side has counted of something so far. */
int64_t session_count(const struct session *s, enum bpf_counter counter);
/* All hits of probes so far. */
int64_t session_hits(const struct session *s);
/* CPU time that the kernel's ledger has cost the targets so far; 0 while that is not known. */
double session_ledger_ns(const struct session *s);
/* What was lost so far; @totals are the model's. */
void session_loss(const struct session *s, const struct model_totals *totals,
		  struct snapshot_loss *ret);

/* What the probes have cost up to now. */
void session_update_cost(struct session *s);

#endif
