// SPDX-License-Identifier: GPL-2.0-or-later
//
// Makes the page of `heapsonde export --format html`: bundles src/ and style/ with the
// libraries, puts both into page.html and names their hashes in its content security
// policy, so that a browser runs nothing else. The place for the numbers stays.
//
// usage: node build.mjs DIR      DIR/node_modules is there; DIR/page.html is made

import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2]);
const { buildSync } = createRequire(join(out, "package.json"))("esbuild");

function bundle(entry, define = {}) {
	const result = buildSync({
		entryPoints: [join(here, entry)],
		nodePaths: [join(out, "node_modules")],
		bundle: true,
		minify: true,
		write: false,
		metafile: true,
		format: "iife",
		target: ["es2020"],
		charset: "utf8",
		legalComments: "none",
		logLevel: "warning",
		define,
	});

	// Neither may end the element that it stands in.
	return {
		text: result.outputFiles[0].text.replace(/<\/(script|style)/gi, "<\\/$1"),
		inputs: Object.keys(result.metafile.inputs),
	};
}

// The packages that files of the bundle come from, with what their licences ask to be kept.
function libraries(inputs) {
	const names = inputs.map((path) => path.match(/node_modules\/((@[^/]+\/)?[^/]+)\//)?.[1]);

	return [...new Set(names.filter(Boolean))].sort().map((name) => {
		const dir = join(out, "node_modules", name);
		const { version, license } = JSON.parse(
			readFileSync(join(dir, "package.json"), "utf8"),
		);
		const file = readdirSync(dir).find((f) => /^licen[cs]e/i.test(f));

		if (!file || !["MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause"].includes(license))
			throw new Error(`${name}: licence ${license} was not looked at yet`);
		return { name, version, license, text: readFileSync(join(dir, file), "utf8") };
	});
}

const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

const style = bundle("style/page.css");
const draft = bundle("src/main.js", { LIBRARIES: "[]" });
const used = libraries([...style.inputs, ...draft.inputs]);
const script = bundle("src/main.js", { LIBRARIES: JSON.stringify(used) });
const policy = [
	"default-src 'none'",
	`script-src ${hash(script.text)}`,
	`style-src ${hash(style.text)}`,
	"img-src data:",
	"base-uri 'none'",
	"form-action 'none'",
].join("; ");
const parts = { POLICY: policy, STYLE: style.text, SCRIPT: script.text };

writeFileSync(
	join(out, "page.html"),
	readFileSync(join(here, "page.html"), "utf8").replace(
		/@HEAPSONDE_(POLICY|STYLE|SCRIPT)@/g,
		(_, name) => parts[name],
	),
);
