/*
 * Chromium: browser.js BASE KEY TOPIC DIR, as node.mjs.  The page comes from the
 * server under test; DIR is for the browser's files.
 */
"use strict";

const { createInterface } = require("node:readline");
const { chromium } = require("playwright-core");
const options = require("../console/chromium.js");

const [base, key, topic, dir] = process.argv.slice(2);

async function main() {
    const context = await chromium.launchPersistentContext(dir, options);

    try {
        const page = await context.newPage();
        page.on("pageerror", (error) => console.log("fault page " + error));
        await page.exposeFunction("say", (text) => console.log(text));
        await page.goto(base.replace("ws:", "http:") + "/client.html");
        await page.evaluate(async ([base, key, topic]) => {
            const client = await import("/kapokmq.js");
            const { work } = await import("/work.mjs");
            const lines = [];
            let sending = false;

            /* many lines a call, in their order */
            async function say(line) {
                lines.push(line);
                if (!sending) {
                    sending = true;
                    while (lines.length > 0) {
                        await window.say(lines.splice(0).join("\n"));
                    }
                    sending = false;
                }
            }
            window.clients = work(client, base, key, topic, say);
        }, [base, key, topic]);

        for await (const line of createInterface({ input: process.stdin })) {
            await page.evaluate((name) => window.clients[name](), line);
        }
    } finally {
        await context.close();
    }
}

main().catch((error) => {
    console.error(error.stack);
    process.exitCode = 1;
});
