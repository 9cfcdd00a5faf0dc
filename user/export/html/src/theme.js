// SPDX-License-Identifier: GPL-2.0-or-later
// Light or dark: as the system says, until the button says otherwise.

import { h } from "./dom.js";

const KEY = "heapsonde-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

// Pages opened from a file may not be allowed to remember anything.
function remembered() {
	try {
		return localStorage.getItem(KEY);
	} catch {
		return null;
	}
}

function remember(theme) {
	try {
		localStorage.setItem(KEY, theme);
	} catch {
		// Then it holds until the page is closed.
	}
}

export function currentTheme() {
	return document.documentElement.dataset.theme || (system.matches ? "dark" : "light");
}

export function colour(name) {
	return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// The button; calls changed() when colours are others.
export function themeButton(changed) {
	const button = h("button", {
		type: "button",
		class: "quiet",
		id: "theme",
		onclick: () => {
			const theme = currentTheme() === "dark" ? "light" : "dark";

			remember(theme);
			apply(theme);
		},
	});
	const apply = (theme) => {
		if (theme === "light" || theme === "dark")
			document.documentElement.dataset.theme = theme;
		const other = currentTheme() === "dark" ? "light" : "dark";

		button.textContent = other === "dark" ? "\u263e Dark" : "\u2600 Light";
		button.setAttribute("aria-label", `Switch to ${other} colours`);
		changed();
	};

	system.addEventListener("change", () => apply(null));
	apply(remembered());
	return button;
}
