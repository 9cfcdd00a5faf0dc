// SPDX-License-Identifier: GPL-2.0-or-later
// The call paths, sortable and filtered; a row opens to show its frames. Only the rows in
// sight exist.

import {
	elementScroll,
	measureElement,
	observeElementOffset,
	observeElementRect,
	Virtualizer,
} from "@tanstack/virtual-core";
import { COLUMNS } from "./columns.js";
import { h, later, section, svg } from "./dom.js";
import { kindOf, programsOf } from "./modules.js";
import { pathsMatching } from "./paths.js";
import { nameOf, placeOf } from "./recording.js";
import { grouped, shown } from "./units.js";

const ROW = 46; // px, of a closed row
const TREND = { width: 88, height: 24 };

const STATUS = {
	truncated: "deeper than --max-depth: callers further up were cut",
	guessed: "some callers may be missing above",
	failed: "callers from here on are unknown",
	no_mapping: "callers from here on are unknown: the code there was not known yet",
	lost: "the call path was lost on the way",
};

// The live bytes of a stack over the whole time, as steps.
function trend(rec, stack) {
	const { width, height } = TREND,
		end = rec.times[rec.last] || 1;
	const first = rec.first[stack],
		after = rec.first[stack + 1],
		live = rec.values.live_bytes;
	let most = 1,
		path = `M0 ${height}`;

	for (let i = first; i < after; i++) most = Math.max(most, live[i]);
	for (let i = first; i < after; i++) {
		const x = ((width * rec.times[rec.moments[i]]) / end).toFixed(1);

		path += `H${x}V${(height - ((height - 2) * live[i]) / most).toFixed(1)}`;
	}
	return svg(
		"svg",
		{
			class: "trend",
			width,
			height,
			viewBox: `0 0 ${width} ${height}`,
			"aria-hidden": "true",
		},
		svg("path", { class: "area", d: `${path}H${width}V${height}Z` }),
		svg("path", { class: "line", d: `${path}H${width}` }),
	);
}

export class Table {
	constructor(rec, state) {
		Object.assign(this, { rec, state });
		this.programs = programsOf(rec.report);
		this.sort = { id: "live_bytes", down: true };
		this.open = new Set();
		this.rows = new Map(); // stack to the element of its row
		this.active = -1; // stack whose row has, or gets, the focus
		this.values = {};
		this.element = section("paths", "Call paths", this.controls(), this.grid());
		state.on(
			["from", "to"],
			later(() => this.compute(), 30),
		);
		state.on(["filter"], () => this.filterFromOutside());
	}

	controls() {
		this.filter = h("input", {
			type: "search",
			id: "path-filter",
			placeholder: "Filter by function, file or module",
			"aria-label": "Filter call paths by function, file or module",
			oninput: later(() => this.arrange(), 80),
		});
		this.shownCount = h("output", { id: "path-count", "aria-live": "polite" });
		return h("div", { class: "controls" }, this.filter, this.shownCount);
	}

	grid() {
		this.headers = new Map(COLUMNS.map((column) => [column.id, this.header(column)]));
		this.body = h("div", { class: "rows", role: "rowgroup" });
		this.scroller = h(
			"div",
			{ class: "scroller", id: "path-rows", role: "presentation" },
			h(
				"div",
				{ class: "row head", role: "row", "aria-rowindex": 1 },
				h(
					"span",
					{ class: "cell path", role: "columnheader" },
					"Call path",
				),
				h(
					"span",
					{ class: "cell trend-cell", role: "columnheader" },
					"Trend",
				),
				[...this.headers.values()],
			),
			this.body,
		);
		this.treegrid = h(
			"div",
			{
				class: "grid",
				role: "treegrid",
				"aria-label": "Call paths",
				onkeydown: (e) => this.key(e),
				onclick: (e) => this.clicked(e),
			},
			this.scroller,
		);
		return this.treegrid;
	}

	header({ id, label, help }) {
		return h(
			"span",
			{ class: `cell number c-${id}`, role: "columnheader", title: help },
			h(
				"button",
				{
					type: "button",
					onclick: () => {
						this.sort = {
							id,
							down:
								this.sort.id === id
									? !this.sort.down
									: true,
						};
						this.arrange();
					},
				},
				label,
			),
		);
	}

	start() {
		const { scroller } = this;

		this.virtual = new Virtualizer({
			count: 0,
			getScrollElement: () => scroller,
			estimateSize: () => ROW,
			overscan: 6,
			scrollToFn: elementScroll,
			measureElement,
			observeElementRect,
			observeElementOffset,
			getItemKey: (i) => this.order[i],
			scrollPaddingStart: ROW,
			onChange: () => this.render(),
		});
		this.order = [];
		this.virtual._didMount();
		this.compute();
	}

	filterFromOutside() {
		this.filter.value = this.state.filter;
		this.arrange();
		this.element.scrollIntoView({ block: "start" });
		this.filter.focus({ preventScroll: true });
	}

	compute() {
		const { rec, state } = this,
			range = {
				from: state.from,
				to: state.to,
				whole: state.from === 0 && state.to === rec.last,
			};

		for (const { id, value } of COLUMNS) {
			const column = new Float64Array(rec.count);

			for (let stack = 0; stack < rec.count; stack++)
				column[stack] = value(rec, stack, range);
			this.values[id] = column;
		}
		this.total = this.values.live_bytes.reduce((sum, v) => sum + v, 0);
		this.arrange();
	}

	// Which stacks stand in the table, in which order.
	arrange() {
		const { rec, sort } = this,
			by = this.values[sort.id],
			sign = sort.down ? -1 : 1;
		const wanted = pathsMatching(rec, this.filter.value),
			order = [];

		for (let stack = 0; stack < rec.count; stack++)
			if (!wanted || wanted[stack]) order.push(stack);
		order.sort((a, b) => sign * (by[a] - by[b]) || a - b);
		this.order = order;
		for (const [id, header] of this.headers)
			header.setAttribute(
				"aria-sort",
				id !== sort.id ? "none" : sort.down ? "descending" : "ascending",
			);
		this.shownCount.textContent = wanted
			? `${grouped(order.length)} of ${grouped(rec.count)} call paths`
			: `${grouped(rec.count)} call paths`;
		this.treegrid.setAttribute("aria-rowcount", order.length + 1);
		if (!order.includes(this.active)) this.active = order[0] ?? -1;
		this.rows.clear();
		this.body.replaceChildren();
		this.virtual.setOptions({ ...this.virtual.options, count: order.length });
		this.virtual._willUpdate();
		this.virtual.measure();
		this.render();
	}

	render() {
		const items = this.virtual.getVirtualItems(),
			wanted = new Set();

		this.body.style.height = `${this.virtual.getTotalSize()}px`;
		for (const { index, start } of items) {
			const stack = this.order[index];
			let row = this.rows.get(stack);

			wanted.add(stack);
			if (!row) {
				row = this.row(stack, index);
				this.rows.set(stack, row);
				this.body.append(row);
				this.virtual.measureElement(row);
			}
			row.style.transform = `translateY(${start}px)`;
		}
		for (const [stack, row] of this.rows) {
			if (wanted.has(stack)) continue;
			row.remove();
			this.rows.delete(stack);
		}
	}

	row(stack, index) {
		const open = this.open.has(stack),
			{ total, values, rec } = this;
		const row = h(
			"div",
			{
				class: `item${open ? " open" : ""}`,
				role: "row",
				"data-index": index,
				"data-stack": stack,
				"data-id": rec.stacks.id[stack],
				"aria-rowindex": index + 2,
				"aria-expanded": String(open),
				tabindex: stack === this.active ? 0 : -1,
			},
			h(
				"div",
				{ class: "row", role: "presentation" },
				this.pathCell(stack),
				h(
					"span",
					{ class: "cell trend-cell", role: "gridcell" },
					trend(rec, stack),
				),
				COLUMNS.map(({ id, text }) =>
					h(
						"span",
						{
							class: `cell number c-${id}`,
							role: "gridcell",
							"data-value": values[id][stack],
						},
						text(values[id][stack], total),
					),
				),
			),
		);

		if (open) row.append(this.frames(stack));
		return row;
	}

	pathCell(stack) {
		const { rec } = this,
			[leaf, ...callers] = rec
				.framesOf(stack)
				.slice(0, 4)
				.map((i) => rec.frame(i));
		const kind = rec.stacks.kind[stack],
			{ targets } = rec.report,
			{ pid } = targets[rec.stacks.target[stack]];

		return h(
			"span",
			{ class: "cell path", role: "gridcell" },
			h(
				"span",
				{ class: "leaf" },
				h("span", { class: "chevron", "aria-hidden": "true" }),
				h(
					"span",
					{ class: "name" },
					leaf ? shown(nameOf(leaf)) : "[no call path]",
				),
				kind === "heap" ? null : h("span", { class: "badge" }, kind),
				targets.length < 2
					? null
					: h("span", { class: "badge" }, `pid ${pid}`),
			),
			h(
				"span",
				{ class: "callers" },
				callers.length
					? `\u2190 ${callers
							.map((f) => shown(nameOf(f)))
							.join(" \u2190 ")}`
					: leaf
						? shown(leaf.module)
						: "",
			),
		);
	}

	frames(stack) {
		const { rec } = this,
			sure = Math.round(100 * rec.stacks.growth_confidence[stack]),
			status = STATUS[rec.stacks.status[stack]];
		const line = (frame) =>
			h(
				"li",
				{},
				h("span", {
					class: `swatch ${kindOf(frame.module, this.programs)}`,
				}),
				h("code", { class: "name" }, shown(nameOf(frame))),
				frame.inlined ? h("span", { class: "badge" }, "inlined") : null,
				h(
					"span",
					{
						class: "place",
						title: frame.file ? shown(frame.file) : "",
					},
					shown(placeOf(frame)),
				),
				h(
					"span",
					{ class: "module" },
					frame.module
						? `${shown(frame.module)}+${frame.address}`
						: frame.address,
				),
			);

		return h(
			"div",
			{ class: "frames", role: "presentation" },
			h(
				"ol",
				{},
				rec.framesOf(stack).map((i) => line(rec.frame(i))),
			),
			status ? h("p", { class: "note" }, `[${status}]`) : null,
			h(
				"p",
				{ class: "note" },
				`stack ${rec.stacks.id[stack]}; growth is ${sure} % sure`,
			),
		);
	}

	toggle(stack, open = !this.open.has(stack)) {
		const row = this.rows.get(stack);

		if (open === this.open.has(stack)) return;
		if (open) this.open.add(stack);
		else this.open.delete(stack);
		if (!row) return;
		row.classList.toggle("open", open);
		row.setAttribute("aria-expanded", String(open));
		row.querySelector(".frames")?.remove();
		if (open) row.append(this.frames(stack));
		this.virtual.measureElement(row);
	}

	clicked(event) {
		const row = event.target.closest(".item");

		if (!row || event.target.closest(".frames") || String(getSelection())) return;
		this.activate(Number(row.dataset.stack));
		this.toggle(this.active);
	}

	// Gives a row the focus, bringing it into sight first.
	activate(stack) {
		const before = this.rows.get(this.active);

		if (before) before.tabIndex = -1;
		this.active = stack;
		if (!this.rows.has(stack)) {
			this.virtual.scrollToIndex(this.order.indexOf(stack));
			requestAnimationFrame(() =>
				requestAnimationFrame(() => this.focusActive()),
			);
		} else {
			this.virtual.scrollToIndex(this.order.indexOf(stack), { align: "auto" });
			this.focusActive();
		}
	}

	focusActive() {
		const row = this.rows.get(this.active);

		if (row) {
			row.tabIndex = 0;
			row.focus({ preventScroll: true });
		}
	}

	key(event) {
		if (!event.target.classList.contains("item")) return;
		const at = this.order.indexOf(this.active),
			end = this.order.length - 1;
		const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW) - 2);
		const steps = {
			ArrowDown: at + 1,
			ArrowUp: at - 1,
			PageDown: at + page,
			PageUp: at - page,
			Home: 0,
			End: end,
		};

		if (event.key in steps)
			this.activate(this.order[Math.min(end, Math.max(0, steps[event.key]))]);
		else if (event.key === "Enter" || event.key === " ") this.toggle(this.active);
		else if (event.key === "ArrowRight" || event.key === "ArrowLeft")
			this.toggle(this.active, event.key === "ArrowRight");
		else return;
		event.preventDefault();
	}
}
