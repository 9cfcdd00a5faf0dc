// SPDX-License-Identifier: GPL-2.0-or-later
// What a flame graph can be drawn of: each metric that counts, for a range of moments.
// What is live has a value at the range's end and a growth over it; totals count what
// happened within it.

const isLevel = (name) => /^(live|resident|peak)_/.test(name);

function level(metric) {
	return (rec, stack, { to }) => rec.at(metric, stack, to);
}

function difference(metric, sign) {
	return (rec, stack, { from, to }) =>
		Math.max(0, sign * (rec.at(metric, stack, to) - rec.at(metric, stack, from)));
}

function measuresOf({ name, unit, help }) {
	const words = name.replace(/_/g, " ");
	const Words = words[0].toUpperCase() + words.slice(1);

	if (name.startsWith("peak_"))
		return [{ id: name, unit, help, label: Words, value: level(name) }];
	if (!isLevel(name))
		return [
			{
				id: name,
				unit,
				help: `${help}, within the range`,
				label: Words,
				value: difference(name, 1),
			},
		];
	return [
		{
			id: name,
			unit,
			help: `${help}, at the end of the range`,
			label: Words,
			value: level(name),
		},
		{
			id: `${name}:grown`,
			unit,
			help:
				`how much more at the end of the range than at its ` +
				"beginning, where it grew",
			label: `${Words}, growth`,
			value: difference(name, 1),
		},
		{
			id: `${name}:shrunk`,
			unit,
			help:
				"how much less at the end of the range than at its " +
				"beginning, where it shrank",
			label: `${Words}, decrease`,
			value: difference(name, -1),
		},
	];
}

export function measures(rec) {
	return rec.metrics
		.filter(({ name }) => rec.values[name] && !name.endsWith("_error"))
		.flatMap(measuresOf);
}
