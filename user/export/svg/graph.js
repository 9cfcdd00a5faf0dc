// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a flame graph does in a browser: fits itself to the window, zooms,
 * searches, tells of the box under the pointer. It draws anew from the data
 * behind the picture, which has boxes too narrow to be in the still one.
 */
"use strict";
(() => {
const NS = "http://www.w3.org/2000/svg";
const svg = document.documentElement;
const byId = id => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const { labels, modules, files, boxes, comparison } = data;
/* The numbers of one box, in their order. */
const DEPTH = 0, LABEL = 1, X = 2, WIDTH = 3, SELF = 4, NOW = 5, OLD = 6, CHANGE = 7;
const STRIDE = comparison ? 8 : 5;
const COUNT = boxes.length / STRIDE;
const { pad, top, bottom, row, box, gap, character, narrowest } = data.layout;
const state = { zoom: 0, pattern: "", found: null, chosen: -1, icicle: data.icicle };
const of = (i, what) => boxes[i * STRIDE + what];

/* Numbers, as heapsonde prints them everywhere. */

function scaled(value, step, units) {
	let unit = 0;
	value /= step;
	while (Math.abs(value) >= step - 0.05 && unit + 1 < units.length) {
		value /= step;
		unit++;
	}
	return `${value.toFixed(1)} ${units[unit]}`;
}

function quantity(value) {
	if (data.unit === "bytes")
		return Math.abs(value) < 1024 ? `${value} B` :
			scaled(value, 1024, ["KiB", "MiB", "GiB", "TiB", "PiB"]);
	return value.toLocaleString("en-US");
}

function share(part, whole) {
	return `${(whole ? 100 * part / whole : 0).toFixed(1)} %`;
}

function change(value) {
	return (value > 0 ? "+" : value < 0 ? "\u2212" : "\u00b1") + quantity(Math.abs(value));
}

/* The tree: boxes stand in the order of a walk, parents first. */

function parentOf(i) {
	const depth = of(i, DEPTH);
	while (i > 0 && of(i, DEPTH) >= depth)
		i--;
	return i;
}

/* The first box that is not below i. */
function endOf(i) {
	const depth = of(i, DEPTH);
	let end = i + 1;
	while (end < COUNT && of(end, DEPTH) > depth)
		end++;
	return end;
}

/* Drawing */

function element(name, attributes, parent, text) {
	const node = document.createElementNS(NS, name);
	for (const key in attributes)
		node.setAttribute(key, attributes[key]);
	if (text !== undefined)
		node.textContent = text;
	if (parent)
		parent.appendChild(node);
	return node;
}

function fitting(label, room) {
	const [name, short] = labels[label];
	if (name.length <= room)
		return name;
	const shown = short || name;
	if (shown.length <= room)
		return shown;
	return room < 3 ? "" : [...shown].slice(0, room - 1).join("") + "\u2026";
}

function classOf(i) {
	let name = "b " + (comparison ? of(i, CHANGE) : labels[of(i, LABEL)][2]);
	if (state.found && state.found.has(of(i, LABEL)))
		name += " found";
	return name + (i === state.chosen ? " chosen" : "");
}

/* Ancestors of what is zoomed to fill the width; below it, what is wide enough. */
function visible(scale) {
	const list = [], start = of(state.zoom, X), end = endOf(state.zoom);
	for (let i = state.zoom; i > 0;) {
		i = parentOf(i);
		list.push({ i, x: 0, width: of(state.zoom, WIDTH) * scale, above: true });
	}
	list.reverse();
	for (let i = state.zoom; i < end;) {
		const width = of(i, WIDTH) * scale;
		if (width >= narrowest) {
			list.push({ i, x: (of(i, X) - start) * scale, width });
			i++;
		} else {
			i = endOf(i);
		}
	}
	return list;
}

function draw() {
	const width = Math.max(document.documentElement.clientWidth || innerWidth, 480);
	const scale = (width - 2 * pad) / (of(state.zoom, WIDTH) || 1);
	const list = visible(scale), group = byId("boxes");
	const rows = 1 + list.reduce((most, b) => Math.max(most, of(b.i, DEPTH)), 0);
	const height = top + rows * row + bottom;

	group.replaceChildren();
	for (const b of list) {
		const depth = of(b.i, DEPTH);
		const y = top + row * (state.icicle ? depth : rows - 1 - depth);
		const g = element("g", { class: classOf(b.i) + (b.above ? " above" : ""),
					 "data-i": b.i }, group);
		const shown = fitting(of(b.i, LABEL), Math.floor((b.width - 6) / character));
		const rx = b.width > 6 ? 2 : 0;
		element("rect", { x: (pad + b.x).toFixed(1), y, height: box, rx,
				  width: (b.width > 3 ? b.width - gap : b.width).toFixed(1) }, g);
		if (shown)
			element("text", { x: (pad + b.x + 4).toFixed(1), y: y + 12.5 }, g, shown);
	}
	svg.setAttribute("width", width);
	svg.setAttribute("height", height);
	svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
	byId("paper").setAttribute("width", width);
	byId("paper").setAttribute("height", height);
	byId("legend").setAttribute("transform", `translate(0 ${height - bottom})`);
	byId("controls").setAttribute("x", width - pad - 460);
	byId("reset").hidden = !state.zoom;
	byId("flip").textContent = state.icicle ? "Flame" : "Icicle";
	hideTip();
}

/* What is told of a box */

function wrapped(text, room, most) {
	const lines = [];
	for (let rest = text; rest && lines.length < most; rest = rest.slice(room))
		lines.push(rest.slice(0, room));
	if (lines.join("").length < text.length)
		lines[most - 1] = lines[most - 1].slice(0, -1) + "\u2026";
	return lines;
}

function facts(i) {
	const value = comparison ? of(i, NOW) : of(i, WIDTH);
	if (comparison) {
		const old = of(i, OLD), what = !old ? ", new" : !value ? ", gone" : "";
		return [`${quantity(old)} \u2192 ${quantity(value)}`,
			`${change(value - old)}${what}`];
	}
	let line = `${quantity(value)}, ${share(value, of(0, WIDTH))} of all`;
	if (state.zoom)
		line += `, ${share(value, of(state.zoom, WIDTH))} of what is shown`;
	const self = of(i, SELF);
	return [line, self === value ? "all of it here" : self ?
		`${quantity(self)} here, the rest in what it calls` : "all of it in what it calls"];
}

function details(i) {
	const [name, , , module, file] = labels[of(i, LABEL)];
	const place = [module >= 0 ? modules[module] : "", file >= 0 ? files[file] : ""]
		.filter(Boolean).join("  ");
	return { name, place, facts: facts(i) };
}

function showTip(i, x, y) {
	const tip = byId("tip"), width = Number(svg.getAttribute("width"));
	const room = Math.max(20, Math.min(100, Math.floor((width - 60) / character)));
	const told = details(i), lines = wrapped(told.name, room, 5);
	const faint = lines.length;

	if (told.place)
		lines.push(...wrapped(told.place, room, 2));
	lines.push(...told.facts);
	tip.replaceChildren();
	const longest = Math.max(...lines.map(line => line.length));
	const w = longest * character + 18, h = lines.length * 16 + 12;
	const left = Math.min(x + 14, width - w - 6);
	/* Below the pointer unless that is out of sight. */
	const below = y + 20 + h < scrollY + innerHeight;
	const at = below ? y + 18 : Math.max(scrollY + 2, y - h - 10);
	element("rect", { x: Math.max(4, left), y: at, width: w, height: h, rx: 5 }, tip);
	lines.forEach((line, n) => element("text", {
		x: Math.max(4, left) + 9, y: at + 18 + n * 16,
		class: n >= faint && n < lines.length - told.facts.length ? "faint" : "",
	}, tip, line));
}

function hideTip() {
	byId("tip").replaceChildren();
}

/* Search: all boxes whose name, module or file matches. */

function expression(pattern) {
	/* Capitals are meant when there are any. */
	return new RegExp(pattern, pattern === pattern.toLowerCase() ? "i" : "");
}

function matching(pattern) {
	const wanted = expression(pattern), found = new Set();
	labels.forEach(([name, , , module, file], n) => {
		if (wanted.test(name) || (module >= 0 && wanted.test(modules[module])) ||
		    (file >= 0 && wanted.test(files[file])))
			found.add(n);
	});
	return found;
}

/* A match within a match counts once. */
function matchedWidth() {
	let sum = 0;
	for (let i = state.zoom, end = endOf(i); i < end;) {
		if (state.found.has(of(i, LABEL))) {
			sum += of(i, WIDTH);
			i = endOf(i);
		} else {
			i++;
		}
	}
	return sum;
}

function search(pattern) {
	let wrong = false;
	state.pattern = pattern;
	state.found = null;
	if (pattern) {
		try {
			state.found = matching(pattern);
		} catch (e) {
			wrong = true;
		}
	}
	byId("find").classList.toggle("wrong", wrong);
	svg.classList.toggle("seeking", Boolean(state.found));
	showMatched(wrong);
}

function showMatched(wrong) {
	const width = state.found ? matchedWidth() : 0;
	byId("matched").textContent = wrong ? "no regular expression" : state.found ?
		`matched ${share(width, of(state.zoom, WIDTH))}, ${quantity(width)}` : "";
}

/* The place is kept in the address: Back undoes a zoom, a link shows the same. */

function address() {
	const parts = [];
	if (state.zoom)
		parts.push(`zoom=${state.zoom}`);
	if (state.pattern)
		parts.push(`search=${encodeURIComponent(state.pattern)}`);
	return "#" + parts.join("&");
}

function follow() {
	const place = new URLSearchParams(location.hash.slice(1));
	const zoom = Number(place.get("zoom"));
	state.zoom = Number.isInteger(zoom) && zoom > 0 && zoom < COUNT ? zoom : 0;
	search(place.get("search") || "");
	if (document.activeElement !== byId("find"))
		byId("find").value = state.pattern;
	draw();
	scrollHome();
}

function zoomTo(i) {
	state.zoom = i;
	location.hash = address();
	follow();
}

/* To the root, where reading begins. */
function scrollHome() {
	scrollTo(0, state.icicle ? 0 : Number(svg.getAttribute("height")));
	stick();
}

function stick() {
	byId("head").setAttribute("transform", `translate(0 ${scrollY})`);
}

function seek(pattern) {
	search(pattern);
	try {
		history.replaceState(null, "", address());
	} catch (e) {
		/* Some places have no address to change. */
	}
	draw();
}

/* Arrow keys go from box to box as they lie on the screen. */

function neighbour(i, key) {
	const outwards = (key === "ArrowUp") !== state.icicle;
	if (key === "ArrowUp" || key === "ArrowDown") {
		if (!outwards)
			return i > 0 ? parentOf(i) : 0;
		return i + 1 < endOf(i) ? i + 1 : i;
	}
	const parent = parentOf(i), end = endOf(parent);
	let last = i;
	for (let k = parent + 1; k < end; k = endOf(k)) {
		if (key === "ArrowRight" && k > i)
			return k;
		if (key === "ArrowLeft" && k === i)
			return last;
		last = k;
	}
	return i;
}

function choose(i) {
	state.chosen = i;
	draw();
	const g = document.querySelector(`[data-i="${i}"]`);
	if (!g)
		return;
	g.scrollIntoView({ block: "nearest" });
	const rect = g.getBoundingClientRect();
	showTip(i, rect.left + scrollX, rect.bottom + scrollY - 16);
}

function onKey(e) {
	const find = byId("find");
	if ((e.ctrlKey || e.metaKey) && e.key === "f" || (e.key === "/" && e.target !== find)) {
		find.focus();
		find.select();
		e.preventDefault();
	} else if (e.key === "Escape") {
		if (state.pattern) {
			find.value = "";
			seek("");
		} else if (state.zoom) {
			zoomTo(0);
		}
		find.blur();
	} else if (e.target === find) {
		return;
	} else if (e.key.startsWith("Arrow")) {
		choose(state.chosen < 0 ? state.zoom : neighbour(state.chosen, e.key));
		e.preventDefault();
	} else if (e.key === "Enter" && state.chosen >= 0 && e.target.tagName !== "button") {
		zoomTo(state.chosen);
	}
}

function boxUnder(e) {
	const g = e.target.closest && e.target.closest(".b");
	return g ? Number(g.dataset.i) : -1;
}

function listen() {
	const graph = byId("boxes");
	graph.addEventListener("click", e => boxUnder(e) >= 0 && zoomTo(boxUnder(e)));
	graph.addEventListener("mousemove", e => boxUnder(e) >= 0 &&
			       showTip(boxUnder(e), e.clientX + scrollX, e.clientY + scrollY));
	graph.addEventListener("mouseleave", hideTip);
	byId("find").addEventListener("input", e => seek(e.target.value));
	byId("reset").addEventListener("click", () => zoomTo(0));
	byId("flip").addEventListener("click", () => {
		state.icicle = !state.icicle;
		draw();
		scrollHome();
	});
	addEventListener("keydown", onKey);
	addEventListener("hashchange", follow);
	addEventListener("resize", () => {
		draw();
		stick();
	});
	addEventListener("scroll", stick);
	addEventListener("beforeprint", () => byId("head").removeAttribute("transform"));
}

byId("controls").removeAttribute("visibility");
byId("note").textContent = data.note;
listen();
follow();
})();
