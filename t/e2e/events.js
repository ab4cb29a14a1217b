/*
 * An EventSource in Chromium: node events.js PORT DIR.  The page settles what
 * comes, until a message "stop" does; DIR is for the browser's files.  Prints
 * what was seen as JSON.
 */
"use strict";

const { chromium } = require("playwright-core");
const options = require("./console/chromium.js");

const [port, dir] = process.argv.slice(2);

async function main() {
    const context = await chromium.launchPersistentContext(dir, options);
    context.setDefaultTimeout(options.timeout);

    try {
        const page = await context.newPage();
        await page.goto("http://127.0.0.1:" + port + "/events.html");

        const seen = await page.evaluate(() => new Promise((resolve) => {
            const seen = { data: [], ids: 0, opens: 0, errors: 0, state: -1 };
            const source = new EventSource("/es/browser/c1?confirm=ack");
            const settle = async (code) => {
                for (;;) {
                    try {
                        const answer = await fetch("/settle", {
                            method: "POST",
                            body: new URLSearchParams({ confirm: code }),
                        });
                        if (answer.ok) {
                            return;
                        }
                    } catch {
                        /* nginx is being reloaded */
                    }
                }
            };

            source.onopen = () => seen.opens++;
            source.onerror = () => seen.errors++;
            source.onmessage = async (event) => {
                const message = JSON.parse(event.data);

                seen.ids += (event.lastEventId === message.MessageCode);
                seen.data.push(message.MessageData);
                await settle(message.MessageCode);

                if (message.MessageData === "stop") {
                    seen.state = source.readyState;
                    source.close();
                    resolve(seen);
                }
            };
        }));

        console.log(JSON.stringify(seen));
    } finally {
        await context.close();
    }
}

main().catch((error) => {
    console.error(error.stack);
    process.exitCode = 1;
});
