// SPDX-License-Identifier: GPL-2.0-or-later
//
// The browser that tests of our pages run in: headless Chromium, no network. A script defines
// cases and calls run(cases); "node SCRIPT CASE ARG…" runs one of them and exits 1, with the
// reason on stderr, when it fails (tests/web/browser.py calls it so). What a case returns is
// printed as a remark.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const { chromium } = createRequire(`${process.env.WEB_MODULES}/package.json`)("playwright-core");
const FLAGS = [
	"--headless",
	"--no-sandbox",
	"--disable-gpu",
	"--disable-background-networking",
	"--disable-component-update",
	"--disable-sync",
	"--no-first-run",
];

export function check(condition, why) {
	if (!condition) throw new Error(why);
}

export function equal(what, got, want) {
	check(
		JSON.stringify(got) === JSON.stringify(want),
		`${what} is ${JSON.stringify(got)}, not ${JSON.stringify(want)}`,
	);
}

// Opens a file and calls f(page). Fails when the page complained, or asked for anything but
// itself, data: URLs, and files of the directory beside, if one is named. The other options: those
// of playwright's newContext().
export async function withPage(file, f, { beside, ...options } = {}) {
	const browser = await chromium.launch({
		executablePath: process.env.CHROMIUM,
		args: FLAGS,
	});
	const complaints = [],
		requests = [];

	try {
		const context = await browser.newContext({
			viewport: { width: 1280, height: 800 },
			...options,
		});
		const page = await context.newPage(),
			url = pathToFileURL(file).href,
			near = beside && pathToFileURL(beside).href;

		page.setDefaultTimeout(20000);
		page.on("pageerror", (e) => complaints.push(e.message));
		page.on("console", (m) => m.type() === "error" && complaints.push(m.text()));
		page.on("dialog", (d) => complaints.push(`dialog: ${d.message()}`) && d.dismiss());
		page.on(
			"request",
			(r) =>
				!r.url().startsWith("data:") &&
				r.url() !== url &&
				!(near && r.url().startsWith(near)) &&
				requests.push(r.url()),
		);
		await page.goto(url);
		const result = await f(page);

		equal("what the page complained of", complaints, []);
		equal("what the page asked for", requests, []);
		return result;
	} finally {
		await browser.close();
	}
}

export async function run(cases) {
	const [name, ...args] = process.argv.slice(2);

	try {
		const remark = await cases[name](...args);

		if (remark) console.log(remark);
	} catch (e) {
		console.error(e.message.split("\n").slice(0, 6).join(" "));
		process.exitCode = 1;
	}
}
