// SPDX-License-Identifier: GPL-2.0-or-later
// The flame graph, drawn downwards from its root: a box for each function on a path, as wide as
// its share. Boxes are elements, so that they can be focused, searched for and read aloud; those
// too narrow to be seen are not made, which bounds their number by the screen.

import { CallTree, keysTo } from "./calltree.js";
import { h, later, section } from "./dom.js";
import { measures } from "./measures.js";
import { KINDS, kindOf, programsOf, shadeOf } from "./modules.js";
import { percent, shown, withUnit } from "./units.js";

const ROW = 20; // px
const NARROWEST = 0.8; // px; narrower boxes are left out
const LONG_START = 6; // frames that all paths share, from which on skipping them is offered
const CALLERS_SEEN = 3; // rows above the one that is zoomed to
const LABELLED = 22; // px; narrower boxes bear no name

export class Flame {
	constructor(rec, state, functions) {
		Object.assign(this, { rec, state, functions });
		this.programs = programsOf(rec.report);
		this.measures = measures(rec);
		this.zoomed = []; // keys from the root to the node drawn at full width
		this.bottomUp = false;
		this.boxes = new Map();
		this.canvas = h("div", {
			class: "flame",
			id: "flame-graph",
			role: "tree",
			"aria-label": "Flame graph",
			onclick: (e) => this.clicked(e),
			onkeydown: (e) => this.key(e),
			onmouseover: (e) => this.hovered(e),
			onfocusin: (e) => this.hovered(e),
		});
		this.scroller = h("div", { class: "flame-scroller" }, this.canvas);
		this.words = h("p", {
			class: "flame-words",
			id: "flame-words",
			"aria-live": "polite",
		});
		this.notes = h("p", { class: "note", id: "flame-notes" });
		this.element = section(
			"flame",
			"Flame graph",
			this.controls(),
			this.scroller,
			this.words,
			this.notes,
			this.legend(),
		);
		state.on(
			["from", "to", "measure"],
			later(() => this.compute(), 30),
		);
	}

	controls() {
		const { state } = this;
		const choice = h(
			"select",
			{ id: "measure", onchange: () => state.set({ measure: choice.value }) },
			this.measures.map(({ id, label, help }) =>
				h(
					"option",
					{ value: id, title: help, selected: id === state.measure },
					label,
				),
			),
		);
		const direction = (up, label, help) =>
			h(
				"label",
				{ title: help },
				h("input", {
					type: "radio",
					name: "direction",
					value: up ? "up" : "down",
					checked: up === this.bottomUp,
					onchange: () => {
						this.bottomUp = up;
						this.zoomed = [];
						this.compute();
					},
				}),
				label,
			);

		this.searchBox = h("input", {
			type: "search",
			id: "flame-search",
			placeholder: "Search (/)",
			"aria-label": "Search functions and modules",
			oninput: later(() => this.search(), 80),
		});
		this.matched = h("output", { id: "flame-matched", "aria-live": "polite" });
		this.forkButton = h(
			"button",
			{
				type: "button",
				id: "flame-fork",
				title: "zoom to where call paths first part",
				onclick: () => this.zoomTo(keysTo(this.fork())),
			},
			"Skip common start",
		);
		this.resetButton = h(
			"button",
			{
				type: "button",
				id: "flame-reset",
				disabled: true,
				onclick: () => this.zoomTo([]),
			},
			"Reset zoom",
		);
		return h(
			"div",
			{ class: "controls" },
			h("label", {}, "Show ", choice),
			h(
				"span",
				{ class: "switch", role: "radiogroup", "aria-label": "Direction" },
				direction(
					false,
					"Top-down",
					"from the program's start down to who allocates",
				),
				direction(
					true,
					"Bottom-up",
					"from who allocates up to its callers",
				),
			),
			this.searchBox,
			this.matched,
			this.forkButton,
			this.resetButton,
		);
	}

	legend() {
		return h(
			"ul",
			{ class: "legend" },
			KINDS.map(([kind, label]) =>
				h("li", {}, h("span", { class: `swatch ${kind}` }), label),
			),
		);
	}

	measure() {
		return (
			this.measures.find(({ id }) => id === this.state.measure) ??
			this.measures[0]
		);
	}

	// Where paths first part, or end.
	fork() {
		let node = this.tree.root;

		for (;;) {
			const [only, other] = this.tree.children(node);

			if (!only || other || only.value < node.value) return node;
			node = only;
		}
	}

	start() {
		this.compute();
		new ResizeObserver(
			later(() => {
				if (this.canvas.clientWidth !== this.width) this.draw();
			}, 60),
		).observe(this.scroller);
	}

	// The values of all stacks for the choices made, and their tree.
	compute() {
		const { rec, state } = this,
			{ value } = this.measure();
		const values = new Float64Array(rec.count),
			range = { from: state.from, to: state.to };

		for (let stack = 0; stack < rec.count; stack++)
			values[stack] = value(rec, stack, range);
		this.tree = new CallTree(this.functions, values, this.bottomUp);
		this.draw();
		this.search();
	}

	format(value) {
		return withUnit(value, this.measure().unit);
	}

	draw() {
		const { tree } = this,
			focused = this.canvas.contains(document.activeElement);
		const node = tree.follow(this.zoomed);
		const parts = document.createDocumentFragment();

		this.width = this.canvas.clientWidth;
		this.zoomed = keysTo(node);
		this.boxes = new Map();
		this.deepest = this.hidden = 0;
		for (let up = node.parent; up; up = up.parent)
			this.addBox(parts, up, 0, this.width, "above");
		if (node.value > 0)
			this.addSubtree(parts, node, 0, this.width, this.width / node.value);
		this.canvas.replaceChildren(parts);
		const { from, to } = this.state;

		this.canvas.dataset.drawn = `${this.measure().id} ${from} ${to}`;
		this.canvas.style.height = `${(this.deepest + 1) * ROW}px`;
		this.resetButton.disabled = !node.parent;
		this.forkButton.hidden = this.fork().depth < LONG_START;
		this.describe(node);
		this.mark();
		this.note(node);
		if (focused) this.focus(node);
	}

	addSubtree(parts, node, left, width, scale) {
		this.addBox(parts, node, left, width, "");
		for (const child of this.tree.children(node)) {
			const wide = child.value * scale;

			if (wide < NARROWEST) {
				this.hidden++;
				continue;
			}
			this.addSubtree(parts, child, left, wide, scale);
			left += wide;
		}
	}

	addBox(parts, node, left, width, extra) {
		const { tree } = this,
			name = tree.name(node);
		const module = node.key < 0 ? "" : this.functions.modules[node.key];
		const kind = node.key < 0 ? "root" : kindOf(module, this.programs);
		const box = h(
			"div",
			{
				class: `box ${kind} s${shadeOf(name)} ${extra}`,
				role: "treeitem",
				tabindex: node.parent ? -1 : 0,
				"aria-level": node.depth + 1,
				"data-value": node.value,
				"aria-label": `${shown(name)}, ${this.format(node.value)}`,
			},
			width >= LABELLED
				? node.key < 0
					? `all, ${this.format(node.value)}`
					: shown(name)
				: "",
		);

		box.style.left = `${left}px`;
		box.style.top = `${node.depth * ROW}px`;
		box.style.width = `${Math.max(width - (width > 3 ? 1 : 0), 0.5)}px`;
		box.node = node;
		this.deepest = Math.max(this.deepest, node.depth);
		this.boxes.set(node, box);
		parts.append(box);
	}

	note(node) {
		const { label, help } = this.measure();
		const narrow = `${this.hidden} boxes are too narrow to be drawn; zoom in.`;
		const keys = "Click or press Enter to zoom, arrow keys to walk, Escape to go back.";

		this.notes.textContent =
			node.value > 0
				? `${label}: ${help}. ${this.hidden ? narrow : ""} ${keys}`
				: `${label}: nothing to show in this range.`;
	}

	describe(node) {
		const share = percent(node.value, this.tree.root.value);
		const of =
			node.parent && node.parent.parent
				? `, ${percent(node.value, node.parent.value)} of what is above it`
				: "";
		const module = node.key < 0 ? "" : this.functions.modules[node.key];

		if (this.tree.root.value <= 0) {
			this.words.textContent = "";
			return;
		}
		this.words.replaceChildren(
			h("strong", {}, shown(this.tree.name(node))),
			module ? ` in ${shown(module)}` : "",
			`: ${this.format(node.value)}, ${share}${of} `,
			node.key < 0
				? ""
				: h(
						"button",
						{
							type: "button",
							class: "link",
							onclick: () =>
								this.state.set({
									filter: this.tree.name(
										node,
									),
								}),
						},
						"list its call paths",
					),
		);
	}

	hovered(event) {
		const { node } = event.target;

		if (node) this.describe(node);
	}

	clicked(event) {
		const { node } = event.target;

		if (node) this.zoomTo(keysTo(node));
	}

	zoomTo(keys) {
		this.zoomed = keys;
		this.draw();
		this.scroller.scrollTop = (keys.length - CALLERS_SEEN) * ROW;
	}

	focus(node) {
		const box = this.boxes.get(node);

		if (!box) return;
		for (const other of this.canvas.querySelectorAll("[tabindex='0']"))
			other.tabIndex = -1;
		box.tabIndex = 0;
		box.focus({ preventScroll: false });
	}

	// Where an arrow key leads from a node; only to what is drawn.
	neighbour(node, key) {
		const beside = (step) => {
			const siblings = node.parent ? this.tree.children(node.parent) : [node];

			return siblings[siblings.indexOf(node) + step];
		};

		switch (key) {
			case "ArrowDown":
				return this.tree.children(node)[0];
			case "ArrowUp":
				return node.parent;
			case "ArrowRight":
				return beside(1);
			case "ArrowLeft":
				return beside(-1);
			case "Home":
				return this.tree.root;
			default:
				return undefined;
		}
	}

	key(event) {
		const { node } = event.target;

		if (!node || event.ctrlKey || event.altKey || event.metaKey) return;
		if (event.key === "Enter" || event.key === " ") this.zoomTo(keysTo(node));
		else if (
			(event.key === "Escape" || event.key === "Backspace") &&
			this.zoomed.length
		)
			this.zoomTo(this.zoomed.slice(0, -1));
		else if (this.neighbour(node, event.key))
			this.focus(this.neighbour(node, event.key));
		else return;
		event.preventDefault();
	}

	search() {
		const text = this.searchBox.value.trim();

		this.found = text ? this.functions.matching(text) : null;
		this.mark();
		if (!this.found) {
			this.matched.textContent = "";
			return;
		}
		let sum = 0;

		for (const stack of this.tree.root.stacks)
			if (this.functions.hasAny(stack, this.found))
				sum += this.tree.values[stack];
		this.matched.textContent =
			`${this.format(sum)} matched` +
			(this.tree.root.value > 0 ? `, ${percent(sum, this.tree.root.value)}` : "");
	}

	mark() {
		this.canvas.classList.toggle("searching", Boolean(this.found));
		for (const [node, box] of this.boxes)
			box.classList.toggle(
				"found",
				Boolean(this.found && node.key >= 0 && this.found[node.key]),
			);
	}
}
