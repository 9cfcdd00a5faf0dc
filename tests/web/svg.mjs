// SPDX-License-Identifier: GPL-2.0-or-later
//
// Flame graphs of export --format svg, used as a person uses them. The pictures and their
// numbers are those of tests/web/graphs.c.

import { check, equal, run, withPage } from "./browser.mjs";

const MIB = 2 ** 20;

// Every box that is drawn: its name as far as it fits, and where it is.
function boxes(page) {
	return page.evaluate(() =>
		[...document.querySelectorAll("#boxes .b")].map((g) => {
			const rect = g.querySelector("rect"),
				of = (name) => Number(rect.getAttribute(name));

			return {
				name: g.querySelector("text")?.textContent ?? "",
				classes: [...g.classList],
				x: of("x"),
				y: of("y"),
				width: of("width"),
			};
		}),
	);
}

const named = (list, name) => list.find((b) => b.name.startsWith(name));
const words = (page, selector) => page.locator(selector).evaluate((e) => e.textContent);
const hash = (page) => page.evaluate(() => location.hash);
const near = (a, b, by = 2) => Math.abs(a - b) <= by;
const box = (page, name) => page.locator("#boxes .b").filter({ hasText: name }).first();

async function full(page) {
	return (await page.evaluate(() => innerWidth)) - 20;
}

async function drawing(file) {
	return withPage(file, async (page) => {
		const list = await boxes(page),
			width = await full(page),
			at = (name) => named(list, name);

		check(near(at("server").width, width), "the root is not as wide as the window");
		check(
			near(at("main").width, (width * 63.5) / 64),
			`main is ${at("main").width} wide`,
		);
		check(
			near(at("answer").width, (width * 56) / 64),
			"answer is not 56 of 64 MiB wide",
		);
		check(
			at("cache_insert").classes.some((c) => c.startsWith("k1")),
			"not a library's",
		);
		check(
			at("__libc_start_main").classes.some((c) => c.startsWith("k2")),
			"not libc's",
		);
		check(at("main").classes.some((c) => c.startsWith("k0")), "not the program's");
		check(at("main").y < at("server").y, "the root is not at the bottom");
		check(
			(await words(page, ".title")).includes("64.0 MiB"),
			"no total in the title",
		);
		// No two boxes of a row overlap.
		for (const a of list)
			for (const b of list)
				check(a === b || a.y !== b.y || a.x + a.width <= b.x + 0.2 ||
					b.x + b.width <= a.x + 0.2, `${a.name} overlaps ${b.name}`);
	});
}

async function icicle(file) {
	return withPage(file, async (page) => {
		let list = await boxes(page);

		check(
			named(list, "main").y > named(list, "server").y,
			"the root is not on top",
		);
		await page.locator("#flip").click();
		list = await boxes(page);
		check(
			named(list, "main").y < named(list, "server").y,
			"it was not turned over",
		);
		equal("the button", await words(page, "#flip"), "Icicle");
	});
}

async function zoom(file) {
	return withPage(file, async (page) => {
		const width = await full(page);

		check(
			await page.locator("#reset").isHidden(),
			"there is a reset without a zoom",
		);
		await box(page, "answer").click();
		let list = await boxes(page);
		check(
			near(named(list, "answer").width, width),
			"answer does not fill the width",
		);
		check(
			near(named(list, "cache_insert").width, (width * 40) / 56),
			"its callees do not",
		);
		check(
			named(list, "main").classes.includes("above"),
			"main is not shown as above",
		);
		check(!named(list, "cache_open"), "what is elsewhere is still there");
		check(
			(await hash(page)).startsWith("#zoom="),
			"the address does not tell of it",
		);

		await page.goBack();
		check(
			near(named(await boxes(page), "answer").width, (width * 56) / 64),
			"Back does not",
		);
		await page.goForward();
		check(
			near(named(await boxes(page), "answer").width, width),
			"Forward does not",
		);
		await page.reload();
		check(
			near(named(await boxes(page), "answer").width, width),
			"reloading forgets the zoom",
		);
		await page.locator("#reset").click();
		check(
			near(named(await boxes(page), "answer").width, (width * 56) / 64),
			"no reset",
		);
		await box(page, "answer").click();
		await page.keyboard.press("Escape");
		check(
			near(named(await boxes(page), "answer").width, (width * 56) / 64),
			"Esc does not",
		);
	});
}

async function search(file) {
	return withPage(file, async (page) => {
		const matched = () => words(page, "#matched");
		const found = async () =>
			(await boxes(page)).filter((b) => b.classes.includes("found"));

		await page.keyboard.press("Control+f");
		await page.keyboard.type("cache_");
		equal("the matched share", await matched(), "matched 73.4 %, 47.0 MiB");
		// cache_insert below cache_open is counted once, and both light up.
		equal("boxes found", (await found()).length, 3);
		check(
			(await hash(page)).includes("search=cache_"),
			"the address does not tell of it",
		);
		await page.locator("#find").fill("^(answer|main)$");
		equal("by regular expression", await matched(), "matched 99.2 %, 63.5 MiB");
		await page.locator("#find").fill("libcache");
		equal("by module", await matched(), "matched 73.4 %, 47.0 MiB");
		await page.locator("#find").fill("CACHE");
		equal("with capitals", await matched(), "matched 0.0 %, 0 B");
		await page.locator("#find").fill("push_back(");
		equal("no expression", await matched(), "no regular expression");
		check(await page.locator("#find.wrong").count(), "it is not marked");
		await page.locator("#find").fill("vector<session");
		equal("in a name that is cut", await matched(), "matched 25.0 %, 16.0 MiB");
		await page.reload();
		equal("after reloading", await matched(), "matched 25.0 %, 16.0 MiB");
		await page.locator("#find").press("Escape");
		equal("after Esc", await matched(), "");
		equal("boxes found after Esc", (await found()).length, 0);
	});
}

async function hover(file) {
	return withPage(file, async (page) => {
		const tip = () =>
			page.evaluate(() =>
				Array.from(
					document.querySelectorAll("#tip text"),
					(t) => t.textContent,
				),
			);

		await box(page, "std::vector").hover();
		equal("of a long name", await tip(), [
			"std::vector<session, std::allocator<session> >::push_back(session&&)",
			"/usr/bin/server  /src/server.cc",
			"16.0 MiB, 25.0 % of all",
			"all of it here",
		]);
		await box(page, "main").hover();
		check(
			(await tip()).includes("all of it in what it calls"),
			"main asked for memory",
		);
		await page.mouse.move(1, 1);
		equal("when the pointer left", await tip(), []);
		await box(page, "answer").click();
		await box(page, "cache_insert").hover();
		check((await tip()).some((line) => line.includes("71.4 % of what is shown")),
			`zoomed: ${await tip()}`);
		const rect = await page.locator("#tip rect").boundingBox();
		check(rect.x >= 0 && rect.x + rect.width <= 1280 && rect.y >= 0 &&
			rect.y + rect.height <= 800, "it is not wholly in the window");
	});
}

async function keys(file) {
	return withPage(file, async (page) => {
		const chosen = () => words(page, "#boxes .chosen text");
		const path = ["server", "__libc_start_main", "main", "answer", "cache_insert"];

		for (const name of path) {
			await page.keyboard.press("ArrowUp");
			check(
				(await chosen()).startsWith(name),
				`${await chosen()} is not ${name}`,
			);
		}
		await page.keyboard.press("ArrowRight");
		check(
			(await chosen()).startsWith("std::vector"),
			`right of it is ${await chosen()}`,
		);
		await page.keyboard.press("ArrowLeft");
		await page.keyboard.press("ArrowDown");
		equal("back", await chosen(), "answer");
		await page.keyboard.press("Enter");
		check(
			near(named(await boxes(page), "answer").width, await full(page)),
			"Enter does not zoom",
		);
		await page.keyboard.press("/");
		check(
			await page.locator("#find").evaluate((e) => e === document.activeElement),
			"/ does not",
		);
	});
}

async function comparison(file) {
	return withPage(file, async (page) => {
		const list = await boxes(page),
			tip = () => page.evaluate(() => document.getElementById("tip").textContent);
		const by = (name) => named(list, name).classes.find((c) => /^[gsd]\d$/.test(c));

		check(by("answer").startsWith("g"), "what grew is not red");
		check(by("warm_up").startsWith("s"), "what is gone is not blue");
		equal("what stayed", by("cache_open"), "d0");
		check(
			Number(by("answer")[1]) >= Number(by("std::vector")[1]),
			"more is not deeper",
		);
		await box(page, "std::vector").hover();
		check((await tip()).includes("0 B \u2192 16.0 MiB+16.0 MiB, new"), await tip());
		await box(page, "warm_up").hover();
		check(
			(await tip()).includes("8.0 MiB \u2192 0 B\u22128.0 MiB, gone"),
			await tip(),
		);
		const total = "26.0 MiB \u2192 64.0 MiB (+38.0 MiB)";
		check((await words(page, ".title")).includes(total),
			await words(page, ".title"));
	});
}

async function hostile(file) {
	return withPage(file, async (page) => {
		const foreign = await page.evaluate(() =>
			document.querySelectorAll("img, x, b").length);

		equal("elements that names made", foreign, 0);
		equal("scripts", await page.locator("script").count(), 2);
		check(!(await page.title()).startsWith("owned"), "a name was run");
		equal("boxes", (await boxes(page)).length, 17);
		await page.locator("#find").fill("</script>");
		check(
			(await words(page, "#matched")).startsWith("matched"),
			"it cannot be searched",
		);
	});
}

// As documents and viewers without scripts show it.
async function still(file) {
	return withPage(
		file,
		async (page) => {
			const list = await boxes(page),
				title = (name) =>
					words(box(page, name), "title");

			check(
				near(named(list, "answer").width, (1180 * 56) / 64),
				"boxes are not in place",
			);
			check(
				(await title("answer")).includes("56.0 MiB, 87.5 %"),
				await title("answer"),
			);
			check(
				await page.locator("#controls").isHidden(),
				"dead controls are shown",
			);
		},
		{ javaScriptEnabled: false },
	);
}

async function print(file) {
	return withPage(file, async (page) => {
		await page.emulateMedia({ media: "print" });
		check(await page.locator("#controls").isHidden(), "controls are printed");
		const pdf = await page.pdf({ format: "A4", landscape: true });
		check(pdf.length > 5000, "nothing is printed");
	});
}

async function large(file) {
	return withPage(file, async (page) => {
		const start = Date.now();

		await box(page, "part_38").click();
		const list = await boxes(page);
		check(list.length > 100, `${list.length} boxes`);
		check(
			near(named(list, "part_38").width, await full(page)),
			"no zoom",
		);
		await page.locator("#find").fill("part_1.::");
		check(
			(await words(page, "#matched")).startsWith("matched"),
			"it cannot be searched",
		);
		check(
			(await words(page, "#note")).includes("not in this file"),
			"it hides what it lacks",
		);
		return `${list.length} boxes, zoomed and searched in ${Date.now() - start} ms`;
	});
}

// The title stays at the window's top, in the very frame in which the window has grown.
async function resized(file) {
	return withPage(
		file,
		async (page) => {
			const before = await page.evaluate(() => scrollY);
			const after = page.evaluate(
				() =>
					new Promise((resolve) => {
						const look = () =>
							resolve([
								scrollY,
								document
									.getElementById("head")
									.getAttribute("transform"),
							]);

						addEventListener("resize", look, { once: true });
					}),
			);

			check(before > 0, "it does not begin at the root");
			await page.setViewportSize({ width: 1280, height: 300 });
			const [scrolled, transform] = await after;

			check(scrolled < before, "the larger window shows no more");
			equal("the title's place", transform, `translate(0 ${scrolled})`);
		},
		{ viewport: { width: 1280, height: 200 } },
	);
}

async function picture(file, path, width, height, scheme) {
	return withPage(
		file,
		async (page) => {
			await page.screenshot({ path });
		},
		{ viewport: { width: +width, height: +height }, colorScheme: scheme },
	);
}

await run({
	drawing, icicle, zoom, search, hover, keys,
	comparison, hostile, still, print, large, resized, picture,
});
