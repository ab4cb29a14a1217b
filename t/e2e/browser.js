/*
 * Chromium: node browser.js PORT KEY DIR.  The page comes from the server
 * under test; DIR is for the browser's files.  Prints what was seen as JSON.
 */
"use strict";

const { chromium } = require("playwright-core");
const options = require("./console/chromium.js");

const [port, key, dir] = process.argv.slice(2);

async function main() {
    const context = await chromium.launchPersistentContext(dir, options);
    context.setDefaultTimeout(options.timeout);

    try {
        const page = await context.newPage();
        const errors = [];
        page.on("pageerror", (error) => errors.push(String(error)));
        await page.goto("http://127.0.0.1:" + port + "/page.html");

        const result = await page.evaluate(async ([base, key]) => {
            const seen = await scenario(WebSocket, "ws://" + base, key,
                                        "browser");
            seen.counts = await settled(fetch, "http://" + base, key);
            return leave(seen);
        }, ["127.0.0.1:" + port, key]);

        /* another origin: asks with OPTIONS first */
        result.cross = await page.evaluate(async ([url, key]) => {
            const answer = await fetch(url + "/Producer/Send", {
                method: "POST",
                headers: { secretKey: key },
                body: new URLSearchParams({ topic: "cross",
                                            messageData: "hello" }),
            });
            return answer.json();
        }, ["http://localhost:" + port, key]);

        result.errors = errors;
        console.log(JSON.stringify(result));
    } finally {
        await context.close();
    }
}

main().catch((error) => {
    console.error(error.stack);
    process.exitCode = 1;
});
