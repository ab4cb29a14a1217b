/*
 * node main.js PORT KEY APPLICATION.YAML, started by console.t: uses the page
 * that nginx serves, as two people do at the same time.
 */
"use strict";

const { ok } = require("./report.js");
const { program } = require("./visit.js");
const { access, fewer } = require("./access.js");
const { addresses, belowAPath } = require("./addresses.js");
const { clients } = require("./clients.js");
const { choices } = require("./choices.js");
const { contents } = require("./data.js");
const { configuration } = require("./configuration.js");
const { failing } = require("./failing.js");
const { gone, hung, newKey } = require("./gone.js");
const { keyboard } = require("./keyboard.js");
const { appearance } = require("./appearance.js");
const { login } = require("./login.js");
const { messages } = require("./messages.js");
const { hidden, limits, overview } = require("./overview.js");
const { listeners, sendAndListen } = require("./send.js");
const { topics } = require("./topics.js");
const { troubles } = require("./troubles.js");

const LOOKS = [
    { name: "en", language: "en", locale: "en-US", colorScheme: "light",
      timezoneId: "America/New_York", viewport: { width: 1280, height: 800 } },
    { name: "zh", language: "zh", locale: "zh-CN", colorScheme: "dark",
      timezoneId: "Asia/Kathmandu", viewport: { width: 400, height: 800 } },
];

/*
 * What fails ends itself, not what comes after it.  KMQ_ONLY, a pattern, says
 * which sections to do; KMQ_TIMES=1 how long they take.
 */
async function section(name, body, visitors) {
    const before = Date.now();

    if (!new RegExp(process.env.KMQ_ONLY ?? "").test(name)) {
        return;
    }

    try {
        await body();
    } catch (error) {
        const pages = await Promise.all(visitors.map((visitor) =>
            visitor.page.locator("main").ariaSnapshot().catch(() => "")));

        ok(false, name, [error.stack, ...pages].map(
            (text) => text.slice(0, 3000)).join("\n\n"));
    }

    if (process.env.KMQ_TIMES) {
        console.error(name + ": " + (Date.now() - before) + " ms");
    }
}

const each = (visitors, test) => Promise.all(visitors.map((visitor) =>
    section(visitor.name + ": " + test.name, () => test(visitor), [visitor])));

/* Each visitor does one after the other, in a tab of its own. */
function inTabs(visitors, ...tests) {
    return Promise.all(visitors.map(async (visitor) => {
        const tab = await visitor.anotherTab();

        for (const test of tests) {
            await each([tab], test);
        }

        await tab.page.close();
    }));
}

program(LOOKS, async (visitors, server) => {
    await each(visitors, login);
    await Promise.all([
        section("overview", () => overview(visitors, server), visitors),
        inTabs(visitors, configuration, addresses, choices, hidden,
               troubles),
    ]);
    await Promise.all([
        inTabs(visitors, topics, clients, sendAndListen, failing,
               keyboard),
        inTabs(visitors, messages, contents, belowAPath, appearance),
        each(visitors, access),
    ]);
    await section("fewer", () => fewer(visitors, server), visitors);
    await section("gone", () => gone(visitors, server), visitors);
    await section("hung", () => hung(visitors, server), visitors);
    await section("listeners", () => listeners(visitors, server),
                  visitors);
    await section("limits", () => limits(visitors, server), visitors);
    await section("new key", () => newKey(visitors, server), visitors);
});
