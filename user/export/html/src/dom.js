// SPDX-License-Identifier: GPL-2.0-or-later
// Building elements. Text is always a text node: no name is ever read as HTML.

// h("p", { class: "note", onclick: f, aria-label: … }, "text", element, …)
export function h(name, attributes, ...children) {
	const element = document.createElement(name);

	for (const [key, value] of Object.entries(attributes ?? {})) {
		if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
		else if (value === true) element.setAttribute(key, "");
		else if (value !== false && value !== null && value !== undefined)
			element.setAttribute(key, value);
	}
	element.append(...children.flat().filter((c) => c !== null && c !== undefined));
	return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(name, attributes, ...children) {
	const element = document.createElementNS(SVG, name);

	for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
	element.append(...children);
	return element;
}

export function section(id, title, ...children) {
	return h(
		"section",
		{ id, "aria-labelledby": `${id}-title` },
		h("h2", { id: `${id}-title` }, title),
		...children,
	);
}

// Calls f when things have been quiet for a moment.
export function later(f, ms) {
	let timer = 0;

	return (...args) => {
		clearTimeout(timer);
		timer = setTimeout(f, ms, ...args);
	};
}

// Two to a row: term and description; pairs whose value is null are left out.
export function facts(pairs) {
	return h(
		"dl",
		{ class: "facts" },
		pairs
			.filter(([, value]) => value !== null)
			.map(([term, value]) =>
				h("div", {}, h("dt", {}, term), h("dd", {}, value)),
			),
	);
}
