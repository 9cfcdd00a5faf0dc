// SPDX-License-Identifier: GPL-2.0-or-later
// The columns of the table of call paths: what each shows of a stack in a range.

import { bytes, count, duration, percent, slope } from "./units.js";

const level =
	(metric) =>
	(rec, stack, { to }) =>
		rec.at(metric, stack, to);
const within =
	(metric) =>
	(rec, stack, { from, to }) =>
		rec.at(metric, stack, to) - rec.at(metric, stack, from);

// Over the whole time the report's robust slope, in a part of it the plain one.
function growth(rec, stack, { from, to, whole }) {
	if (whole) return rec.stacks.growth_bytes_per_s[stack];
	return within("live_bytes")(rec, stack, { from, to }) / (rec.times[to] - rec.times[from]);
}

export const COLUMNS = [
	{
		id: "live_bytes",
		label: "Live",
		value: level("live_bytes"),
		text: bytes,
		help: "allocated since attach and not freed at the end of the range",
	},
	{
		id: "share",
		label: "Share",
		value: level("live_bytes"),
		text: (value, total) => percent(value, total),
		help: "of all live bytes",
	},
	{
		id: "live_count",
		label: "Blocks",
		value: level("live_count"),
		text: count,
		help: "live blocks",
	},
	{
		id: "growth_bytes_per_s",
		label: "Growth",
		value: growth,
		text: slope,
		help: "slope of live bytes over the range",
	},
	{
		id: "oldest_live_s",
		label: "Oldest",
		text: (value) => (value ? duration(value) : "\u2014"),
		value: (rec, stack) => rec.stacks.oldest_live_s[stack],
		help: "age of the oldest live block, at the end of the watching",
	},
	{
		id: "alloc_bytes",
		label: "Allocated",
		value: within("alloc_bytes"),
		text: bytes,
		help: "bytes allocated within the range",
	},
	{
		id: "alloc_count",
		label: "Allocs",
		value: within("alloc_count"),
		text: count,
		help: "allocations within the range",
	},
	{
		id: "free_bytes",
		label: "Freed",
		value: within("free_bytes"),
		text: bytes,
		help: "bytes freed within the range",
	},
	{
		id: "temporary",
		label: "Temp",
		text: (value) => (value >= 0 ? `${Math.round(100 * value)} %` : ""),
		value: (rec, stack, range) => {
			const all = within("alloc_count")(rec, stack, range);

			return all > 0 ? within("temporary_count")(rec, stack, range) / all : -1;
		},
		help: "allocations freed by the same thread before it allocated anything else",
	},
];
