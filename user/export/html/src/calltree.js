// SPDX-License-Identifier: GPL-2.0-or-later
// Stacks merged into a tree, from their bottoms (who called whom) or from their tops (who
// allocates, and for whom). A node's children are made when somebody looks at them, so that
// what is too narrow to be drawn costs nothing.

import { nameOf } from "./recording.js";

// Frames that stand for one function have one key; so do stacks' paths, callers first.
export class Functions {
	constructor(rec) {
		const numbers = new Map();

		this.names = [];
		this.modules = [];
		this.keyOfFrame = new Int32Array(rec.frames.count);
		for (let i = 0; i < rec.frames.count; i++)
			this.keyOfFrame[i] = this.number(numbers, rec.frame(i));
		this.makePaths(rec);
	}

	number(numbers, frame) {
		const name = nameOf(frame),
			id = `${name}\0${frame.module}`;
		let number = numbers.get(id);

		if (number === undefined) {
			number = this.names.length;
			numbers.set(id, number);
			this.names.push(name);
			this.modules.push(frame.module);
		}
		return number;
	}

	makePaths(rec) {
		const { caller, frame } = rec.nodes,
			depth = new Uint32Array(rec.nodes.count + 1);
		const lengths = new Uint32Array(rec.count);

		for (let node = 1; node <= rec.nodes.count; node++)
			depth[node] = depth[node - caller[node - 1]] + 1;
		for (let stack = 0; stack < rec.count; stack++)
			lengths[stack] = depth[rec.stacks.node[stack]];
		this.first = new Uint32Array(rec.count + 1);
		for (let stack = 0; stack < rec.count; stack++)
			this.first[stack + 1] = this.first[stack] + lengths[stack];
		this.paths = new Int32Array(this.first[rec.count]);
		for (let stack = 0; stack < rec.count; stack++) {
			let node = rec.stacks.node[stack];

			for (let i = this.first[stack + 1]; node > 0; node -= caller[node - 1])
				this.paths[--i] = this.keyOfFrame[frame[node - 1]];
		}
	}

	// Which functions' names or modules contain a text, as 0 and 1.
	matching(text) {
		const wanted = text.toLowerCase(),
			found = new Uint8Array(this.names.length);

		for (let i = 0; i < found.length; i++)
			found[i] =
				this.names[i].toLowerCase().includes(wanted) ||
				this.modules[i].toLowerCase().includes(wanted);
		return found;
	}

	hasAny(stack, found) {
		for (let i = this.first[stack]; i < this.first[stack + 1]; i++)
			if (found[this.paths[i]]) return true;
		return false;
	}
}

export class CallTree {
	constructor(functions, values, bottomUp) {
		const stacks = [];
		let total = 0;

		values.forEach((value, stack) => {
			if (value > 0) stacks.push(stack);
			total += value;
		});
		Object.assign(this, { functions, values, bottomUp });
		this.root = { key: -1, value: total, depth: 0, parent: null, stacks, kids: null };
	}

	// The function of a stack at a depth; -1 behind its end.
	key(stack, depth) {
		const { first, paths } = this.functions;
		const at = this.bottomUp ? first[stack + 1] - 1 - depth : first[stack] + depth;

		return at >= first[stack] && at < first[stack + 1] ? paths[at] : -1;
	}

	// Largest first; equals by name, so that a picture is the same each time.
	children(node) {
		if (node.kids) return node.kids;
		const groups = new Map();

		for (const stack of node.stacks) {
			const key = this.key(stack, node.depth);

			if (key < 0) continue;
			if (!groups.has(key))
				groups.set(key, {
					key,
					value: 0,
					depth: node.depth + 1,
					parent: node,
					stacks: [],
					kids: null,
				});
			const group = groups.get(key);

			group.value += this.values[stack];
			group.stacks.push(stack);
		}
		const { names } = this.functions;

		node.kids = [...groups.values()].sort(
			(a, b) => b.value - a.value || (names[a.key] < names[b.key] ? -1 : 1),
		);
		return node.kids;
	}

	name(node) {
		return node.key < 0 ? "all" : this.functions.names[node.key];
	}

	// The same path in this tree, as far as it exists; for redrawing after a change.
	follow(keys) {
		let node = this.root;

		for (const key of keys) {
			const next = this.children(node).find((child) => child.key === key);

			if (!next) break;
			node = next;
		}
		return node;
	}
}

// The keys from the root's child down to a node.
export function keysTo(node) {
	const keys = [];

	for (; node.parent; node = node.parent) keys.unshift(node.key);
	return keys;
}
