// SPDX-License-Identifier: GPL-2.0-or-later
// What kind of code a module is, which gives it its colour.

export const KINDS = [
	["own", "the program itself"],
	["system", "C and C++ libraries"],
	["library", "other libraries"],
	["unknown", "unknown code"],
];

const SYSTEM = new RegExp(
	"^(lib(c|m|pthread|dl|rt|stdc[+][+]|gcc_s|c[+][+]|c[+][+]abi)[.-]|" +
		"lib(je|tc|mi)malloc|ld-|ld[.]so|\\[vdso\\])",
);

export function kindOf(module, programs) {
	if (!module) return "unknown";
	if (programs.has(module)) return "own";
	return SYSTEM.test(module) ? "system" : "library";
}

export function programsOf(report) {
	return new Set(
		report.targets.map(({ exe, comm }) =>
			exe
				? exe
						.replace(/ \(deleted\)$/, "")
						.split("/")
						.pop()
				: comm,
		),
	);
}

// A number from 0 to 7 for a name, always the same: the shade.
export function shadeOf(name) {
	let hash = 7;

	for (let i = 0; i < name.length; i++)
		hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
	return (hash >>> 13) & 7;
}
