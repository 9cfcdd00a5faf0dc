/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every byte that crosses between kernel and user space: ring buffer records,
 * attach cookies, shared map values. The only header that both sides include.
 *
 * Records are fixed-width with explicit padding and begin with struct
 * ev_header. The ring buffer is one for all CPUs, so the order of records is
 * the order in which they were reserved; that is what makes the model exact:
 *
 *  - a free is recorded before the real free runs, an allocation after it
 *    returned; so between two owners of one address the free always stands
 *    before the allocation;
 *  - realloc announces the old block before it runs (EV_REALLOC_BEGIN) and
 *    settles it when it returned (EV_REALLOC); between the two, another
 *    thread may already have been given the old address.
 */
#ifndef HEAPSONDE_EVENTS_H
#define HEAPSONDE_EVENTS_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/*
 * X(kind, hits, what it says): hits is how many probe hits stand behind one
 * record. All others are in the counter QUIET_HITS, so that the frequent
 * records cost no counting.
 */
#define EVENT_KINDS(X)							  \
	X(EV_STACK,         0, "frames of a stack seen for the first time") \
	X(EV_ALLOC,         2, "a block was allocated, or addr 0: failed") \
	X(EV_FOCUS,         2, "a block was allocated at a call that is focused on") \
	X(EV_LARGE,         1, "a block is being cut from the heap that is a large one") \
	X(EV_HELD,          2, "a block was allocated a moment ago")	  \
	X(EV_HELD_LATER,    2, "the same, and its thread has allocated since") \
	X(EV_PAIRS,         0, "blocks were allocated and freed: 3 hits each") \
	X(EV_FREE,          1, "a block is about to be freed")		  \
	X(EV_FREE_LATER,    1, "a block is about to be freed, not as its thread's last one") \
	X(EV_FREE_AGAIN,    1, "the same, where the thread has just freed a block") \
	X(EV_REALLOC_BEGIN, 0, "a block is about to be reallocated")	  \
	X(EV_REALLOC_BEGIN_LATER, 0, "the same, of what is not its thread's last block") \
	X(EV_REALLOC,       2, "a reallocation returned")		  \
	X(EV_POOL_ADD,      0, "the block just allocated belongs to a pool") \
	X(EV_POOL_CLEAR,    1, "all blocks of a pool are about to end")	  \
	X(EV_REPORT_ALLOC,  1, "the program tells of a block that it sampled") \
	X(EV_REPORT_FREE,   1, "the program tells that such a block is freed") \
	X(EV_MAP,           0, "the program mapped memory or raised the break") \
	X(EV_UNMAP,         0, "the program unmapped memory or lowered the break") \
	X(EV_EXEC,          0, "a target replaced its program")		  \
	X(EV_EXIT,          0, "a target's last thread ended")		  \
	X(EV_FORK,          0, "a target forked")			  \
	X(EV_OOM_VICTIM,    0, "the OOM killer chose a target")		  \
	X(EV_LOADED,        0, "a target's loader has mapped an object")  \
	X(EV_UNLOADING,     0, "a target's loader unmaps an object")	  \
	X(EV_STACK_MEMORY,  0, "a piece of a stack that user space is to walk") \
	X(EV_UNFINISHED,    0, "... and its registers, after all pieces")	  \
	X(EV_GO_STACK,      0, "frames of a Go stack, with the runtime's own") \
	X(EV_GO_ALLOC,      1, "a Go object is about to be allocated: a sample") \
	X(EV_GO_LOOK,       0, "what that sample stands for, and whether it is dead") \
	X(EV_GO_SWEEP,      1, "it has marked all that is live, and samples were looked at") \
	X(EV_GO_BIRTH,      1, "a Go block was allocated")		  \
	X(EV_GO_SWEPT,      1, "a span of Go blocks was swept: these are left") \
	X(EV_MEMORY,        0, "a system call changed what is mapped or resident") \
	X(EV_TOUCH,         0, "pages are about to become resident")	  \
	X(EV_RECLAIM,       0, "the kernel took memory back")

enum event_kind {
#define X(kind, hits, text) kind,
	EVENT_KINDS(X)
#undef X
	EVENT_KINDS_COUNT
};

struct ev_header {
	__u16 kind;		/* enum event_kind */
	__u16 cpu;
	__u32 tgid;		/* the target, as heapsonde's PID namespace has it */
	__u32 tid;		/* in the initial PID namespace */
	__u32 func;		/* row of the allocator table */
	__u64 time_ns;		/* CLOCK_MONOTONIC at the tick before; order is the ring's */
};

#define SAMPLE_BYTES_MAX (1ull << 30)	/* largest mean between samples (bpf/sample.h) */
#define MAX_DEPTH 512		/* frames kept at most; --max-depth lowers it */

/* How a stack walk ended. Reports show these. */
#define UNWIND_STATUSES(X)						\
	X(UNWIND_COMPLETE,   "complete",   "reached the bottom")	\
	X(UNWIND_TRUNCATED,  "truncated",  "deeper than --max-depth")	\
	X(UNWIND_GUESSED,    "guessed",    "led by frame pointers, frames may be missing") \
	X(UNWIND_FAILED,     "failed",     "the chain of frames broke")	\
	X(UNWIND_LOST,       "lost",       "the frames were dropped on the way") \
	X(UNWIND_NO_MAPPING, "no_mapping", "an address lies in no known mapping") \
	X(UNWIND_NO_CFI,     "no_cfi",     "code without unwind information") \
	X(UNWIND_UNSUPPORTED, "unsupported", "a frame described in an unknown form") \
	X(UNWIND_READ_FAULT, "read_fault", "the stack could not be read") \
	X(UNWIND_BAD_CFA,    "bad_cfa",    "a frame lies where none can be")

enum unwind_status {
#define X(status, name, text) status,
	UNWIND_STATUSES(X)
#undef X
	UNWIND_STATUSES_COUNT
};

/* Travels once per stack; length on the ring is up to the last used pc. */
struct ev_stack {
	struct ev_header h;
	__u64 stack_id;
	__u32 count;		/* of pcs; at least 1 unless lost */
	__u32 status;		/* enum unwind_status */
	__u64 pcs[];		/* leaf (the allocator's caller) first; return addresses */
};

/*
 * A stack that could not be walked because the tables for it are not there
 * yet: code has just been mapped. Its registers and, in the records before,
 * its memory, for user space to walk it later (capture/rewalk.h). The id is
 * this one allocation's.
 */
struct ev_unfinished {
	struct ev_header h;
	__u64 stack_id;
	__u64 pc, sp, bp, lr;
	__u32 start;		/* enum unwind_start */
	__u32 pad;
};

struct ev_stack_memory {
	struct ev_header h;
	__u64 stack_id;
	__u64 addr;
	__u64 size;
	__u8 bytes[];
};

/* EV_ALLOC, EV_FOCUS, EV_LARGE, EV_HELD and its _LATER, EV_REPORT_ALLOC */
struct ev_alloc {
	struct ev_header h;
	__u64 addr;		/* 0: the allocation failed; EV_LARGE: it is not known yet */
	__u64 size;		/* bytes asked for; EV_LARGE: of the chunk */
	__u64 stack_id;		/* hash of the frames; 0: not to be tracked (see ev_realloc) */
	/*
	 * Bytes this record stands for: size when exact; weight / size blocks, and
	 * weight of them where size is 0. EV_FOCUS, which is exact: where its call
	 * returns to.
	 */
	__u64 weight;
};

struct ev_free {		/* EV_FREE and its kin, EV_REALLOC_BEGIN[_LATER], EV_REPORT_FREE */
	struct ev_header h;
	__u64 addr;
};

/*
 * Blocks that were freed so soon that neither is told in a record of its own
 * (held.bpf.h). The header is of one of their births.
 */
struct ev_pairs {
	struct ev_header h;
	__u64 size;		/* of each */
	__u64 stack_id;
	__u32 count;
	__u32 temporary;	/* of them: as their thread's last block */
};

/*
 * EV_REALLOC settles the EV_REALLOC_BEGIN of the same thread: addr 0 and
 * size != 0 is a failure and the old block lives on; addr 0 and size 0 freed
 * it. With addr but stack_id 0 the new block is outside --min-size and
 * --max-size: the old one ends, the new one is not tracked.
 */
struct ev_realloc {
	struct ev_alloc a;
	__u64 old_addr;		/* 0: realloc(NULL, size) */
};

/*
 * EV_GO_STACK is a struct ev_stack, EV_GO_ALLOC and EV_GO_BIRTH a struct
 * ev_go_alloc.
 */
struct ev_go_alloc {
	struct ev_header h;
	__u64 addr;
	__u64 size;		/* of the size class */
	__u64 stack_id;
	union {
		__u64 weight;	/* EV_GO_ALLOC: bytes that it stands for, as far as known */
		__u64 span_start;	/* EV_GO_BIRTH: the first address of its span */
	};
};

/* At the first collection after a sample was taken, and at the one that frees it. */
struct ev_go_look {
	struct ev_header h;
	__u64 addr;
	__u64 weight;		/* bytes that the sample stands for */
	__u32 dead;
	__u32 pad;
};

struct ev_go_sweep {
	struct ev_header h;
	__u64 took_ns;		/* while the world was stopped */
	__u64 mean;		/* bytes between samples until then */
	__u32 checked, dead;	/* samples */
};

#define GO_SPAN_OBJECTS 1024	/* at most */

struct ev_go_swept {
	struct ev_header h;
	__u64 span_start, size;
	__u32 nelems;
	__u32 pad;
	__u64 bits[GO_SPAN_OBJECTS / 64];	/* those of nelems: what is live; no more travel */
};

union go_birth_cookie {
	__u64 value;
	struct {
		__u32 tgid;
		__u32 slot;	/* where the span's address is, from the stack pointer */
	};
};

struct ev_pool {		/* EV_POOL_ADD; EV_POOL_CLEAR, which has no block */
	struct ev_header h;
	__u64 pool;
	__u64 addr;		/* of the block */
};

struct ev_map {			/* EV_MAP, EV_UNMAP: [addr, addr + size) */
	struct ev_header h;
	__u64 addr;
	__u64 size;		/* as asked for; ends anywhere in its last page */
	__u64 stack_id;		/* EV_MAP only */
	__u32 is_brk;		/* the program break moved */
	__u32 pad;
};

/* X(call, system call) */
#define MEMORY_CALLS(X)							\
	X(CALL_MMAP, mmap)						\
	X(CALL_MUNMAP, munmap)					\
	X(CALL_MREMAP, mremap)					\
	X(CALL_BRK, brk)						\
	X(CALL_MPROTECT, mprotect)					\
	X(CALL_MADVISE, madvise)					\
	X(CALL_PROCESS_MADVISE, process_madvise)

enum memory_call {
	CALL_NONE,
#define X(call, name) call,
	MEMORY_CALLS(X)
#undef X
	MEMORY_CALLS_COUNT
};

/* In ev_memory.arg of CALL_MMAP and CALL_MPROTECT. */
#define MEMORY_ACCESSIBLE 0x1	/* readable or writable, rather than reserved only */
#define MEMORY_FILE	  0x2	/* of a file */
#define MEMORY_SHARED	  0x4	/* seen by whoever else maps it */
#define MEMORY_POPULATE	  0x8	/* all pages became resident at once */

/*
 * A system call of the target that succeeded, told when it returned. brk: addr
 * is where the program break is now. process_madvise: addr 0 if there were
 * several ranges.
 */
struct ev_memory {
	struct ev_header h;
	__u64 addr, size;
	__u64 old_addr;		/* mremap */
	__u64 stack_id;
	__u64 call : 8;		/* enum memory_call */
	__u64 arg : 56;		/* madvise: the advice; mremap: the old size; else MEMORY_ flags */
};

#define TOUCH_WRITE 0x1		/* ... to be written to */
#define TOUCH_PRESENT 0x2	/* ... though it is there: to be copied, as a rule */

/*
 * A page fault, told before it is handled, so that it may yet come to nothing.
 * Of many in a short time some are told, each for @weight that happened.
 */
struct ev_touch {
	struct ev_header h;
	__u64 addr;
	__u64 stack_id;
	__u32 weight;
	__u32 flags;
};

struct ev_reclaim {
	struct ev_header h;
	__u64 bytes;
	__u32 in_cgroup;	/* within the target's cgroup, rather than the machine */
	__u32 by_target;	/* the target itself had to do it */
};

/* EV_EXEC, EV_EXIT, EV_FORK, EV_OOM_VICTIM, EV_LOADED, EV_UNLOADING */
struct ev_process {
	struct ev_header h;
	__u32 child;		/* EV_FORK: the new process; EV_EXEC: the old tid */
	/* EV_EXIT: as wait(2) encodes it; EV_FORK: 1 if it runs in its parent's memory. */
	__s32 exit_code;
	__u64 cpu_ns;		/* EV_EXIT: CPU time of all its threads */
	char comm[16];
};

#ifdef __cplusplus
#define EV_ASSERT static_assert
#else
#define EV_ASSERT _Static_assert
#endif
EV_ASSERT(sizeof(struct ev_header) == 24, "ev_header");
EV_ASSERT(sizeof(struct ev_stack) == 40, "ev_stack");
EV_ASSERT(sizeof(struct ev_unfinished) == 72, "ev_unfinished");
EV_ASSERT(sizeof(struct ev_stack_memory) == 48, "ev_stack_memory");
EV_ASSERT(sizeof(struct ev_alloc) == 56, "ev_alloc");
EV_ASSERT(sizeof(struct ev_free) == 32, "ev_free");
EV_ASSERT(sizeof(struct ev_pairs) == 48, "ev_pairs");
EV_ASSERT(sizeof(struct ev_realloc) == 64, "ev_realloc");
EV_ASSERT(sizeof(struct ev_pool) == 40, "ev_pool");
EV_ASSERT(sizeof(struct ev_go_alloc) == 56, "ev_go_alloc");
EV_ASSERT(sizeof(struct ev_go_look) == 48, "ev_go_look");
EV_ASSERT(sizeof(struct ev_go_sweep) == 48, "ev_go_sweep");
EV_ASSERT(sizeof(struct ev_go_swept) == 176, "ev_go_swept");
EV_ASSERT(sizeof(struct ev_map) == 56, "ev_map");
EV_ASSERT(sizeof(struct ev_memory) == 64, "ev_memory");
EV_ASSERT(sizeof(struct ev_touch) == 48, "ev_touch");
EV_ASSERT(sizeof(struct ev_reclaim) == 40, "ev_reclaim");
EV_ASSERT(sizeof(struct ev_process) == 56, "ev_process");

/* What a probed function does. Names the branch of the one generic program. */
enum probe_kind {
	PROBE_ALLOC = 1,	/* returns a block of [count *] size bytes */
	PROBE_ALLOC_OUT,	/* ... through *ptr, returns 0 on success */
	PROBE_REALLOC,		/* (ptr, [count,] size) */
	PROBE_REALLOC_OR_FREE,	/* ... that frees the old block when it fails */
	PROBE_RESIZE,		/* (ptr, size) in place; returns what ptr now has room for */
	PROBE_FREE,		/* (ptr) */
	PROBE_CLEAR,		/* (ptr = pool) ends all blocks of a pool */
	PROBE_HIDE,		/* what it allocates on the way is its own business */
	PROBE_MMAP,		/* (addr, size, prot, flags) returns the mapping */
	PROBE_MUNMAP,		/* (ptr, size) */
	PROBE_MREMAP,		/* (ptr, count = old size, size) returns the mapping */
	PROBE_BRK,		/* moves the program break, whatever it returns */
	PROBE_LEAVE,		/* longjmp and its kin: may leave a call unreturned */
	PROBE_EXIT,		/* a function is about to return [ptr]: stands for a return probe */
	PROBE_REPORT_ALLOC,	/* no function: the program tells of an allocation ... */
	PROBE_REPORT_FREE,	/* ... and of its end; operands in struct probe_operands */
	PROBE_FOCUS,		/* no function: a call of one that is of PROBE_ALLOC ... */
	PROBE_FOCUS_END,	/* ... has returned: its result is still in the register */
	PROBE_LARGE,		/* no function: where malloc looks for a large chunk */
};

#define PROBE_ARGS 6		/* arguments that are passed in registers */
#define PROBE_VARIABLE 6	/* no argument: what a variable of the target holds */
#define PROBE_NO_ARG 7

/*
 * The attach cookie is all that a probe's program needs to know of its
 * function, so that it looks nothing up. Argument positions count from 0;
 * PROBE_NO_ARG where the function has none.
 */
union probe_cookie {
	__u64 value;
	struct {
		__u64 tgid : 22;	/* PID_MAX_LIMIT */
		__u64 func : 10;	/* row of the allocator table */
		__u64 kind : 5;		/* enum probe_kind */
		__u64 size_arg : 3;
		__u64 count_arg : 3;
		__u64 ptr_arg : 3;
		__u64 pool_arg : 3;	/* the block's pool, or PROBE_VARIABLE */
		__u64 lane : 5;		/* tells targets apart whose births may be held; 0: none */
		/* A free that may pass on to another: its end counts. PROBE_FOCUS: inner frames. */
		__u64 awaited : 1;
		__u64 stepped : 1;	/* the kernel single-steps the probed instruction */
		__u64 returns : 1;	/* a return probe stands behind this entry */
		__u64 nests : 1;	/* a free that may stand inside another call */
		/* Tells the same row's probes in several objects apart; PROBE_FOCUS: its bytes. */
		__u64 object : 6;
	};
	struct {			/* of PROBE_REPORT_* and PROBE_LARGE, without arguments */
		__u64 : 37;
		/* Tells the places in an object apart; PROBE_LARGE: of the size in pt_regs. */
		__u64 site : 17;
		__u64 : 10;
	};
};
#define PROBE_LANES 32
#define PROBE_FUNCS_MAX (1 << 10)
#define PROBE_SITES_MAX (1 << 16)	/* of one session; of one object, twice as many would fit */
EV_ASSERT(sizeof(union probe_cookie) == 8, "probe_cookie");

/*
 * Frames inside of a call that is focused on, which all its blocks' stacks have in
 * common: where operator new's call of malloc returns to. Innermost first; 0: none.
 */
#define FOCUS_INNER_MAX 2
#define FOCUS_SITES_MAX 64

struct focus_inner {
	__u64 pcs[FOCUS_INNER_MAX];
};

/*
 * Where a value is when a report's probe is hit: a constant, a register, or
 * memory at reg + (index << shift) + value.
 */
enum operand_place { OPERAND_CONSTANT, OPERAND_REGISTER, OPERAND_MEMORY };

#define OPERAND_NO_REGISTER 0xffff

struct probe_operand {
	__u64 value;
	__u16 reg, index;	/* bytes into struct pt_regs, or OPERAND_NO_REGISTER */
	__u8 place;		/* enum operand_place */
	__u8 shift;
	__u8 bytes;		/* 1, 2, 4 or 8 of it count ... */
	__u8 is_signed;		/* ... as a signed number */
};

struct probe_operands {
	struct probe_operand ptr, size, weight;
};
EV_ASSERT(sizeof(struct probe_operands) == 48, "probe_operands");

/* Where BPF code loses something; one counter each, summed over CPUs. */
#define BPF_COUNTERS(X)							\
	X(QUIET_HITS,       "quiet_hits",       "probe hits without a record of their own") \
	X(STEPPED_HITS,     "stepped_hits",     "of the probe hits: single-stepped ones") \
	X(LEDGER_HITS,      "ledger_hits",      "system calls and page faults of targets, seen") \
	X(OUTSIDE_HITS,     "outside_hits",     "probe hits before and after windows") \
	X(IGNORED,          "ignored",          "allocations outside --min-size and --max-size") \
	X(DROP_STACK,       "drop_stack",       "ring full: frames of a stack") \
	X(DROP_ALLOC,       "drop_alloc",       "ring full: allocation") \
	X(DROP_FREE,        "drop_free",        "ring full: free")	\
	X(DROP_REALLOC,     "drop_realloc",     "ring full: reallocation") \
	X(DROP_MAP,         "drop_map",         "ring full: mapping")	\
	X(DROP_MEMORY,      "drop_memory",      "ring full: system call on memory, or page fault") \
	X(DROP_PROCESS,     "drop_process",     "ring full: exec, exit or fork") \
	X(NO_THREAD_STATE,  "no_thread_state",  "no memory for a thread's state") \
	X(NO_SAMPLE_ROOM,   "no_sample_room",   "samples that found no room in the kernel") \
	X(LOST_RETURN,      "lost_return",      "a call whose return was never seen") \
	X(READ_FAULT,       "read_fault",       "an argument could not be read")

enum bpf_counter {
#define X(counter, name, text) COUNT_##counter,
	BPF_COUNTERS(X)
#undef X
	BPF_COUNTERS_COUNT
};

#endif
