/*
 * Every page, light and dark, on a wide screen and on a telephone: nothing that
 * keeps anybody out, nothing that one has to scroll sideways for.
 */
"use strict";

const { PAGES } = require("./addresses.js");
const { die } = require("./topics.js");

const WIDTHS = [1280, 400];
const NARROWEST = 320;
const HEIGHT = 800;

/* The rules that colours have to do with. */
const COLOURS = ["color-contrast", "link-in-text-block"];

async function looksWell(visitor, name) {
    const { page } = visitor;

    await page.setViewportSize({ width: NARROWEST, height: HEIGHT });
    await visitor.fitsIn(name + ", " + NARROWEST);
    await visitor.hasCards(name + ", " + NARROWEST);

    for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: HEIGHT });
        await visitor.fitsIn(name + ", " + width);

        await page.emulateMedia({ colorScheme: "light" });
        await visitor.accessible(name + ", " + width + ", light");
        await page.emulateMedia({ colorScheme: "dark" });
        await visitor.accessible(name + ", " + width + ", dark", COLOURS);
    }
}

/* What chooses a message is beside what leads to it, not over it. */
async function apart(visitor) {
    const box = (where) => visitor.page.getByRole("table").locator(
        "tbody tr").first().locator(where).boundingBox();
    const choose = await box("td.choose input");
    const code = await box("td.code a");

    visitor.ok(choose.x >= 0 && choose.x + choose.width <= code.x,
               "a checkbox is beside its message");
}

async function appearance(visitor) {
    const { page, server, name } = visitor;
    const topic = name + "-looks";

    await die(visitor, topic, 2);

    const consumer = await server.consumer(topic, name + "-looks",
                                           { ack: false });

    await server.publish(topic, "{\"a\":[1,2,{\"b\":\"" + "long ".repeat(50)
                         + "\"}]}", "x".repeat(500));
    await server.publishLater(topic, "later", 3600);

    for (const one of PAGES) {
        await visitor.go(one, one === "Messages" ? topic : undefined);
        await visitor.loaded();
        await looksWell(visitor, one);
        one === "Messages" && await apart(visitor);
    }

    await visitor.go("Topics", topic);
    await visitor.loaded();
    await visitor.sees(visitor.role("table", visitor.t("topic.clients")),
                       "a topic's clients");
    await visitor.sees(visitor.role("table", visitor.t("count.Dead")),
                       "and its dead");
    await looksWell(visitor, "a topic");
    await visitor.button("topic.purge").click();
    await looksWell(visitor, "a question");
    await visitor.button("action.cancel").click();

    await visitor.go("Messages", topic);
    await visitor.opensMessage();
    await looksWell(visitor, "a message");

    visitor.watch.allow(/status of 404.*\/Console\/GetTopic/);
    await visitor.go("Topics", "nobody knows me");
    await looksWell(visitor, "an unknown topic");
    await consumer.leave();
    await server.ask("PurgeTopic", { topic, status: 3 });
}

module.exports = { appearance };
