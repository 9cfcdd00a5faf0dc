// SPDX-License-Identifier: GPL-2.0-or-later
// What else is known: where the resident memory is, what was given back, what was lost, how
// good the call paths are, what the watching cost, and who was watched.

import { facts, h, section } from "./dom.js";
import { bytes, count, duration, grouped, percent, shown, slope } from "./units.js";

const EVENTS_SHOWN = 200;

const toneOf = (tone, i) => tone ?? `tone${i % 8}`;

// Parts of a whole as one bar and a table.
function parts(rows, format) {
	const whole = rows.reduce((sum, { value }) => sum + Math.max(0, value), 0);
	const bar = h("div", { class: "parts", "aria-hidden": "true" });

	rows.forEach(({ value, tone }, i) => {
		const part = h("span", { class: toneOf(tone, i) });

		part.style.width = `${whole > 0 ? (100 * Math.max(0, value)) / whole : 0}%`;
		bar.append(part);
	});
	return [
		bar,
		h(
			"table",
			{ class: "plain" },
			h(
				"tbody",
				{},
				rows.map(({ name, value, tone }, i) =>
					h(
						"tr",
						{},
						h(
							"th",
							{ scope: "row" },
							h("span", {
								class: `swatch ${toneOf(tone, i)}`,
							}),
							name,
						),
						h("td", {}, format(value)),
						h("td", {}, percent(value, whole)),
					),
				),
			),
		),
	];
}

function account({ memory }) {
	if (!memory.account.length) return null;
	const rows = memory.account.map(({ kind, bytes: value }) => ({
		name: shown(kind),
		value,
		tone: kind === "unexplained" ? "unknown" : undefined,
	}));

	return section(
		"account",
		"Resident memory",
		...parts(rows, bytes),
		facts([
			[
				"proportional (PSS)",
				memory.pss_bytes === null ? null : bytes(memory.pss_bytes),
			],
			["swapped out", memory.swap_bytes ? bytes(memory.swap_bytes) : null],
			[
				"page tables",
				memory.page_tables_bytes ? bytes(memory.page_tables_bytes) : null,
			],
		]),
	);
}

function quality({ unwind }) {
	const rows = [
		["complete", "complete", "good"],
		["truncated", "cut at --max-depth", "tone2"],
		["guessed", "may lack some callers", "warn"],
		["failed", "broke off before the bottom", "alarm"],
	].map(([id, name, tone]) => ({ name, value: unwind[id], tone }));

	return section("quality", "Call path quality", ...parts(rows, grouped));
}

function losses({ loss, totals }) {
	return section(
		"losses",
		"Losses",
		h(
			"p",
			{ class: loss.complete ? "good-text" : "alarm-text" },
			loss.complete
				? "Complete: nothing was lost."
				: "Incomplete: totals are lower bounds.",
		),
		facts([
			["events dropped", grouped(loss.dropped_events)],
			["stacks dropped", grouped(loss.dropped_stacks)],
			["allocations not tracked", grouped(loss.untracked_allocs)],
			["probe hits missed", grouped(loss.missed_probes)],
			[
				"frees of unknown blocks",
				totals.unknown_free_count === null
					? null
					: grouped(totals.unknown_free_count),
			],
			["failed allocations", grouped(totals.failed_alloc_count)],
			[
				"ignored by size",
				totals.ignored_count ? grouped(totals.ignored_count) : null,
			],
		]),
	);
}

function each(hits, ns) {
	return hits && ns !== null ? `${count(hits)}, ${Math.round(ns)} ns each` : null;
}

function windowFacts(w) {
	if (!w) return [];
	return [
		[
			"windows",
			`${count(w.windows)} of ${(1e3 * w.window_s).toFixed(0)} ms, ` +
				`one each ${w.period_s.toPrecision(2)} s`,
		],
		["kept blocks to be seen for sure", count(w.detectable_count)],
		[
			"of followed blocks dead unnoticed",
			`${percent(w.ghost_share, 1)}, for ${w.ghost_s.toFixed(1)} s`,
		],
		["estimates rest on", shown(w.evidence)],
	];
}

function cost(report) {
	const { cost: c, mode, stack_mode: stacks, sample_bytes: sample } = report;
	const { duration_s: watched, windows } = report;

	return section(
		"cost",
		"What watching cost",
		facts([
			["level", shown(mode)],
			["one sample each", sample === null ? null : bytes(sample)],
			...windowFacts(windows),
			["stacks by", stacks === "fp" ? "frame pointers" : "unwind tables"],
			["probe hits", count(c.probe_hits)],
			[
				"each",
				c.probe_ns_per_hit === null
					? null
					: `${Math.round(c.probe_ns_per_hit)} ns`,
			],
			["page faults, calls on memory", each(c.ledger_hits, c.ledger_ns_per_hit)],
			["other system calls, longer", each(c.slowed_calls, c.ns_per_slowed_call)],
			[
				"of the target's CPU time",
				c.target_cpu_share === null
					? null
					: `${(100 * c.target_cpu_share).toFixed(1)} %`,
			],
			[
				"heapsonde's CPU time",
				`${c.own_cpu_s.toFixed(1)} s` +
					(watched > 0
						? ` (${percent(c.own_cpu_s, watched)} of one core)`
						: ""),
			],
			[
				"heapsonde's memory",
				c.own_rss_bytes === null ? null : bytes(c.own_rss_bytes),
			],
		]),
	);
}

function reclaim({ reclaim: events }) {
	if (!events.length)
		return section(
			"reclaim",
			"Reclaim",
			h("p", { class: "note" }, "No reclaim events were seen."),
		);
	const kinds = new Map();

	for (const { kind, bytes: n } of events) {
		const sum = kinds.get(kind) ?? { n: 0, bytes: 0 };

		kinds.set(kind, { n: sum.n + 1, bytes: sum.bytes + n });
	}
	const table = (head, rows) =>
		h(
			"table",
			{ class: "plain" },
			h(
				"thead",
				{},
				h(
					"tr",
					{},
					head.map((name) => h("th", { scope: "col" }, name)),
				),
			),
			h(
				"tbody",
				{},
				rows.map((row) =>
					h(
						"tr",
						{},
						row.map((cell) => h("td", {}, cell)),
					),
				),
			),
		);
	const last = events.slice(-EVENTS_SHOWN),
		all = grouped(events.length);

	return section(
		"reclaim",
		"Reclaim",
		table(
			["kind", "events", "gave back"],
			[...kinds].map(([kind, sum]) => [
				shown(kind),
				grouped(sum.n),
				bytes(sum.bytes),
			]),
		),
		h(
			"details",
			{},
			h(
				"summary",
				{},
				events.length > last.length
					? `the last ${last.length} of ${all} events`
					: "each event",
			),
			h(
				"div",
				{ class: "bounded", tabindex: 0 },
				table(
					["at", "kind", "gave back", "pid", ""],
					last.map((e) => [
						`${e.t_s.toFixed(1)} s`,
						shown(e.kind),
						bytes(e.bytes),
						String(e.pid),
						shown(e.detail ?? ""),
					]),
				),
			),
		),
	);
}

// Whatever the runtime tells, by the names it uses itself.
function runtime({ runtime: r }) {
	if (!r) return null;
	return section(
		"runtime",
		`Runtime: ${shown(String(r.language ?? "?"))}`,
		facts(
			Object.entries(r)
				.filter(([, value]) => typeof value !== "object")
				.map(([name, value]) => [
					shown(name),
					typeof value === "number"
						? grouped(value)
						: shown(String(value)),
				]),
		),
	);
}

function targets(report) {
	return section(
		"targets",
		"Watched",
		h(
			"ul",
			{ class: "targets" },
			report.targets.map((t) =>
				h(
					"li",
					{},
					h("strong", {}, shown(t.comm)),
					` pid ${t.pid}`,
					t.exited
						? h(
								"span",
								{ class: "badge" },
								shown(t.exit_reason ?? "ended"),
							)
						: null,
					h("code", { class: "command" }, shown(t.cmdline || t.exe)),
				),
			),
		),
		facts([
			["watched for", duration(report.duration_s)],
			["RSS slope", slope(report.memory.growth_bytes_per_s)],
			["recorded by", `heapsonde ${shown(report.heapsonde)}`],
		]),
	);
}

export function details({ report }) {
	return h(
		"div",
		{ class: "details" },
		[
			account(report),
			reclaim(report),
			quality(report),
			losses(report),
			cost(report),
			runtime(report),
			targets(report),
		].filter(Boolean),
	);
}

export function about(libraries) {
	return h(
		"footer",
		{},
		h(
			"p",
			{},
			"Made by heapsonde, GPL-2.0-or-later. This page is one file; it loads " +
				"nothing and sends nothing. Sizes are binary: 1 KiB is 1024 bytes.",
		),
		libraries.map(({ name, version, license, text }) =>
			h(
				"details",
				{},
				h("summary", {}, `with ${name} ${version} (${license})`),
				h("pre", {}, text),
			),
		),
	);
}
