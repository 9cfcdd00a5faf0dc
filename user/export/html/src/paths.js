// SPDX-License-Identifier: GPL-2.0-or-later
// Which call paths contain a text: in a function's name, a module, a source file, or their kind.

export function pathsMatching(rec, text) {
	const wanted = text.trim().toLowerCase();

	if (!wanted) return null;
	const inString = rec.strings.map((s) => s.toLowerCase().includes(wanted));
	const { frames, nodes, stacks } = rec,
		inNode = new Uint8Array(nodes.count + 1);
	const has = (number) => number >= 0 && inString[number];
	const inFrame = (i) =>
		has(frames.function[i]) || has(frames.module[i]) || has(frames.file[i]);

	for (let node = 1; node <= nodes.count; node++)
		inNode[node] =
			inNode[node - nodes.caller[node - 1]] || inFrame(nodes.frame[node - 1]);
	return stacks.node.map(
		(node, stack) =>
			Boolean(inNode[node]) ||
			stacks.kind[stack] === wanted ||
			stacks.id[stack] === wanted,
	);
}
