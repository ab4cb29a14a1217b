/* A server that goes and comes back, one that hangs, and one that has a new
 * key. */
"use strict";

const { slower } = require("./report.js");

const NEW_KEY = "clé 钥匙";

/* That nobody answers: since when. */
const lost = (visitor) => visitor.page.getByRole("alert").getByText(
    visitor.like("error.lost"));

const dimmed = (visitor) => visitor.page.locator("main.stale");

/* As it is said: 04:32:09 of the viewer's zone, at most so many seconds ago. */
async function saysWhen(visitor, most) {
    const text = await lost(visitor).textContent();
    const [time] = text.match(/\d\d:\d\d:\d\d/) ?? [""];
    const known = Array.from({ length: most + 1 }, (_, i) =>
        visitor.format(Date.now() / 1000 - i, { hour: "2-digit",
            minute: "2-digit", second: "2-digit", hourCycle: "h23" }));

    visitor.ok(known.includes(time), "as of when", text);
}

async function gone(visitors, server) {
    const each = (test) => Promise.all(visitors.map(test));

    await server.publish("kept", "1");
    await each(async (visitor) => {
        visitor.watch.allow(/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET/);
        await visitor.go("Topics");
        await visitor.sees(visitor.role("link", "kept"),
                           "the server is there");
    });

    await server.act("stop");
    await each((visitor) => visitor.sees(lost(visitor),
                                         "the server is gone: says so"));
    await each(async (visitor) => {
        const { y } = await lost(visitor).boundingBox();

        await saysWhen(visitor, 30);
        visitor.ok(y < 60, "on top of all", y);
        visitor.ok(await dimmed(visitor).isVisible(), "numbers are dimmed");
        await visitor.accessible("a server that is gone");
        await visitor.fitsIn("a server that is gone");
        visitor.ok(await visitor.role("link", "kept").isVisible(),
                   "and shows what it knows");
    });

    await server.act("launch");
    await server.publish("new", "1");
    await each(async (visitor) => {
        await visitor.sees(visitor.role("link", "new"),
                           "the server is back: goes on by itself");
        await visitor.seesNot(lost(visitor), "and is content");
        await visitor.seesNot(dimmed(visitor), "numbers are of now");
    });
}

/* A server that takes requests and answers none: found although nobody did
 * anything.  What a busy machine may add is not our 3 seconds. */
async function hung(visitors, server) {
    const each = (test) => Promise.all(visitors.map(test));
    const slack = Number(process.env.KMQ_SLACK ?? 2000) * await slower();

    await each(async (visitor) => {
        await visitor.go("Console");
        await visitor.loaded();
        await visitor.sees(visitor.page.locator(".health").first(),
                           "how the queue is");
    });
    await server.act("freeze");
    const since = Date.now();

    await each(async (visitor) => {
        await visitor.sees(lost(visitor), "the server hangs: says so");
        visitor.ok(Date.now() - since < 3000 + slack, "soon",
                   Date.now() - since);
        await saysWhen(visitor, 30);
        visitor.ok(await dimmed(visitor).isVisible(), "numbers are dimmed");
        await visitor.sees(visitor.page.getByText(
            visitor.t("health.unknown")), "nothing is called healthy");
        await visitor.accessible("a server that hangs");
    });

    await server.act("thaw");
    await each(async (visitor) => {
        await visitor.seesNot(lost(visitor), "it goes on: all is well");
        await visitor.seesNot(dimmed(visitor), "and seen to be");
    });
}

async function newKey(visitors, server) {
    const each = (test) => Promise.all(visitors.map(test));

    await each(async (visitor) => {
        visitor.watch.allow(/status of 401/);
        await visitor.go("Topics");
    });
    await server.act("key", NEW_KEY);
    await each(async (visitor) => {
        await visitor.sees(visitor.alert("login.rejected"),
                           "the key was changed: asks for the new one");
        await visitor.enterKey(NEW_KEY);
        await visitor.sees(visitor.heading(visitor.t("page.Topics")),
                           "and goes on where it was");
    });
}

module.exports = { gone, hung, newKey };
