// SPDX-License-Identifier: GPL-2.0-or-later
// The page: reads its numbers, builds the views, and draws those with a size of their own once
// they are in place.

import { Functions } from "./calltree.js";
import { about, details } from "./details.js";
import { h } from "./dom.js";
import { Flame } from "./flame.js";
import { Recording } from "./recording.js";
import { State } from "./state.js";
import { summary } from "./summary.js";
import { Table } from "./table.js";
import { themeButton } from "./theme.js";
import { Timeline } from "./timeline.js";
import { duration, shown } from "./units.js";

/* global LIBRARIES: put in by build.mjs */

const VIEWS = [
	["summary", "Summary"],
	["timeline", "Timeline"],
	["flame", "Flame graph"],
	["paths", "Call paths"],
	["account", "Memory"],
	["reclaim", "Reclaim"],
	["losses", "Losses"],
	["cost", "Cost"],
];

function title({ targets, duration_s: watched }) {
	const [first] = targets;
	const who = !first
		? "nothing"
		: targets.length === 1
			? `${shown(first.comm)}, pid ${first.pid}`
			: `${shown(first.comm)} and ${targets.length - 1} more`;

	return { who, watched: `watched for ${duration(watched)}` };
}

function header(report, button) {
	const { who, watched } = title(report);

	document.title = `${who} \u2013 heapsonde`;
	return h(
		"header",
		{},
		h(
			"div",
			{ class: "brand" },
			h("span", { class: "logo" }, "heapsonde"),
			h("h1", {}, who),
			h("span", { class: "note" }, watched),
		),
		button,
	);
}

function navigation() {
	return h(
		"nav",
		{ "aria-label": "Parts of the report" },
		VIEWS.filter(([id]) => document.getElementById(id)).map(([id, label]) =>
			h("a", { href: `#${id}` }, label),
		),
	);
}

// "/" goes to the search, as in less and on many pages.
function shortcuts(flame) {
	document.addEventListener("keydown", (event) => {
		const typing = event.target.closest(
			"input:not([type=range]):not([type=radio]), select",
		);

		if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey)
			return;
		flame.searchBox.focus();
		event.preventDefault();
	});
}

function start() {
	const rec = new Recording(JSON.parse(document.getElementById("data").textContent));
	const measure = rec.report.mode === "growth" ? "resident_bytes" : "live_bytes";
	const state = new State({ from: 0, to: rec.last, measure, filter: "" });
	const timeline = new Timeline(rec, state),
		table = new Table(rec, state);
	const flame = new Flame(rec, state, new Functions(rec));
	const button = themeButton(() => timeline.plot && timeline.draw());
	const main = h(
		"main",
		{ id: "main", tabindex: -1 },
		summary(rec),
		timeline.element,
		flame.element,
		table.element,
		details(rec),
		about(LIBRARIES),
	);

	document.getElementById("app").append(header(rec.report, button), main);
	main.before(navigation());
	timeline.start();
	flame.start();
	table.start();
	shortcuts(flame);
	document.documentElement.dataset.ready = Math.round(performance.now());
}

start();
