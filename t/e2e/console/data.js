/* What is in messages: much of it, and what cannot be seen. */
"use strict";

const { detail, row } = require("./messages.js");
const { slower } = require("./report.js");

const BIG = JSON.stringify(Array.from({ length: 11000 }, (_, i) => ({
    id: "1234567890123456789" + i, name: "order \" " + i,
    items: [i, { price: i / 8 }] })));
const UNSEEN = "pay \u202egnp.exe\u202c now\u0007\u200b!";
const SHOWN = "pay U+202Egnp.exeU+202C nowU+0007U+200B!";
const LONGEST = Number(process.env.KMQ_LONGEST ?? 700);        /* ms */

const data = (visitor) => detail(visitor).locator("pre");

/* Tasks of the page that kept it from doing anything else: their lengths. */
function watchTasks() {
    window.tasks = [];
    new PerformanceObserver((list) => window.tasks.push(
        ...list.getEntries().map(({ duration }) => duration)))
        .observe({ type: "longtask" });
}

async function big(visitor, topic) {
    const { page, server } = visitor;
    const [code] = await server.publish(topic, BIG);
    const wanted = JSON.stringify(JSON.parse(BIG), null, 2);

    visitor.ok(BIG.length > 800000, "nearly a megabyte", BIG.length);
    await visitor.go("Messages", topic);
    await page.evaluate(watchTasks);
    await row(visitor, code).click();
    await visitor.sees(data(visitor), "opens");
    await visitor.button("message.showAll").click();
    await visitor.until(() => data(visitor).evaluate(
        (pre, length) => pre.textContent.length === length, wanted.length),
        "all of it");
    visitor.is(await data(visitor).evaluate((pre) => pre.textContent)
        === wanted, true, "with line breaks");
    await data(visitor).evaluate((pre) => pre.scrollTo(0, 1e9));
    await visitor.until(() => data(visitor).getByText("order \\\" 10999")
        .isVisible(), "to its end");

    const longest = await page.evaluate(() => Math.max(0, ...window.tasks));

    visitor.ok(longest < LONGEST * await slower(),
               "and the page goes on meanwhile", longest);
    await server.ask("PurgeTopic", { topic });
}

async function unseen(visitor, topic) {
    const { server } = visitor;
    const [code] = await server.publish(topic, UNSEEN);

    await visitor.go("Messages", topic);
    await row(visitor, code).click();
    await visitor.becomes(() => data(visitor).textContent(), SHOWN,
                          "what cannot be seen is told by its code");
    await visitor.accessible("what cannot be seen");
    await server.ask("PurgeTopic", { topic });
}

async function contents(visitor) {
    await big(visitor, visitor.name + "-big");
    await unseen(visitor, visitor.name + "-unseen");
}

module.exports = { contents };
