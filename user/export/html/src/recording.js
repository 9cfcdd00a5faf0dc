// SPDX-License-Identifier: GPL-2.0-or-later
// The numbers of the page (user/export/html.c writes them): the report's facts as in
// `report --json`, and stacks, frames and their history in columns.

// Sums of differences: each stack's begin at 0.
function summed(differences, first, out) {
	for (let stack = 0; stack + 1 < first.length; stack++) {
		let value = 0;

		for (let i = first[stack]; i < first[stack + 1]; i++)
			out[i] = value += differences[i];
	}
	return out;
}

function starts(lengths) {
	const first = new Uint32Array(lengths.length + 1);

	for (let i = 0; i < lengths.length; i++) first[i + 1] = first[i] + lengths[i];
	return first;
}

export class Recording {
	constructor({ report, columns }) {
		const { history } = columns;

		this.report = report;
		this.strings = columns.strings;
		this.metrics = columns.metrics;
		this.frames = columns.frames;
		this.nodes = columns.nodes;
		this.stacks = columns.stacks;
		this.count = columns.stacks.count;
		this.times = history.times;
		this.last = history.times.length - 1;
		this.first = starts(history.changes);
		this.moments = summed(
			history.moment,
			this.first,
			new Uint32Array(history.moment.length),
		);
		this.values = {};
		for (const { name } of this.metrics)
			if (history[name])
				this.values[name] = summed(
					history[name],
					this.first,
					new Float64Array(history[name].length),
				);
	}

	// Index of the last change of a stack at or before a moment; below first: none yet.
	change(stack, moment) {
		let low = this.first[stack],
			high = this.first[stack + 1];

		while (low < high) {
			const middle = (low + high) >> 1;

			if (this.moments[middle] <= moment) low = middle + 1;
			else high = middle;
		}
		return low - 1;
	}

	// Whether a stack is of the program's own profile, which counts from its start.
	isProfile(stack) {
		return this.stacks.kind[stack] === "profile";
	}

	hasProfile() {
		return this.stacks.kind.includes("profile");
	}

	// A counted metric of a stack at a moment.
	at(metric, stack, moment) {
		const i = this.change(stack, moment);

		return i < this.first[stack] ? 0 : this.values[metric][i];
	}

	// Numbers of a stack's frames, who called the allocator first.
	framesOf(stack) {
		const frames = [];

		for (
			let node = this.stacks.node[stack];
			node > 0;
			node -= this.nodes.caller[node - 1]
		)
			frames.push(this.nodes.frame[node - 1]);
		return frames;
	}

	string(number) {
		return number < 0 ? null : this.strings[number];
	}

	frame(i) {
		const { frames } = this;

		return {
			function: this.string(frames.function[i]),
			module: this.string(frames.module[i]) ?? "",
			file: this.string(frames.file[i]),
			line: frames.line[i],
			inlined: frames.inlined[i] === 1,
			address: `0x${frames.address[i]}`,
		};
	}

	// The moment nearest to a time.
	momentAt(t) {
		const { times } = this;
		let i = times.findIndex((time) => time >= t);

		if (i < 0) return this.last;
		if (i > 0 && t - times[i - 1] < times[i] - t) i--;
		return i;
	}
}

// What a frame is called: its function, or where its code stands.
export function nameOf(frame) {
	return (
		frame.function ??
		(frame.module ? `${frame.module}+${frame.address}` : frame.address)
	);
}

// "cache.c:120", or nothing where the line is not known.
export function placeOf(frame) {
	if (!frame.file) return "";
	return (
		frame.file.slice(frame.file.lastIndexOf("/") + 1) +
		(frame.line ? `:${frame.line}` : "")
	);
}
