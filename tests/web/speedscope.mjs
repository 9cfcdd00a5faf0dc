// SPDX-License-Identifier: GPL-2.0-or-later
//
// What export --format speedscope writes: valid by the published schema, and read by the
// application itself, as its npm package has it.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { check, equal, run, withPage } from "./browser.mjs";

const require = createRequire(`${process.env.WEB_MODULES}/package.json`);
const release = join(dirname(require.resolve("speedscope/package.json")), "dist", "release");
const read = (file) => JSON.parse(readFileSync(file, "utf8"));

async function schema(file) {
	const Ajv = require("ajv");
	const ajv = new Ajv({ strict: false, validateFormats: false });
	const valid = ajv.compile(read(join(release, "file-format-schema.json")));
	const profile = read(file);

	check(valid(profile), ajv.errorsText(valid.errors));
	check(profile.profiles.length, "it has no profile");
	for (const { samples, weights, endValue } of profile.profiles) {
		equal("weights", weights.length, samples.length);
		equal("their sum", weights.reduce((a, b) => a + b, 0), endValue);
		check(samples.flat().every((n) => profile.shared.frames[n]), "a frame is missing");
	}
	// That the check can fail.
	check(!valid({ ...profile, profiles: [{}] }), "the schema takes anything");
}

// The sandwich view is a table of functions with their totals.
async function opens(file, name, total) {
	return withPage(
		join(release, "index.html"),
		async (page) => {
			await page.locator('input[type="file"]').setInputFiles(file);
			await page.waitForFunction(
				(wanted) => document.body.innerText.includes(wanted),
				name,
			);
			await page.getByText("Sandwich").click();
			await page.getByText("main", { exact: true }).first().waitFor();
			const text = await page.evaluate(() => document.body.innerText);
			check(text.includes(total), `${total} is not in ${text.slice(0, 400)}`);
			await page.screenshot({ path: `${file}.png` });
			await page.getByText("Left Heavy").click();
		},
		{ beside: release },
	);
}

await run({ schema, opens });
