/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The maps and settings that all programs share. Declared weak, because each
 * .bpf.c brings its copy and the linker keeps one.
 */
#ifndef HEAPSONDE_MAPS_BPF_H
#define HEAPSONDE_MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "bpf/events.h"

/* One ring for all CPUs: its order is the truth (events.h). Sized by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} events SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, BPF_COUNTERS_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps") __weak;

/*
 * The processes watched, by the number that heapsonde's own PID namespace
 * gives them. The allocation probes do not look here: their cookie says it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} targets SEC(".maps") __weak;

/* Set before loading; dead branches vanish in the verifier. */
const volatile __u64 cfg_min_size __weak = 0;
const volatile __u64 cfg_max_size __weak = ~0ull;
const volatile __u32 cfg_max_depth __weak = 128;
/* Wake the reader when this much waits; it polls on a timer otherwise. */
const volatile __u32 cfg_wake_bytes __weak = 0;
const volatile __u32 cfg_seen_buckets __weak = 1;	/* a power of two */
const volatile bool cfg_hold __weak = false;	/* births may be held (held.bpf.h) */
const volatile bool cfg_children __weak = false;	/* what targets fork is a target */
const volatile __u32 cfg_page_bytes __weak = 4096;
const volatile bool cfg_guarded __weak = false;	/* programs that switch preemption off are used */
const volatile __u32 cfg_pid_namespace __weak = 0;	/* inode of heapsonde's own */

static __always_inline void count_many(enum bpf_counter counter, __u64 many)
{
	__u32 key = counter;
	__u64 *value = bpf_map_lookup_elem(&counters, &key);

	/* Atomic although per CPU: uprobe programs are preemptible (v6.0). */
	if (value)
		__sync_fetch_and_add(value, many);
}

static __always_inline void count(enum bpf_counter counter)
{
	count_many(counter, 1);
}

#endif
