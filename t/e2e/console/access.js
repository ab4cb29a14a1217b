/*
 * What is offered to whom: keys that may do everything, see everything, or have
 * a few topics; a token.  What is not offered is refused by the server, too.
 */
"use strict";

const { createHmac } = require("node:crypto");
const { PATIENCE } = require("./report.js");

/* Of application.yaml, by their names: console.t. */
const KEYS = {
    everything: "everything-value", viewer: "viewer-value",
    clerk: "clerk-value", worker: "worker-value", clerk2: "clerk-next",
};
const SECRET = "a secret of thirty-two bytes, 012";
const PAGES = ["Console", "Topics", "Clients", "Messages", "Send",
               "Configuration", "Access"];
const FEW = PAGES.filter((page) => !["Console", "Configuration"].includes(
    page));

const path = (role, topic, id) => "/" + [role, "Conn", topic, id]
    .map(encodeURIComponent).join("/");

/* A token, good for so many seconds. */
function token(claims, seconds = 600) {
    const part = (data) => Buffer.from(JSON.stringify(data))
        .toString("base64url");
    const text = part({ alg: "HS256", typ: "JWT" }) + "." + part({
        exp: Math.floor(Date.now() / 1000) + seconds, ...claims });

    return text + "." + createHmac("sha256", SECRET).update(text)
        .digest("base64url");
}

/* Somebody who comes with a key of his own; page: where one gets with it. */
async function come(known, key, page) {
    const visitor = await known.stranger();

    visitor.watch.key = key;
    visitor.key = key;
    await visitor.page.goto(visitor.server.url + "/");
    await visitor.enterKey(key);
    await visitor.sees(visitor.heading(visitor.t("page." + page)),
                       "signs in, and begins with " + page);
    return visitor;
}

/* The pages that are offered; those of another title by that. */
async function offers(visitor, pages, titles = {}) {
    const navigation = visitor.role("navigation", visitor.t("nav.pages"));

    await visitor.becomes(() => navigation.getByRole("link").allInnerTexts()
        .then((all) => all.map((one) => one.trim())),
        pages.map((page) => visitor.t(titles[page] ?? "page." + page)),
        "these pages are offered");
}

/* What the server says to the same key, whatever the page offers. */
async function status(visitor, name, parameters = {}) {
    const answer = await fetch(visitor.server.url + name, {
        method: "POST",
        headers: { "Content-Type": "application/json",
                   secretKey: visitor.key },
        body: JSON.stringify(parameters),
    });

    return answer.status;
}

async function refuses(visitor, calls) {
    for (const [name, parameters] of calls) {
        visitor.is(await status(visitor, name, parameters), 403,
                   "the server refuses " + name);
    }
}

/* A message that waits, and a consumer of another topic. */
async function prepare(visitor) {
    const { server, name } = visitor;
    const topic = name + "-a.orders";
    const other = name + "-a-other";

    return {
        topic,
        other,
        code: (await server.publish(topic, "an order"))[0],
        otherCode: (await server.publish(other, "not yours"))[0],
        client: await server.consumer(name + "-a.work", name + "-a-c"),
        otherClient: await server.consumer(name + "-a-else", name + "-a-o"),
    };
}

async function connection(visitor, topic) {
    const [client] = await visitor.server.ask("GetClientList", { topic });

    return client.Connection;
}

async function shown(visitor, button, wanted, name) {
    visitor.is(await button.count(), wanted ? 1 : 0, name + (wanted
        ? ": offered" : ": not offered"));
}

/* What can be done to a topic, a client, and a message. */
async function actions(visitor, at, wanted) {
    const { name } = visitor;
    const id = name + "-a-c";

    await visitor.go("Topics", at.topic);
    await visitor.loaded();
    await shown(visitor, visitor.button("topic.purge"), wanted, "purge");
    await shown(visitor, visitor.button("topic.requeueDead"), wanted,
                "requeue");

    await visitor.go("Clients");
    await visitor.field("clients.search").fill(id);
    await visitor.becomes(() => visitor.column(visitor.t("page.Clients"),
        "client.id"), [id], "a client is seen");
    await visitor.becomes(() => visitor.column(visitor.t("page.Clients"),
        "client.user"), ["secretKey"], "and by which key it came");
    await shown(visitor, visitor.button("client.disconnectId", { id }),
                wanted, "disconnect");

    await visitor.go("Messages", at.topic);
    await visitor.link("message.show", { code: at.code }).click();
    await visitor.sees(visitor.button("message.copyCode"),
                       "a message is seen");
    await visitor.loaded();
    await shown(visitor, visitor.button("action.delete"), wanted, "delete");
}

/* --- all keys */

async function keysAreListed(visitor) {
    const caption = visitor.t("access.keys");
    const row = async (name) => (await visitor.rows(caption)).find((one) =>
        one[visitor.t("access.name")] === name);
    const is = async (name, keys, wanted) => visitor.is(
        await row(name).then((one) => keys.map((key) => one[visitor.t(key)])),
        wanted, "the rights of " + name);
    const rights = ["access.produce", "access.consume", "access.console",
                    "access.metrics"];
    const [yes, no] = [visitor.t("access.yes"), visitor.t("access.no")];

    await visitor.go("Access");
    await visitor.loaded();
    visitor.is(await visitor.column(caption, "access.name"),
        ["clerk", "everything", "secretKey", "viewer", "worker"],
        "all keys, by name");
    await is("secretKey", rights, ["*", "*", visitor.t("access.write"), yes]);
    await is("viewer", rights, ["–", "*", visitor.t("access.read"), no]);
    await is("worker", rights, ["work", "–", visitor.t("access.none"), no]);
    await is("worker", ["access.lastUse"], [visitor.t("access.never")]);
    visitor.ok(/\d\d:\d\d:\d\d/.test((await row("everything"))[
        visitor.t("access.lastUse")]), "when a key was used last");
    visitor.ok((await row("clerk"))[visitor.t("access.lastUse")].includes(
        visitor.t("access.value", { n: 2 }) + " "
        + visitor.t("access.never")), "and each of its values");
    await visitor.sees(visitor.page.getByText(
        visitor.t("access.tokensOn")), "tokens are accepted");

    const html = await visitor.page.content();
    visitor.is([...Object.values(KEYS), SECRET, visitor.server.key].filter(
        (key) => html.includes(key)), [], "no value of a key is shown");
    await visitor.accessible("access");
    await visitor.fitsIn("access");
    await visitor.role("link", "everything").click();
    await visitor.becomes(() => visitor.field("clients.search").inputValue(),
        "everything", "a name leads to its clients");
}

async function everything(known, at) {
    const visitor = await come(known, KEYS.everything, "Console");

    await offers(visitor, PAGES);
    await actions(visitor, at, true);
    await keysAreListed(visitor);
    await visitor.leave();
}

/* --- one that sees all */

async function viewer(known, at) {
    const visitor = await come(known, KEYS.viewer, "Console");
    const { topic, code } = at;

    await offers(visitor, PAGES, { Send: "listen.title" });
    await actions(visitor, at, false);
    await visitor.page.goto(visitor.address("Send"));
    await visitor.sees(visitor.button("listen.start"), "it may listen");
    await shown(visitor, visitor.button("send.send"), false, "send");
    await refuses(visitor, [
        ["/Console/PurgeTopic", { topic }],
        ["/Console/RequeueMessage", { topic }],
        ["/Console/DelMessage", { messageCode: code }],
        ["/Console/Disconnect", { connection: await connection(visitor,
            visitor.name + "-a.work") }],
        ["/Producer/Send", { topic, messageData: "x" }],
    ]);
    await visitor.leave();
}

/* --- one that may do everything to some topics */

/* Topics, messages and clients of others are not seen. */
async function seesItsOwn(visitor, at) {
    const { page, name } = visitor;
    const caption = visitor.t("page.Topics");

    await visitor.go("Topics");
    await visitor.field("topics.search").fill(name + "-a");
    await visitor.becomes(() => visitor.column(caption, "topic.name"),
        [at.topic, name + "-a.work"], "its topics alone");
    await visitor.go("Clients");
    await visitor.field("clients.search").fill(name + "-a-");
    await visitor.becomes(() => visitor.column(visitor.t("page.Clients"),
        "client.id"), [name + "-a-c"], "their clients alone");

    visitor.watch.allow(/status of 403/);
    await visitor.go("Topics", at.other);
    await visitor.sees(page.getByText(visitor.t("topic.forbidden")),
                       "another topic: says that there is no right");
    await shown(visitor, visitor.button("topic.purge"), false, "purge");
    await visitor.go("Configuration");
    await visitor.sees(page.getByText(visitor.t("access.noPage")),
                       "another page: says so, too");
    await visitor.go("Access");
    visitor.is(await visitor.role("table", visitor.t("access.keys")).count(),
               0, "other keys are not listed");
    await visitor.sees(page.getByRole("definition")
        .getByText(visitor.t("access.write"), { exact: true }),
        "its own rights are");
    await visitor.accessible("access of a few topics");
}

/* Sends to a topic of its own; to no other. */
async function sends(visitor, at) {
    const where = visitor.region("send.title");
    const field = visitor.field("topic.name", where);
    const send = visitor.button("send.send", {}, where);

    await visitor.go("Send");
    visitor.is(await field.inputValue(), "en-a.hello",
               "it begins with a topic that it may use");
    await visitor.sees(where.getByText(visitor.t("topic.allowed",
        { topics: "en-a.*, zh-a.*" })), "and tells which those are");
    await visitor.accessible("sending of a few topics");
    await visitor.fitsIn("sending of a few topics");
    await field.fill(at.other);
    await visitor.until(() => send.isDisabled(), "another one: not offered");
    await field.fill(at.topic);
    await send.click();
    await visitor.sees(where.getByText(visitor.like("send.accepted")),
                       "its own: sent");
}

async function clerk(known, at) {
    const visitor = await come(known, KEYS.clerk, "Topics");
    const { other, otherCode } = at;

    await offers(visitor, FEW);
    await actions(visitor, at, true);
    await seesItsOwn(visitor, at);
    await sends(visitor, at);
    await refuses(visitor, [
        ["/Console/GetOverview"], ["/Console/GetConfig"],
        ["/Console/GetSettings"], ["/Console/GetKeys"],
        ["/Console/GetClients"], ["/Console/CountMessage"],
        ["/Console/GetTopic", { topic: other }],
        ["/Console/GetMessage", { messageCode: otherCode }],
        ["/Console/PurgeTopic", { topic: other }],
        ["/Console/DelMessage", { messageCode: otherCode }],
        ["/Console/Disconnect", { connection: await connection(visitor,
            visitor.name + "-a-else") }],
        ["/Producer/Send", { topic: other, messageData: "x" }],
    ]);
    await visitor.leave();
}

/* --- the holder of a token */

async function holder(known, at) {
    const { server, name } = known;
    const topic = name + "-inbox.anna";
    const key = token({ sub: "anna", kapokmq: { console: "read", id: "{sub}",
        consume: [name + "-inbox.{sub}"] } });

    await server.publish(topic, "for anna");
    const visitor = await come(known, key, "Topics");
    const where = visitor.region("listen.title");

    await offers(visitor, FEW, { Send: "listen.title" });
    await visitor.becomes(() => visitor.column(visitor.t("page.Topics"),
        "topic.name"), [topic], "its topic alone");
    await visitor.role("link", topic).click();
    await visitor.becomes(() => visitor.figure("count.Waiting"), "1",
                          "and what waits in it");
    await shown(visitor, visitor.button("topic.purge"), false, "purge");

    await visitor.page.goto(visitor.address("Send"));
    await visitor.sees(visitor.heading(visitor.t("listen.title")),
                       "it may listen");
    await visitor.button("listen.start", {}, where).click();
    await visitor.sees(where.getByText("for anna"), "and gets what waits");
    visitor.is((await server.ask("GetClientList", { topic })).map(
        ({ Id, User }) => [Id, User]), [["anna", "anna"]],
        "with the only id that it may have");
    await visitor.accessible("listening with a token");
    await visitor.fitsIn("listening with a token");
    await refuses(visitor, [
        ["/Console/GetOverview"], ["/Console/GetKeys"],
        ["/Console/GetTopic", { topic: at.topic }],
        ["/Console/PurgeTopic", { topic }],
        ["/Producer/Send", { topic, messageData: "x" }],
    ]);
    await visitor.leave();
}

/* Signs in, and listens; false: the key has expired before that. */
async function listens(visitor) {
    const refused = visitor.alert("login.rejected")
        .or(visitor.alert("login.wrong"));
    const where = visitor.region("listen.title");
    const on = visitor.status("listen.on", {}, where);
    const either = async (locator) => {
        await locator.or(refused).first().waitFor();
        return await refused.count() === 0;
    };

    await visitor.page.goto(visitor.server.url + "/");
    await visitor.enterKey(visitor.key);

    if (!await either(visitor.heading(visitor.t("page.Topics")))) {
        return false;
    }

    await visitor.page.goto(visitor.address("Send"));

    if (!await either(visitor.button("listen.start"))) {
        return false;
    }

    await visitor.button("listen.start").click();
    await either(on);
    return await on.count() > 0;
}

/* Who is in is not in for longer than the token is good: long enough to get
 * there, on a busy machine, too. */
async function expires(known) {
    for (let seconds = 5; ; seconds *= 2) {
        const visitor = await known.stranger();

        visitor.key = token({ sub: "bob", kapokmq: { console: "read",
            consume: ["bob"] } }, seconds);
        visitor.watch.key = visitor.key;
        visitor.watch.allow(/status of 401/);

        if (!await listens(visitor)) {
            await visitor.context.close();
            continue;
        }

        visitor.ok(true, "it listens");
        await visitor.alert("login.rejected")
            .waitFor({ timeout: 1000 * seconds + PATIENCE });
        visitor.ok(true, "until the token expires: it has to sign in again");
        await visitor.leave();
        return;
    }
}

async function withoutConsole(known) {
    const visitor = await known.stranger();

    visitor.watch.key = KEYS.worker;
    visitor.watch.allow(/status of 403.*\/Console\/GetAccess/);
    await visitor.page.goto(visitor.server.url + "/");
    await visitor.enterKey(KEYS.worker);
    await visitor.sees(visitor.alert("login.forbidden"),
                       "a key without a right to the console: says so");
    await visitor.leave();
}

async function access(known) {
    const at = await prepare(known);

    await everything(known, at);
    await viewer(known, at);
    await clerk(known, at);
    await holder(known, at);
    await expires(known);
    await withoutConsole(known);
    await Promise.all([at.client.leave(), at.otherClient.leave()]);
}

/* A right that a reload takes is not offered any more. */
async function fewer(visitors, server) {
    const each = (list, test) => Promise.all(list.map(test));
    const clerks = await each(visitors, (known) =>
        come(known, KEYS.clerk, "Topics"));

    await each(clerks, async (visitor) => {
        const topic = visitor.name + "-a.orders";

        await server.publish(topic, "1");
        visitor.watch.allow(/status of 403|ERR_CONNECTION/);
        await visitor.go("Topics", topic);
        await visitor.sees(visitor.button("topic.purge"), "it may purge");
    });
    await server.act("fewer");
    await each(clerks, async (visitor) => {
        const topic = visitor.name + "-a.orders";
        const dialog = visitor.dialog("topic.purgeTitle", { topic });

        await visitor.button("topic.purge").click();
        await visitor.button("topic.purgeNow", {}, dialog).click();
        await visitor.sees(dialog.getByRole("alert").locator("p"),
                           "a right was taken away: says so");
        await visitor.seesNot(visitor.button("topic.purge"),
                              "and offers it no more");
        await visitor.leave();
    });
}

module.exports = { access, fewer };
