/*
 * How long the console's pages take until they show what there is, in
 * Chromium: node page.js PORT KEY DIR.  DIR is for the browser's files.  Prints
 * JSON: milliseconds from a click on a page's link until its data is there.
 */
"use strict";

const { chromium } = require("../../t/node_modules/playwright-core");

const [port, key, dir] = process.argv.slice(2);

const ROUNDS = 5;

/* what has to be there, when nothing of it was */
const PAGES = {
    Topics: "tbody tr:nth-child(100)",
    Clients: "main .empty, main tbody tr",
    Messages: "tbody tr:nth-child(100)",
    Configuration: "tbody tr:nth-child(20)",
    Console: ".charts .u-wrap",
};

const DETAIL = "main .charts .u-wrap";

async function time(page, click, wanted) {
    const begun = performance.now();

    await click();
    await page.waitForSelector(wanted, { timeout: 60000 });
    return performance.now() - begun;
}

async function signIn(page) {
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.fill("input[type=password]", key);
    await page.press("input[type=password]", "Enter");
    await page.waitForSelector("nav a", { timeout: 60000 });
}

async function measure(page) {
    const times = { Topic: [] };

    for (let i = 0; i < ROUNDS; i++) {
        for (const [name, wanted] of Object.entries(PAGES)) {
            const link = page.locator(`nav a[href="#/${name}"]`);

            (times[name] ??= []).push(
                await time(page, () => link.click(), wanted));

            if (name === "Topics") {
                const first = page.locator("tbody a").first();

                times.Topic.push(
                    await time(page, () => first.click(), DETAIL));
            }
        }
    }

    return times;
}

async function main() {
    const context = await chromium.launchPersistentContext(dir, {
        executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-gpu", "--disable-quic",
               "--no-first-run", "--disable-background-networking",
               "--disable-component-update", "--disable-sync"],
    });

    try {
        const page = await context.newPage();

        await signIn(page);

        const pages = await measure(page);

        console.log(JSON.stringify({ pages }));
    } finally {
        await context.close();
    }
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
