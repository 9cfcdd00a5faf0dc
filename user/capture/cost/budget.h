/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What probes may cost a target: a share of the CPU time that it uses, and where
 * nobody has named one, a little of a core however little it uses. Of a program
 * that hardly does anything a share is nothing, and nothing it would be seen with.
 * Pure functions.
 */
#ifndef HEAPSONDE_CAPTURE_COST_BUDGET_H
#define HEAPSONDE_CAPTURE_COST_BUDGET_H

struct budget {
	double share;	/* of the target's CPU time */
	double floor;	/* of one core, at least; 0 where a share was named */
};

/* @named: --max-overhead as a share; 0: not given, and auto's own. */
struct budget budget_of(double named);
/* Nanoseconds that probes may take while the target uses @cpu_ns in @wall_ns. */
double budget_earned_ns(const struct budget *budget, double cpu_ns, double wall_ns);
/* The same of a second: as a share of one core, of a target that uses @cpu_share of it. */
double budget_of_core(const struct budget *budget, double cpu_share);

#endif
