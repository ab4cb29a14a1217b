/* A server that goes and comes back, and one that has a new key. */
"use strict";

const NEW_KEY = "clé 钥匙";

async function gone(visitors, server) {
    const each = (test) => Promise.all(visitors.map(test));
    const trouble = (visitor) => visitor.alert("error.retrying");

    await server.publish("kept", "1");
    await each(async (visitor) => {
        visitor.watch.allow(/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET/);
        await visitor.go("Topics");
        await visitor.sees(visitor.role("link", "kept"),
                           "the server is there");
    });

    await server.act("stop");
    await each((visitor) => visitor.sees(trouble(visitor),
                                         "the server is gone: says so"));
    await each(async (visitor) => {
        visitor.ok((await visitor.alert("error.connection").count()) === 1,
                   "and why");
        visitor.ok(await visitor.role("link", "kept").isVisible(),
                   "and shows what it knows");
    });

    await server.act("launch");
    await server.publish("new", "1");
    await each(async (visitor) => {
        await visitor.sees(visitor.role("link", "new"),
                           "the server is back: goes on by itself");
        await visitor.seesNot(trouble(visitor), "and is content");
    });
}

async function newKey(visitors, server) {
    const each = (test) => Promise.all(visitors.map(test));

    await each(async (visitor) => {
        visitor.watch.allow(/status of 401/);
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

module.exports = { gone, newKey };
