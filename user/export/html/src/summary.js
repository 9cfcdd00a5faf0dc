// SPDX-License-Identifier: GPL-2.0-or-later
// What matters, in words: what holds the memory, what grows and how fast, when the limit is
// reached, and what the numbers do not know. The facts are those of the text report.

import { h, section } from "./dom.js";
import { kindOf, programsOf } from "./modules.js";
import { nameOf, placeOf } from "./recording.js";
import { bytes, count, duration, grouped, percent, shown, slope } from "./units.js";

const SURE = 0.8; // below, a slope is what chance makes as well
const GHOSTS = 0.5; // of the blocks that windows follow, and ...
const GHOSTS_S = 5; // ... for so long: then who holds what is a guess
const SPREAD = 0.1; // a share below is nothing to look at first

const isDoubtful = (w) => w.ghost_share > GHOSTS && w.ghost_s > GHOSTS_S;
const strong = (text) => h("strong", {}, text);

// Who is to be named for a stack: the first on it that is not the C or C++ library's.
function culprit(rec, programs, stack) {
	const frames = rec.framesOf(stack).map((i) => rec.frame(i));

	return frames.find((f) => kindOf(f.module, programs) !== "system") ?? frames[0] ?? null;
}

// The function through which most of a value comes, with its sum and its number of call paths.
function largest(rec, value) {
	const programs = programsOf(rec.report),
		sums = new Map();
	let best = null;

	for (let stack = 0; stack < rec.count; stack++) {
		const n = value(stack);

		if (n <= 0) continue;
		const frame = culprit(rec, programs, stack),
			name = frame ? nameOf(frame) : "";
		const sum = sums.get(name) ?? { frame, name, value: 0, paths: 0 };

		sum.value += n;
		sum.paths++;
		sums.set(name, sum);
		if (!best || sum.value > best.value) best = sum;
	}
	return best;
}

// "remember_request (cache.c:120)"
function named({ frame, name, paths }) {
	if (!frame) return [h("em", {}, "code whose call path is not known")];
	const place = placeOf(frame);

	return [
		h("code", {}, shown(name)),
		place && paths === 1 ? ` (${shown(place)})` : "",
		paths > 1 ? ` on ${grouped(paths)} call paths` : "",
	];
}

const touches = (rec, stack) => rec.stacks.kind[stack] === "growth";
const watchesGrowth = ({ mode }) => mode === "growth";

// Of the level that sees no allocations.
function touched(rec) {
	const { totals } = rec.report;
	const top = largest(rec, (i) => rec.at("resident_bytes", i, rec.last));

	return [
		strong(bytes(totals.resident_bytes)),
		" became resident since heapsonde attached and still are",
		...(top ? [", most of it when first touched by ", ...named(top)] : []),
		". This tells what made the process grow, not who leaks: who first uses a " +
			"page is often not who keeps it, for blocks are handed out again. " +
			"The levels exact and sampled rank those.",
	];
}

function holds(rec) {
	const { totals } = rec.report;
	const top = largest(rec, (i) => rec.at("live_bytes", i, rec.last));

	if (watchesGrowth(rec.report)) return touched(rec);
	if (!totals.alloc_count)
		return [
			"No allocation was seen. If the program is idle, watch it longer or " +
				"while it works.",
		];
	if (!top)
		return [
			"Nothing is live: everything that was allocated since heapsonde attached " +
				"was freed again.",
		];
	return [
		strong(bytes(totals.live_bytes)),
		` in ${grouped(totals.live_count)} blocks `,
		rec.hasProfile()
			? "are live, says the heap profile that the program keeps of itself " +
				"from its start. "
			: "were allocated since heapsonde attached and are not freed. ",
		...(top.value < SPREAD * totals.live_bytes
			? ["That is spread widely: no function allocated more of it than "]
			: ["The largest part was allocated by "]),
		...named(top),
		`: ${bytes(top.value)}, `,
		strong(percent(top.value, totals.live_bytes)),
		".",
	];
}

function grows(rec) {
	const { totals, duration_s } = rec.report;
	const { growth_bytes_per_s: rates, growth_confidence: sure } = rec.stacks;
	const rate = totals.growth_bytes_per_s;
	const top = largest(rec, (i) => (sure[i] >= SURE && !touches(rec, i) ? rates[i] : 0));

	if (watchesGrowth(rec.report))
		return ["Which allocations grow is not seen at this level."];
	if (Math.abs(rate) < 0.5 || totals.growth_confidence < SURE)
		return [
			`Over these ${duration(duration_s)} live memory as a whole neither ` +
				"clearly grows nor shrinks",
			...(top && top.value >= 1024
				? [
						"; what ",
						...named(top),
						` allocated does, by ${slope(top.value)}`,
					]
				: []),
			".",
		];
	return [
		"Live memory ",
		strong(rate > 0 ? "grows" : "shrinks"),
		" by ",
		strong(`${bytes(Math.abs(rate))}/s`),
		` (${Math.floor(100 * totals.growth_confidence)} % sure)`,
		...(rate > 0 && top
			? [
					", most of all what is allocated by ",
					...named(top),
					`: ${slope(top.value)}`,
				]
			: []),
		".",
	];
}

function limit(rec) {
	const { memory } = rec.report;

	if (memory.rss_bytes === null)
		return ["The kernel did not tell how much of the program is resident."];
	const resident = ["Resident (RSS) are ", strong(bytes(memory.rss_bytes))];

	if (memory.limit_bytes === null) return [...resident, "; no limit is set."];
	const kind = memory.limit_kind ? ` (${memory.limit_kind})` : "";

	if (memory.seconds_to_limit === null)
		return [
			...resident,
			`; the limit of ${bytes(memory.limit_bytes)}${kind} is not ` +
				"reached at the present slope.",
		];
	return [
		...resident,
		`, ${slope(memory.growth_bytes_per_s)}: at that slope the limit of `,
		`${bytes(memory.limit_bytes)}${kind} is reached in `,
		strong(duration(memory.seconds_to_limit)),
		".",
	];
}

// What windows can tell of, and what they cannot.
function windowed({ windows: w, totals }) {
	const { unattributed_bytes: lost } = w,
		covered = (100 * w.covered_share).toPrecision(2),
		error = bytes(totals.live_bytes_error);

	return [
		strong("Estimates: "),
		`allocations were seen in ${grouped(w.windows)} short windows, ` +
			`${covered} % of the time; \u00b1 is half of a 95 % interval, ` +
			`live bytes are ${bytes(totals.live_bytes)} \u00b1 ${error}. ` +
			"A call path that kept more than " +
			`${count(w.detectable_count)} blocks would have been seen` +
			(lost
				? `; ${bytes(lost)} that are in use are of none that was.`
				: ".") +
			(isDoubtful(w)
				? ` Of the blocks followed ${percent(w.ghost_share, 1)} are dead ` +
					"and nobody has noticed: single call paths are not to be " +
					"relied on."
				: ""),
	];
}

function truth({ loss, mode, sample_bytes: sample, totals, windows }) {
	const before = totals.unknown_free_count
		? ` ${grouped(totals.unknown_free_count)} frees were of ` +
			"blocks from before heapsonde attached, which is never guessed at."
		: "";

	if (!loss.complete)
		return [
			strong("Incomplete: "),
			"events were lost (below), so totals are lower bounds, and a block whose " +
				"free was lost looks live until its address is used again.",
		];
	if (mode === "growth")
		return ["Nothing was lost: pages touched and calls on memory are all there."];
	if (windows) return windowed({ windows, totals });
	if (sample !== null)
		return [
			`Estimated from samples, one each ${bytes(sample)}; no sample was lost.`,
			before,
		];
	return [`Nothing was lost and nothing is estimated: the numbers are exact.${before}`];
}

function tile(name, value, note, tone) {
	return h(
		"div",
		{ class: `tile${tone ? ` ${tone}` : ""}`, id: `tile-${name}` },
		h("span", { class: "tile-name" }, name.replace(/-/g, " ")),
		h("span", { class: "tile-value" }, value),
		h("span", { class: "tile-note" }, note),
	);
}

function tiles(rec) {
	const { totals, memory, loss, duration_s, mode, windows } = rec.report,
		sample = rec.report.sample_bytes;
	const seen = mode !== "growth";
	const growth = slope(totals.growth_bytes_per_s),
		allocated = bytes(totals.alloc_bytes),
		blocks = `${grouped(totals.live_count)} blocks`;
	const grows =
		seen &&
		Math.abs(totals.growth_bytes_per_s) >= 0.5 && totals.growth_confidence >= SURE;
	const rate = duration_s > 0 ? totals.alloc_bytes / duration_s : 0;
	const left = memory.seconds_to_limit;

	return h(
		"div",
		{ class: "tiles" },
		seen
			? tile("live", bytes(totals.live_bytes), blocks)
			: tile("touched", bytes(totals.resident_bytes), "not who leaks"),
		tile(
			"growth",
			grows ? growth : seen ? "none" : "\u2014",
			grows
				? `${Math.floor(100 * totals.growth_confidence)} % sure`
				: seen
					? "no clear slope"
					: "of allocations: not seen",
			grows && totals.growth_bytes_per_s > 0 ? "warn" : "",
		),
		tile(
			"resident",
			memory.rss_bytes === null ? "?" : bytes(memory.rss_bytes),
			slope(memory.growth_bytes_per_s) === "0"
				? "steady"
				: slope(memory.growth_bytes_per_s),
		),
		tile(
			"time-to-limit",
			left === null ? "\u2014" : duration(left),
			memory.limit_bytes === null
				? "no limit"
				: `${bytes(memory.limit_bytes)} ${memory.limit_kind ?? ""}`,
			left !== null && left < 86400 ? "alarm" : "",
		),
		seen
			? rec.hasProfile()
				? tile("allocated", allocated, "since the program's start")
				: tile("allocated", `${bytes(rate)}/s`, `${allocated} in all`)
			: tile("allocated", "\u2014", "not seen at this level"),
		tile(
			"numbers",
			!loss.complete
				? "incomplete"
				: sample === null && !windows
					? "exact"
					: "estimates",
			loss.complete ? "nothing lost" : "events lost",
			loss.complete ? "" : "alarm",
		),
	);
}

export function summary(rec) {
	return section(
		"summary",
		"Summary",
		tiles(rec),
		h(
			"ul",
			{ class: "words" },
			[holds(rec), grows(rec), limit(rec), truth(rec.report)].map((words) =>
				h("li", {}, ...words),
			),
		),
	);
}
