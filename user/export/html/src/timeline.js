// SPDX-License-Identifier: GPL-2.0-or-later
// RSS, live bytes, the limit and reclaim events over time, and the choice of a range: by
// dragging over the chart, or with the two sliders below it.

import uPlot from "uplot";
import { h, later, section } from "./dom.js";
import { colour } from "./theme.js";
import { bytes, duration, shown, slope } from "./units.js";

const HEIGHT = 260;
const FAR = 3; // a limit so many times above everything else flattens the rest
const DENSE = 400; // reclaim events beyond are drawn as one where they meet

function seconds(s, step) {
	return s < 60 && step < 1
		? `${s.toFixed(1)} s`
		: s < 60
			? `${Math.round(s)} s`
			: duration(s);
}

// Ticks at round binary sizes.
function byteIncrements() {
	const steps = [];

	for (let unit = 1; unit < 2 ** 60; unit *= 1024)
		for (const n of [1, 2, 5, 10, 20, 50, 100, 200, 500]) steps.push(n * unit);
	return steps;
}

const SECONDS = [
	0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800,
	43200, 86400, 172800, 604800,
];

function eventWords({ t_s: at, kind, bytes: n, detail }) {
	const words = `${seconds(at, 0.1)}: ${shown(kind)} gave back ${bytes(n)}`;

	return detail ? `${words} (${shown(detail)})` : words;
}

export class Timeline {
	constructor(rec, state) {
		Object.assign(this, { rec, state });
		this.samples = rec.report.timeline;
		this.marks = rec.report.marks ?? [];
		this.events = rec.report.reclaim;
		this.chart = h("div", { class: "chart", id: "chart", role: "img" });
		this.tip = h("div", { class: "tip", hidden: true });
		this.chart.append(this.tip);
		this.element = section(
			"timeline",
			"Timeline",
			this.intro(),
			this.chart,
			this.sliders(),
			this.markButtons(),
		);
		state.on(["from", "to"], () => this.showRange());
	}

	largest() {
		return this.samples.reduce(
			(most, s) => Math.max(most, s.live_bytes, s.rss_bytes ?? 0),
			1,
		);
	}

	intro() {
		const { limit_bytes: limit, limit_kind: kind } = this.rec.report.memory;
		const far = limit !== null && limit > FAR * this.largest();

		this.withLimit = limit !== null && !far;
		if (limit === null)
			return h("p", { class: "note" }, "Drag over the chart to select a range.");
		const box = h("input", {
			type: "checkbox",
			id: "with-limit",
			checked: this.withLimit,
			onchange: () => {
				this.withLimit = box.checked;
				this.draw();
			},
		});

		return h(
			"div",
			{ class: "note" },
			"Drag over the chart to select a range. ",
			h(
				"label",
				{},
				box,
				` show the limit of ${bytes(limit)}${kind ? ` (${kind})` : ""}` +
					(far ? ", far above" : ""),
			),
		);
	}

	slider(which, label) {
		const { rec, state } = this;
		const input = h("input", {
			type: "range",
			id: `range-${which}`,
			min: 0,
			max: rec.last,
			step: 1,
			value: state[which],
			"aria-label": label,
			oninput: () => {
				const n = Number(input.value);

				if (which === "from")
					state.set({ from: Math.min(n, state.to - 1) });
				else state.set({ to: Math.max(n, state.from + 1) });
				input.value = state[which];
			},
		});

		this[`${which}Slider`] = input;
		return input;
	}

	sliders() {
		const reset = h(
			"button",
			{
				type: "button",
				id: "range-reset",
				onclick: () => this.state.set({ from: 0, to: this.rec.last }),
			},
			"Whole time",
		);

		this.reset = reset;
		this.words = h("output", { id: "range-words", "aria-live": "polite" });
		return h(
			"div",
			{ class: "range" },
			h("label", {}, "from ", this.slider("from", "Begin of the range")),
			h("label", {}, "to ", this.slider("to", "End of the range")),
			this.words,
			reset,
		);
	}

	// Each chooses the time from its mark to the next one.
	markButtons() {
		const { marks, rec, state } = this;

		if (!marks.length) return "";
		return h(
			"p",
			{ class: "marks", id: "marks" },
			"Marks: ",
			marks.map(({ t_s: at, name }, i) =>
				h(
					"button",
					{
						type: "button",
						title: "choose the time from here to the next mark",
						onclick: () => {
							const from = Math.min(
								rec.momentAt(at),
								rec.last - 1,
							);
							const to = marks[i + 1]
								? rec.momentAt(marks[i + 1].t_s)
								: rec.last;

							state.set({
								from,
								to: Math.max(to, from + 1),
							});
						},
					},
					`${shown(name)} ${seconds(at, 0.1)}`,
				),
			),
		);
	}

	// Sizes come from the layout: called once the element is in the page.
	start() {
		this.draw();
		new ResizeObserver(
			later(() => {
				if (this.plot && this.plot.width !== this.chart.clientWidth)
					this.plot.setSize({
						width: this.chart.clientWidth,
						height: HEIGHT,
					});
			}, 50),
		).observe(this.chart);
	}

	data() {
		const { limit_bytes: limit } = this.rec.report.memory;
		const columns = [
			this.samples.map((s) => s.t_s),
			this.samples.map((s) => s.rss_bytes),
			this.samples.map((s) => s.live_bytes),
		];

		if (this.withLimit) columns.push(this.samples.map(() => limit));
		return columns;
	}

	series() {
		const value = (_, v) => (v === null || v === undefined ? "\u2014" : bytes(v));
		const line = (label, name, more) => ({
			label,
			value,
			width: 2,
			stroke: colour(name),
			points: { show: this.samples.length < 2 },
			...more,
		});
		const all = [
			{
				label: "time",
				value: (_, v) =>
					v === null || v === undefined ? "\u2014" : seconds(v, 0.1),
			},
			line("RSS", "rss", { fill: colour("rss-fill") }),
			line("live", "live", { fill: colour("live-fill") }),
		];

		return this.withLimit ? [...all, line("limit", "limit", { dash: [6, 4] })] : all;
	}

	axes() {
		const common = {
			stroke: colour("muted"),
			grid: { stroke: colour("grid"), width: 1 },
			ticks: { stroke: colour("grid"), width: 1 },
			font: "12px system-ui, sans-serif",
		};

		return [
			{
				...common,
				incrs: SECONDS,
				space: 70,
				values: (_, ticks, a, b, step) =>
					ticks.map((t) => seconds(t, step)),
			},
			{
				...common,
				size: 78,
				incrs: byteIncrements(),
				values: (_, ticks) =>
					ticks.map((n) => bytes(n).replace(".0 ", " ")),
			},
		];
	}

	draw() {
		const selected = !this.isWhole();

		this.plot?.destroy();
		this.plot = new uPlot(
			{
				width: this.chart.clientWidth || 600,
				height: HEIGHT,
				scales: {
					x: {
						time: false,
						range: [
							0,
							Math.max(
								this.rec.times[this.rec.last],
								0.1,
							),
						],
					},
					y: { range: (_, low, high) => [0, (high || 1) * 1.08] },
				},
				series: this.series(),
				axes: this.axes(),
				legend: { live: true },
				cursor: {
					drag: { x: true, y: false, setScale: false },
					y: false,
					bind: {
						dblclick: () => () =>
							this.state.set({
								from: 0,
								to: this.rec.last,
							}),
					},
				},
				hooks: {
					setSelect: [() => this.brushed()],
					draw: [(u) => this.drawEvents(u), (u) => this.drawMarks(u)],
					setCursor: [(u) => this.point(u)],
					setSize: [() => this.showRange()],
				},
			},
			this.data(),
			this.chart,
		);
		this.chart.setAttribute("aria-label", this.description());
		if (selected) this.showRange();
		else this.words.textContent = this.rangeWords();
	}

	description() {
		const first = this.samples[0],
			last = this.samples[this.samples.length - 1];

		if (!first) return "No samples over time.";
		const went = (name) =>
			last[name] === null
				? "unknown"
				: `from ${bytes(first[name] ?? 0)} to ${bytes(last[name])}`;

		return (
			`Over ${duration(last.t_s)}: live bytes ${went("live_bytes")}, ` +
			`RSS ${went("rss_bytes")}, ${this.events.length} reclaim events.`
		);
	}

	drawMarks(u) {
		const { ctx, bbox } = u,
			ratio = devicePixelRatio;

		ctx.save();
		ctx.strokeStyle = ctx.fillStyle = colour("muted");
		ctx.lineWidth = ratio;
		ctx.textAlign = "left";
		ctx.font = `${11 * ratio}px system-ui, sans-serif`;
		ctx.setLineDash([3 * ratio, 3 * ratio]);
		for (const { t_s: at, name } of this.marks) {
			const x = Math.round(u.valToPos(at, "x", true));

			ctx.beginPath();
			ctx.moveTo(x, bbox.top);
			ctx.lineTo(x, bbox.top + bbox.height);
			ctx.stroke();
			ctx.fillText(
				shown(name).slice(0, 24),
				x + 4 * ratio,
				bbox.top + 11 * ratio,
			);
		}
		ctx.restore();
	}

	// Reclaim: a mark at the top for each event, as deep as what it gave back.
	drawEvents(u) {
		const most = this.events.reduce((n, e) => Math.max(n, e.bytes), 1);
		const { ctx, bbox } = u,
			ratio = devicePixelRatio;
		let last = -Infinity;

		ctx.save();
		ctx.fillStyle = colour("reclaim");
		for (const event of this.events) {
			const x = Math.round(u.valToPos(event.t_s, "x", true));

			if (this.events.length > DENSE && x - last < ratio) continue;
			last = x;
			ctx.globalAlpha = 0.85;
			ctx.fillRect(
				x - ratio,
				bbox.top,
				2 * ratio,
				(8 + (28 * Math.max(0, event.bytes)) / most) * ratio,
			);
			ctx.globalAlpha = 0.12;
			ctx.fillRect(x - ratio / 2, bbox.top, ratio, bbox.height);
		}
		ctx.restore();
	}

	point(u) {
		const near = this.events.filter(
			(e) => Math.abs(u.valToPos(e.t_s, "x") - u.cursor.left) <= 4,
		);

		this.tip.hidden = !near.length || u.cursor.left < 0;
		if (this.tip.hidden) return;
		this.tip.replaceChildren(
			...near.slice(0, 5).map((e) => h("div", {}, eventWords(e))),
			...(near.length > 5 ? [h("div", {}, `and ${near.length - 5} more`)] : []),
		);
		this.tip.style.left = `${Math.min(
			u.cursor.left + u.bbox.left / devicePixelRatio + 12,
			this.chart.clientWidth - this.tip.offsetWidth,
		)}px`;
	}

	isWhole() {
		return this.state.from === 0 && this.state.to === this.rec.last;
	}

	// What was brushed snaps to moments, between which nothing is known.
	brushed() {
		const { plot, rec, state } = this,
			{ left, width } = plot.select;

		if (this.setting || width < 2) return;
		const from = rec.momentAt(plot.posToVal(left, "x"));
		const to = rec.momentAt(plot.posToVal(left + width, "x"));

		state.set(
			from < to
				? { from, to }
				: from > 0
					? { from: from - 1, to: from }
					: { from: 0, to: 1 },
		);
		this.showRange();
	}

	showRange() {
		const { plot, rec, state } = this;

		this.fromSlider.value = state.from;
		this.toSlider.value = state.to;
		this.fromSlider.setAttribute("aria-valuetext", duration(rec.times[state.from]));
		this.toSlider.setAttribute("aria-valuetext", duration(rec.times[state.to]));
		this.words.textContent = this.rangeWords();
		this.reset.disabled = this.isWhole();
		if (!plot) return;
		const left = plot.valToPos(rec.times[state.from], "x");
		const right = plot.valToPos(rec.times[state.to], "x");

		this.setting = true;
		plot.setSelect(
			this.isWhole()
				? { left: 0, width: 0, top: 0, height: 0 }
				: {
						left,
						width: right - left,
						top: 0,
						height: plot.over.clientHeight,
					},
			false,
		);
		this.setting = false;
	}

	rangeWords() {
		const { rec, state } = this,
			from = rec.times[state.from],
			to = rec.times[state.to];
		let grown = 0;

		// What a profile says first was there before: no growth.
		for (let stack = 0; stack < rec.count; stack++)
			grown +=
				rec.at("live_bytes", stack, state.to) -
				rec.at(
					"live_bytes",
					stack,
					rec.isProfile(stack) ? Math.max(1, state.from) : state.from,
				);
		const words = this.isWhole()
			? `the whole ${duration(to)}`
			: `${seconds(from, 0.1)} to ${seconds(to, 0.1)}`;

		return (
			`${words}: live bytes ${grown < 0 ? "\u2212" : "+"}` +
			`${bytes(Math.abs(grown))}, ${slope(to > from ? grown / (to - from) : 0)}`
		);
	}
}
