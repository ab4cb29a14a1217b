/*
 * examples/browser.html in Chromium: page.js BASE KEY TOPIC DIR.  A line of
 * input is a delay and a message, which is typed and sent; a line of output is
 * what the page shows: "state TEXT", "pending TEXT", "message TEXT".
 */
"use strict";

const { createInterface } = require("node:readline");
const { chromium } = require("playwright-core");
const options = require("../console/chromium.js");

const [base, key, topic, dir] = process.argv.slice(2);

async function main() {
    const context = await chromium.launchPersistentContext(dir, options);
    context.setDefaultTimeout(options.timeout);

    try {
        const page = await context.newPage();
        page.on("pageerror", (error) => console.log("fault " + error));
        await page.exposeFunction("say", (text) => console.log(text));
        await page.goto(base + "/browser.html");
        await page.evaluate(() => {
            const watch = (id, words) => {
                const node = document.getElementById(id);
                new MutationObserver(() => window.say(words(node)))
                    .observe(node, { childList: true });
            };
            watch("state", (node) => "state " + node.value);
            watch("pending", (node) => "pending " + node.value);
            watch("messages",
                  (node) => "message " + node.lastChild.textContent);
        });
        await page.getByLabel("Key").fill(key);
        await page.getByLabel("Topic").fill(topic);
        await page.getByRole("button", { name: "Connect" }).click();

        for await (const line of createInterface({ input: process.stdin })) {
            const [, delay, data] = line.match(/^(\S+) (.*)$/);
            await page.getByLabel("Message").fill(data);
            await page.getByLabel("in seconds").fill(delay);
            await page.getByRole("button", { name: "Send" }).click();
        }
    } finally {
        await context.close();
    }
}

main().catch((error) => {
    console.error(error.stack);
    process.exitCode = 1;
});
