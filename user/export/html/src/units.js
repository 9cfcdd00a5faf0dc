// SPDX-License-Identifier: GPL-2.0-or-later
// Numbers and names for people, as user/base/format.c writes them.

function scaled(value, base, most, units) {
	let i = 0;

	value /= base;
	while (Math.abs(value) >= most && i + 1 < units.length) {
		value /= base;
		i++;
	}
	return value.toFixed(1) + units[i];
}

export function bytes(n) {
	if (Math.abs(n) < 1024) return `${Math.round(n)} B`;
	return scaled(n, 1024, 1023.95, [" KiB", " MiB", " GiB", " TiB", " PiB", " EiB"]);
}

export function count(n) {
	if (Math.abs(n) < 10000) return String(Math.round(n));
	return scaled(n, 1000, 999.95, [" k", " M", " G", " T", " P", " E"]);
}

export function grouped(n) {
	return Math.round(n).toLocaleString("en-US");
}

const pad = (n) => String(Math.floor(n)).padStart(2, "0");

export function duration(s) {
	const whole = Math.floor(Math.max(s, 0) + 0.5);

	if (s < 9.95) return `${Math.max(s, 0).toFixed(1)} s`;
	if (whole < 60) return `${whole} s`;
	if (whole < 3600) return `${Math.floor(whole / 60)} m ${pad(whole % 60)} s`;
	if (whole < 86400) return `${Math.floor(whole / 3600)} h ${pad((whole / 60) % 60)} m`;
	return `${Math.floor(whole / 86400)} d ${pad((whole / 3600) % 24)} h`;
}

export function slope(perSecond) {
	if (Math.abs(perSecond) < 0.5) return "0";
	return `${perSecond > 0 ? "+" : "\u2212"}${bytes(Math.abs(perSecond))}/s`;
}

export function percent(part, whole) {
	return whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : "";
}

const writers = {
	bytes: bytes,
	count: grouped,
	"bytes/s": slope,
	seconds: duration,
	ratio: (x) => `${Math.round(100 * x)} %`,
};

export function withUnit(value, unit) {
	return writers[unit](value);
}

// A name chosen by a target: what would not show, or would turn the text around, is written out.
export function shown(name) {
	return name.replace(
		/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
		(c) => {
			const code = c.charCodeAt(0);

			return code < 256
				? `\\x${code.toString(16).padStart(2, "0")}`
				: `\\u${code.toString(16).padStart(4, "0")}`;
		},
	);
}
