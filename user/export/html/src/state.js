// SPDX-License-Identifier: GPL-2.0-or-later
// What the reader of the page has chosen; views listen for what concerns them.

export class State {
	constructor(initial) {
		Object.assign(this, initial);
		this.listeners = [];
	}

	// Calls f when one of the named choices has changed.
	on(names, f) {
		this.listeners.push({ names, f });
	}

	set(changes) {
		const changed = Object.keys(changes).filter((name) => this[name] !== changes[name]);

		Object.assign(this, changes);
		for (const { names, f } of this.listeners)
			if (names.some((name) => changed.includes(name))) f(this);
	}
}
