/*
 * How long the console's pages take until they show what there is, in
 * Chromium: node page.js PORT KEY DIR PID TURNS.  DIR is for the browser's
 * files; PID is that of nginx's worker, in which turn.c is, whose file is
 * TURNS.  Prints JSON: for each view milliseconds from its address until its
 * data is there, and the longest turns of the worker's event loop meanwhile.
 */
"use strict";

const { execFileSync } = require("node:child_process");
const { existsSync, readFileSync, rmSync } = require("node:fs");
const { chromium } = require("../../t/node_modules/playwright-core");

const [port, key, dir, pid, turns] = process.argv.slice(2);

const ROUNDS = 5;
const PATIENCE = 60000;            /* ms */

/* what questions.sh fills topics with, and what is in no message */
const TOPIC = "waits-7";
const THERE = "wxyz ABCD";
const NOWHERE = "there is none";

/* the first hundred, with the beginning of their data */
const LIST = "tbody tr:nth-child(100) td.preview:not(:empty)";
const CHARTS = "main .charts .u-wrap";
const EMPTY = "main .empty:not(#before)";

/* their addresses, and what has to be there, when nothing of it was */
const VIEWS = {
    "overview": ["Console", CHARTS],
    "topics": ["Topics", "tbody tr:nth-child(100)"],
    "a topic": ["Topics/" + TOPIC, CHARTS],
    "clients": ["Clients", EMPTY + ", main tbody tr"],
    "messages": ["Messages", LIST],
    "messages, oldest first": ["Messages?order=oldest", LIST],
    "messages of a topic": ["Messages?topic=" + TOPIC, LIST],
    "messages of a topic, oldest first":
        ["Messages?order=oldest&topic=" + TOPIC, LIST],
    "topics by a part of their names":
        ["Messages?part=" + TOPIC, LIST],
    "a text in the data":
        ["Messages?search=" + encodeURIComponent(THERE), LIST],
    "a text that is nowhere: the first answer":
        ["Messages?search=" + encodeURIComponent(NOWHERE),
         ".more [role=status]:not(:empty)"],
    "a text that is nowhere: all of it":
        ["Messages?search=" + encodeURIComponent(NOWHERE), EMPTY],
    "send and listen": ["Send", "main .pane"],
    "configuration": ["Configuration", "tbody tr:nth-child(20)"],
    "access": ["Access", "main .facts"],
};

/* The longest turns since it was asked before, in microseconds. */
async function longestTurns() {
    rmSync(turns, { force: true });
    execFileSync("kill", ["-RTMIN", pid]);

    while (!existsSync(turns)) {
        await new Promise((resolve) => setTimeout(resolve, 5));
    }

    const { wall_us: wall, cpu_us: cpu } = JSON.parse(
        readFileSync(turns, "utf8"));

    return { wall: wall.max, cpu: cpu.max };
}

/* From a page on which nothing is, and that asks for nothing. */
async function look(page, address, wanted) {
    await page.evaluate(() => { location.hash = "#/Nothing"; });
    await page.waitForSelector(EMPTY, { timeout: PATIENCE });
    await page.evaluate(() => {
        document.querySelector("main .empty").id = "before";
    });
    await longestTurns();

    const begun = performance.now();

    await page.evaluate((hash) => { location.hash = hash; }, "#/" + address);
    await page.waitForSelector(wanted, { timeout: PATIENCE });

    return { ms: performance.now() - begun, ...await longestTurns() };
}

async function signIn(page) {
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.fill("input[type=password]", key);
    await page.press("input[type=password]", "Enter");
    await page.waitForSelector("nav a", { timeout: PATIENCE });
}

async function measure(page) {
    const pages = {};

    for (let i = 0; i < ROUNDS; i++) {
        for (const [name, [address, wanted]] of Object.entries(VIEWS)) {
            try {
                (pages[name] ??= []).push(await look(page, address, wanted));
            } catch (error) {
                throw new Error(name, { cause: error });
            }
        }
    }

    return pages;
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
