// SPDX-License-Identifier: GPL-2.0-or-later
//
// The page of export --format html, used as a person uses it. PAGE is the page, JSON the same
// numbers as report --json has them.

import { readFileSync } from "node:fs";
import { check, equal, run, withPage } from "./browser.mjs";

const SUMS = [
	"live_bytes",
	"live_count",
	"alloc_bytes",
	"alloc_count",
	"free_bytes",
	"free_count",
	"temporary_count",
	"peak_live_bytes",
];
const CELLS = [
	"live_bytes",
	"live_count",
	"growth_bytes_per_s",
	"oldest_live_s",
	"alloc_bytes",
	"alloc_count",
	"free_bytes",
];

const read = (file) => JSON.parse(readFileSync(file, "utf8"));
const sum = (stacks, metric) => stacks.reduce((n, s) => n + s[metric], 0);
const near = (a, b) => Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(a), Math.abs(b));

// What the flame graph's root stands for, once it is drawn for what is chosen.
async function rootValue(page) {
	await page.waitForFunction(() => {
		const value = (id) => document.getElementById(id).value;

		return (
			document.getElementById("flame-graph").dataset.drawn ===
			`${value("measure")} ${value("range-from")} ${value("range-to")}`
		);
	});
	const root = page.locator(".box.root");

	return (await root.count()) ? Number(await root.getAttribute("data-value")) : 0;
}

async function measure(page, id) {
	await page.locator("#measure").selectOption(id);
	return rootValue(page);
}

const words = (page, selector) => page.locator(selector).innerText();

// Every number of a row against the stack of that id.
async function checkRow(row, stack) {
	for (const id of CELLS) {
		const got = Number(await row.locator(`.c-${id}`).getAttribute("data-value"));

		check(near(got, stack[id]), `${stack.id}'s ${id} is ${got}, not ${stack[id]}`);
	}
}

async function rows(page) {
	return page
		.locator("#path-rows .item")
		.evaluateAll((items) => items.map((row) => row.dataset));
}

async function numbers(file, json) {
	const report = read(json),
		byId = new Map(report.stacks.map((s) => [s.id + s.kind, s]));

	return withPage(file, async (page) => {
		for (const metric of SUMS)
			equal(
				`root of ${metric}`,
				await measure(page, metric),
				report.totals[metric],
			);
		const seen = await rows(page);

		check(
			seen.length >= Math.min(report.stacks.length, 8),
			`${seen.length} rows are seen`,
		);
		for (const { id, stack } of seen) {
			const row = page.locator(`#path-rows [data-stack="${stack}"]`);
			const badge = await row.locator(".badge").allInnerTexts();
			const kind = ["mmap", "brk"].find((k) => badge.includes(k)) ?? "heap";

			await checkRow(row, byId.get(id + kind));
		}
		equal(
			"order of rows",
			seen.map(({ id }) => id),
			report.stacks.slice(0, seen.length).map(({ id }) => id),
		);
		const blocks = report.totals.live_count.toLocaleString("en-US");

		check(
			(await words(page, "#tile-live")).includes(`${blocks} blocks`),
			"blocks in the tile",
		);
		check(
			(await words(page, "#summary .words")).includes(`${blocks} blocks`),
			"blocks in the summary's words",
		);
		return `${seen.length} rows and ${SUMS.length} sums agree`;
	});
}

// Every frame of the first stacks, line by line.
async function frames(file, json) {
	const report = read(json);

	return withPage(file, async (page) => {
		for (const stack of report.stacks.slice(0, 4)) {
			const row = page.locator(`#path-rows [data-id="${stack.id}"]`).first();

			await row.locator(".leaf").click();
			const lines = await row.locator(".frames li").allInnerTexts();

			equal("number of frames", lines.length, stack.frames.length);
			stack.frames.forEach((frame, i) => {
				const plain = frame.function && !/[\x00-\x1f]/.test(frame.function);

				check(
					!plain || lines[i].includes(frame.function),
					`no ${frame.function}`,
				);
				equal(
					`inlined on ${lines[i]}`,
					lines[i].includes("inlined"),
					frame.inlined,
				);
				const place =
					frame.file &&
					`${frame.file.split("/").pop()}:${frame.line}`;

				check(
					!frame.line || lines[i].includes(place),
					`${place} not on ${lines[i]}`,
				);
			});
			await row.locator(".leaf").click();
			equal("frames of a closed row", await row.locator(".frames").count(), 0);
		}
	});
}

async function zoom(file) {
	return withPage(file, async (page) => {
		const all = await rootValue(page),
			boxes = page.locator(".box");
		const full = (await page.locator(".box.root").boundingBox()).width;
		const before = await boxes.count();
		const inner = boxes.filter({ hasNot: page.locator(".root") }).last();
		const name = await inner.getAttribute("aria-label");

		await inner.click();
		const zoomed = page
			.locator(`.box[aria-label="${name.replace(/"/g, '\\"')}"]`)
			.last();

		check(
			Math.abs((await zoomed.boundingBox()).width - full) < 3,
			`${name} is not as wide`,
		);
		check((await page.locator(".box.above").count()) > 0, "no callers are left above");
		equal("root's value", await rootValue(page), all);
		await page.locator("#flame-reset").click();
		equal("boxes after the reset", await boxes.count(), before);
		check(await page.locator("#flame-reset").isDisabled(), "reset is still possible");
		if (await page.locator("#flame-fork").isVisible()) {
			await page.locator("#flame-fork").click();
			check(await page.locator("#flame-reset").isEnabled(), "nothing is skipped");
			await page.locator("#flame-reset").click();
		}
		await page.getByText("Bottom-up").click();
		equal("root's value bottom-up", await rootValue(page), all);
	});
}

async function search(file, json, text) {
	const { stacks } = read(json),
		wanted = text.toLowerCase();
	const has = (stack) =>
		stack.frames.some(
			(f) =>
				(f.function ?? "").toLowerCase().includes(wanted) ||
				f.module.toLowerCase().includes(wanted),
		);
	const part = sum(stacks.filter(has), "live_bytes"),
		all = sum(stacks, "live_bytes");

	check(part > 0 && part < all, `${text} is on no or on every path`);
	return withPage(file, async (page) => {
		await page.locator("#flame-search").fill(text);
		await page.waitForFunction(
			() => document.querySelector("#flame-matched").textContent,
		);
		const said = await words(page, "#flame-matched");

		check(
			said.endsWith(`${((100 * part) / all).toFixed(1)} %`),
			`${said}: not ${part} of ${all}`,
		);
		check((await page.locator(".box.found").count()) > 0, "no box is marked");
		await page.locator("#path-filter").fill(text);
		await page.waitForFunction(() =>
			document.querySelector("#path-count").textContent.includes("of"),
		);
		const listed = (await words(page, "#path-count")).split(" ")[0].replace(/,/g, "");
		const places = stacks.filter(
			(s) =>
				has(s) ||
				s.frames.some((f) => (f.file ?? "").toLowerCase().includes(wanted)),
		);

		equal("paths listed", Number(listed), places.length);
		await page.locator("#path-filter").fill("there is no such function");
		await page.waitForFunction(() =>
			document.querySelector("#path-count").textContent.startsWith("0 of"),
		);
		equal("rows without a match", (await rows(page)).length, 0);
		return said;
	});
}

// Sorting by each column, both ways, against the numbers.
async function sorting(file, json) {
	const { stacks } = read(json);

	return withPage(file, async (page) => {
		for (const id of ["alloc_bytes", "live_count", "free_bytes"]) {
			for (const down of [true, false]) {
				await page.locator(`.head .c-${id} button`).click();
				const wanted = stacks
					.map((s) => s[id])
					.sort((a, b) => (down ? b - a : a - b));
				const got = await page
					.locator(`#path-rows .item .c-${id}`)
					.evaluateAll((cells) =>
						cells.map((c) => Number(c.dataset.value)),
					);

				equal(
					`${id}, ${down ? "down" : "up"}`,
					got,
					wanted.slice(0, got.length),
				);
				equal(
					"aria-sort",
					await page
						.locator(`.head .c-${id}`)
						.getAttribute("aria-sort"),
					down ? "descending" : "ascending",
				);
			}
		}
	});
}

const chosen = (page) =>
	page.evaluate(() =>
		["from", "to"].map((which) =>
			Number(document.getElementById(`range-${which}`).value),
		),
	);

// A dragged range: what was allocated in it is what the timeline has between its ends. Moments
// and samples of the page are the same times, but for the beginning.
async function brush(file, json) {
	const { timeline } = read(json),
		at = (i, metric) => (i ? timeline[i - 1][metric] : 0);

	return withPage(file, async (page) => {
		const over = await page.locator("#chart .u-over").boundingBox();
		const y = over.y + over.height / 2;

		await page.mouse.move(over.x + over.width * 0.25, y);
		await page.mouse.down();
		await page.mouse.move(over.x + over.width * 0.6, y, { steps: 8 });
		await page.mouse.up();
		const [from, to] = await chosen(page);

		check(
			from > 0 && to > from && to < timeline.length,
			`the range is ${from} to ${to}`,
		);
		for (const metric of ["alloc_bytes", "free_bytes"])
			equal(
				`${metric} of the range`,
				await measure(page, metric),
				at(to, metric) - at(from, metric),
			);
		equal("live at its end", await measure(page, "live_bytes"), at(to, "live_bytes"));
		const grown = await measure(page, "live_bytes:grown");
		const shrunk = await measure(page, "live_bytes:shrunk");

		equal(
			"growth in it",
			grown - shrunk,
			at(to, "live_bytes") - at(from, "live_bytes"),
		);
		await page.locator("#range-from").focus();
		await page.keyboard.press("ArrowRight");
		equal("range after a key", await chosen(page), [from + 1, to]);
		await page.locator("#range-reset").click();
		equal("range after the reset", await chosen(page), [0, timeline.length]);
		return `moments ${from} to ${to}`;
	});
}

const focused = (page, attribute) =>
	page.evaluate((name) => document.activeElement.getAttribute(name), attribute);

async function keyboard(file) {
	return withPage(file, async (page) => {
		await page.keyboard.press("/");
		equal("focus after /", await focused(page, "id"), "flame-search");
		await page.keyboard.press("Tab");
		equal("focus after Tab", await focused(page, "role"), "treeitem");
		await page.keyboard.press("ArrowDown");
		equal("level below the root", await focused(page, "aria-level"), "2");
		const name = await focused(page, "aria-label");

		await page.keyboard.press("ArrowDown");
		equal("level below that", await focused(page, "aria-level"), "3");
		await page.keyboard.press("ArrowUp");
		equal("back up", await focused(page, "aria-label"), name);
		await page.keyboard.press("ArrowDown");
		await page.keyboard.press("Enter");
		check(await page.locator("#flame-reset").isEnabled(), "Enter does not zoom");
		await page.keyboard.press("Escape");
		await page.keyboard.press("Escape");
		check(await page.locator("#flame-reset").isDisabled(), "Escape does not go back");
		check((await words(page, "#flame-words")).length > 5, "nothing is said of the box");

		await page.locator("#path-rows .item").first().focus();
		const first = await focused(page, "data-id");

		await page.keyboard.press("ArrowDown");
		check((await focused(page, "data-id")) !== first, "ArrowDown stays on the row");
		await page.keyboard.press("ArrowUp");
		await page.keyboard.press("Enter");
		equal("opened by Enter", await focused(page, "aria-expanded"), "true");
		check(
			(await page.locator("#path-rows .item.open .frames li").count()) > 0,
			"no frames",
		);
		await page.keyboard.press("ArrowLeft");
		equal("closed by ArrowLeft", await focused(page, "aria-expanded"), "false");
		await page.keyboard.press("End");
		await page.waitForTimeout(300);
		equal(
			"row after End",
			await focused(page, "aria-rowindex"),
			await page.locator("[role=treegrid]").getAttribute("aria-rowcount"),
		);
	});
}

// Contrast of texts with what is behind them, as WCAG has it.
function worstContrast() {
	const channel = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
	const parse = (text) => text.match(/[\d.]+/g).map(Number);
	const light = ([r, g, b]) =>
		0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
	const behind = (element) => {
		for (let e = element; e; e = e.parentElement) {
			const rgb = parse(getComputedStyle(e).backgroundColor);

			if (rgb.length < 4 || rgb[3] === 1) return rgb;
		}
		return [255, 255, 255];
	};
	let worst = { ratio: 99 };

	for (const element of document.querySelectorAll(
		"h1, h2, p, li, td, th, dt, dd, .box:not(.above), " +
			".tile span, .cell, nav a, label, output, footer, .badge, " +
			"button:not(:disabled)",
	)) {
		if (!element.textContent.trim() || !element.offsetParent) continue;
		const a = light(parse(getComputedStyle(element).color)),
			b = light(behind(element));
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);

		if (ratio < worst.ratio)
			worst = {
				ratio,
				text: element.textContent.slice(0, 40),
				name: element.className || element.tagName,
			};
	}
	return worst;
}

const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

async function colours(file) {
	const seen = {};

	for (const colorScheme of ["light", "dark"]) {
		await withPage(
			file,
			async (page) => {
				seen[colorScheme] = await ground(page);
				const worst = await page.evaluate(worstContrast);

				check(
					worst.ratio >= 4.5,
					`${colorScheme}: ${JSON.stringify(worst)}`,
				);
				await page.locator("#theme").click();
				check(
					(await ground(page)) !== seen[colorScheme],
					"the button changes nothing",
				);
				await page.reload();
				check(
					(await ground(page)) !== seen[colorScheme],
					"the choice is forgotten",
				);
			},
			{ colorScheme },
		);
	}
	check(seen.light !== seen.dark, "light and dark are the same");
	return `ground ${seen.light} and ${seen.dark}`;
}

async function narrow(file) {
	return withPage(
		file,
		async (page) => {
			const wide = await page.evaluate(
				() => document.documentElement.scrollWidth,
			);

			check(wide <= 390, `the page is ${wide} wide on a screen of 390`);
			check((await page.locator(".box").count()) > 1, "no flame graph");
		},
		{ viewport: { width: 390, height: 800 } },
	);
}

// What a reader without sight needs: names for whatever can be used, one main heading.
async function accessible(file) {
	return withPage(file, async (page) => {
		const nameless = await page.evaluate(() =>
			[
				...document.querySelectorAll(
					"button, input, select, a[href], section, [role=tree], " +
						"[role=treegrid], [role=img]",
				),
			]
				.filter(
					(e) =>
						!(
							e.getAttribute("aria-label") ||
							e.textContent.trim() ||
							e.closest("label")?.textContent.trim() ||
							e.labels?.length
						),
				)
				.map((e) => e.outerHTML.slice(0, 80)),
		);

		equal("elements without a name", nameless, []);
		equal("main headings", await page.locator("h1").count(), 1);
		equal("language", await page.locator("html").getAttribute("lang"), "en");
		const ids = await page.evaluate(() =>
			[...document.querySelectorAll("[id]")].map((e) => e.id),
		);

		equal(
			"ids used twice",
			ids.filter((id, i) => ids.indexOf(id) !== i),
			[],
		);
	});
}

async function hostile(file, json) {
	const { stacks, targets } = read(json);

	return withPage(file, async (page) => {
		equal("scripts", await page.evaluate(() => document.scripts.length), 2);
		equal("images", await page.locator("img").count(), 0);
		equal("styles", await page.locator("style").count(), 1);
		const text = await page.evaluate(() => document.body.innerText);

		check(!(await page.title()).startsWith("owned"), "a name ran");
		check(
			text.includes("</script><script>document.title='owned'</script>"),
			"not as text",
		);
		check(text.includes("\\x1b[2J\\x1b]0;owned\\x07"), "escapes are not written out");
		check(text.includes("\\u202edesrever"), "a turned name is not written out");
		check(
			!/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/.test(text),
			"control characters",
		);
		equal(
			"processes listed",
			await page.locator(".targets > li").count(),
			targets.length,
		);
		const row = page.locator('#path-rows [data-id="00000000000003e8"]');

		await row.locator(".leaf").click();
		check(
			(await row.locator(".frames").innerText()).includes("document.title"),
			"no frame",
		);
		await page.locator("#flame-search").fill("<script>");
		await page.locator("#path-filter").fill("</script>");
		await page.waitForTimeout(300);
		check((await rows(page)).length > 0, "a hostile name cannot be found");
		equal(
			"title",
			await page.title(),
			"</script><script>document.title='owned'</script> and " +
				`${targets.length - 1} more \u2013 heapsonde`,
		);
		return `${stacks.length} stacks`;
	});
}

// The page may run nothing but its own script and reach nobody, even if a name got through.
async function policy(file) {
	const html = readFileSync(file, "utf8"),
		outside = html.slice(0, html.indexOf('id="data"'));

	check(!/(src|href)=["']?(https?:)?\/\//.test(outside), "names an address");
	return withPage(
		file,
		async (page) => {
			const ran = await page.evaluate(async () => {
				const script = document.createElement("script");

				script.textContent = "window.ran = true";
				document.body.append(script);
				const image = document.createElement("img");

				image.setAttribute("onerror", "window.ran = true");
				image.src = "data:,";
				document.body.append(image);
				const reached = await fetch("http://127.0.0.1:9/").then(
					() => true,
					() => false,
				);

				return { ran: window.ran ?? false, reached };
			});

			equal("what was let through", ran, { ran: false, reached: false });
		},
		{ bypassCSP: false },
	).catch((e) => {
		/* The browser complains of exactly what it refused. */
		if (
			!e.message.startsWith("what the page complained of") ||
			!e.message.includes("Content Security Policy")
		)
			throw e;
	});
}

async function idle(file) {
	return withPage(file, async (page) => {
		check(
			(await words(page, "#summary")).includes("No allocation was seen"),
			"no word of it",
		);
		check(
			(await words(page, "#flame-notes")).includes("nothing to show"),
			"nor of the graph",
		);
		equal("rows", (await rows(page)).length, 0);
	});
}

// What the page says of a level whose numbers are estimates, or none of allocations.
async function level(file, ...texts) {
	return withPage(file, async (page) => {
		const parts = ["#summary", "#timeline", "#cost"].map((id) => words(page, id)),
			said = (await Promise.all(parts)).join(" ");

		for (const text of texts) check(said.includes(text), `no "${text}" in ${said}`);
		const losses = await words(page, "#losses");

		check(!losses.includes("unknown blocks"), `what nobody knows is there: ${losses}`);
		for (const text of [
			"numbers are exact",
			"No allocation was seen",
			"allocated does",
		])
			check(!said.includes(text), `"${text}" is wrong at this level`);
	});
}

// Everything that is written below the table.
async function everything(file) {
	return withPage(file, async (page) => {
		for (const [id, text] of [
			["account", "unexplained"],
			["reclaim", "madvise"],
			["quality", "cut at --max-depth"],
			["losses", "nothing was lost"],
			["cost", "653 ns"],
			["targets", "killed by signal 9"],
		])
			check(
				(await words(page, `#${id}`)).includes(text),
				`no "${text}" in ${id}`,
			);
		check(
			(await page.locator("footer").innerText()).includes("uplot 1."),
			"no library named",
		);
		await page.locator("footer details").first().locator("summary").click();
		check(
			(await page.locator("footer").innerText()).includes(
				"Permission is hereby granted",
			),
			"no licence text",
		);
		await page.getByRole("button", { name: 'after "warm-up"' }).click();
		equal("end of the mark's time", (await chosen(page))[1], 1);
		await page.locator("#with-limit").check();
		check((await words(page, "#chart")).includes("limit"), "no limit in the chart");
	});
}

// What the page's process has used, s; unlike the time it took, not a matter of who else works.
async function usedCpu(page) {
	const session = await page.context().browser().newBrowserCDPSession();
	const { processInfo } = await session.send("SystemInfo.getProcessInfo");

	return Math.max(
		...processInfo.filter(({ type }) => type === "renderer").map((p) => p.cpuTime),
	);
}

async function large(file) {
	const begun = Date.now();

	return withPage(file, async (page) => {
		const ready = Number(await page.locator("html").getAttribute("data-ready"));
		const opened = Date.now() - begun,
			used = await usedCpu(page);

		equal("call paths", await words(page, "#path-count"), "20,000 call paths");
		check((await rows(page)).length < 60, "rows out of sight are made, too");
		check(
			(await page.locator(".box").count()) < 20000,
			"boxes too narrow are made, too",
		);
		const drawn = await page.evaluate(async () => {
			const before = performance.now();

			document.querySelector("input[value=up]").click();
			await new Promise((f) => {
				requestAnimationFrame(() => setTimeout(f));
			});
			return Math.round(performance.now() - before);
		});

		check(ready < 30000, `not ready for ${ready} ms`);
		return (
			`ready after ${ready} ms (with the browser's start ${opened} ms), with ` +
			`${Math.round(1000 * used)} ms of CPU, ` +
			`turned in ${drawn} ms`
		);
	});
}

// For people to look at.
async function picture(file, out, width, height, colorScheme) {
	return withPage(
		file,
		async (page) => {
			await page.locator("#path-rows .item .leaf").first().click();
			await page.waitForTimeout(200);
			await page.evaluate(() => scrollTo(0, 0));
			await page.screenshot({ path: out, fullPage: true });
			return out;
		},
		{ colorScheme, viewport: { width: Number(width), height: Number(height) } },
	);
}

await run({
	numbers,
	frames,
	zoom,
	search,
	sorting,
	brush,
	keyboard,
	colours,
	narrow,
	accessible,
	hostile,
	policy,
	idle,
	level,
	everything,
	large,
	picture,
});
