/* The list of topics, one of them in detail, and what can be done to it. */
"use strict";

const HTML = "<img src=x onerror='throw 1'>&/?%23";
const TURNED = "-pay\u202egnp.exe";
const SEEN = "-pay‹U+202E›gnp.exe";

const link = (visitor, name) => visitor.role("link", name);

const names = (visitor) =>
    visitor.column(visitor.t("page.Topics"), "topic.name");

const head = (visitor, key) => visitor.role("columnheader", visitor.t(key));

async function sortBy(visitor, key, order, wanted) {
    await visitor.button(key, {}, head(visitor, key)).click();
    await visitor.becomes(() => head(visitor, key).getAttribute("aria-sort"),
                          order, "sorted by " + key + ", " + order);
    await visitor.becomes(() => names(visitor), wanted, "in that order");
}

async function list(visitor) {
    const { server, name } = visitor;
    const [a, b, c] = ["alpha", "beta", "gamma"].map((one) =>
        name + "-t-" + one);
    const search = visitor.field("topics.search");
    const waiting = () => visitor.column(visitor.t("page.Topics"),
                                         "count.Waiting");

    await server.publish(b, "1");
    await server.publish(a, "1", "2");
    await server.publish(c, "1", "2", "3");
    await server.publishLater(b, "later", 3600);

    await visitor.go("Topics");
    await search.fill(name.toUpperCase() + "-T-");
    await visitor.becomes(() => names(visitor), [a, b, c],
                          "topics: searched, by name");
    visitor.is(await waiting(), ["2", "1", "3"], "what waits in each");
    visitor.is(await visitor.column(visitor.t("page.Topics"),
        "count.Delayed"), ["0", "1", "0"], "what is delayed");

    await sortBy(visitor, "count.Waiting", "descending", [c, a, b]);
    await sortBy(visitor, "count.Waiting", "ascending", [b, a, c]);
    await sortBy(visitor, "topic.name", "ascending", [a, b, c]);
    visitor.is(await head(visitor, "count.Waiting").getAttribute("aria-sort"),
               "none", "by one column at a time");

    await server.publish(b, "2", "3", "4");
    await visitor.becomes(waiting, ["2", "4", "3"], "figures change");
    visitor.is(await names(visitor), [a, b, c], "the order does not");

    await sortBy(visitor, "topic.name", "descending", [c, b, a]);
    await search.press("End");
    await search.pressSequentially("BET");
    await visitor.becomes(() => names(visitor), [b], "searched further");
    await search.fill(name + "-t-");
    await visitor.becomes(() => names(visitor), [c, b, a],
                          "and the order is kept");
    await search.fill("there is none");
    await visitor.sees(visitor.page.getByText(visitor.t("topics.noneFound",
        { search: "there is none" })), "none is found: says so");
}

async function strange(visitor) {
    const topic = visitor.name + HTML;

    await visitor.server.publish(topic, "1");
    await visitor.go("Topics");
    await visitor.field("topics.search").fill("<IMG");
    await link(visitor, topic).click();
    await visitor.sees(visitor.heading(topic), "any name leads to its topic");
    await visitor.becomes(() => visitor.figure("count.Waiting"), "1",
                          "and to what is in it");
    visitor.is(await visitor.page.locator("img").count(), 0,
               "and is no HTML");
    await visitor.server.ask("PurgeTopic", { topic });
}

/* A name that would be read as another one. */
async function turned(visitor) {
    const topic = visitor.name + TURNED;

    await visitor.server.publish(topic, "1");
    await visitor.go("Topics");
    await visitor.field("topics.search").fill("gnp.exe");
    await visitor.role("link", visitor.name + SEEN).click();
    await visitor.sees(visitor.heading(visitor.name + SEEN),
                       "what turns a name around is seen");
    await visitor.server.ask("PurgeTopic", { topic });
}

async function charts(visitor) {
    for (const [title, rows] of [
        [visitor.t("overview.hour"), 60],
        [visitor.t("topic.fortnight"), 14],
    ]) {
        const figure = visitor.page.getByRole("figure")
            .filter({ hasText: title });

        await visitor.sees(figure.locator("canvas"), title + ": is drawn");
        await figure.getByText(visitor.t("chart.asTable")).click();
        const list = await visitor.rows(title);
        visitor.is(list.length, rows, title + ": has all its rows");
        visitor.is(list.reduce((sum, row) =>
            sum + Number(row[visitor.t("count.Published")]), 0), 4,
            title + ": has what was published");
    }

    const backlog = async (title) => (await visitor.rows(visitor.t(title)))
        .pop()?.[visitor.t("count.Backlog")];

    visitor.is(await backlog("overview.hour"), "1", "and its backlog");
    await visitor.page.getByRole("figure")
        .filter({ hasText: visitor.t("overview.live") })
        .getByText(visitor.t("chart.asTable")).click();
    await visitor.becomes(() => backlog("overview.live"), "1",
                          "which is seen by the second, too");
}

/* An hour belongs to the day of the viewer's zone in which it begins. */
async function midnight(visitor) {
    const { page } = visitor;
    const url = "**/Console/GetTopic";
    const today = await page.evaluate(
        () => new Date().setHours(0, 0, 0, 0) / 1000);
    const first = Math.ceil(today / 3600) * 3600;
    const hour = (Time, Published) =>
        ({ Time, Published, Delivered: 0, Confirmed: 0 });

    await page.route(url, async (route) => {
        const { data, ...rest } = await (await route.fetch()).json();

        await route.fulfill({ json: { ...rest, data: { ...data,
            Hours: [hour(first - 3600, 20), hour(first, 1)] } } });
    });
    await visitor.becomes(async () =>
        (await visitor.rows(visitor.t("topic.fortnight"))).slice(-2)
            .map((row) => row[visitor.t("count.Published")]), ["20", "1"],
        "days begin at the viewer's midnight");
    await page.unroute(url);
}

/* A dialog has the focus, keeps it and gives it back. */
async function asks(visitor, button, dialog) {
    const { page } = visitor;
    const inside = () => dialog.evaluate((element) =>
        element.contains(document.activeElement)
        || document.activeElement === document.body);

    await button.focus();
    await page.keyboard.press("Enter");
    await visitor.sees(dialog, "it asks");
    visitor.ok(await dialog.evaluate((element) =>
        element.contains(document.activeElement)),
        "the question has the focus");

    for (let n = 0; n < 8; n++) {
        await page.keyboard.press("Tab");
        if (!visitor.ok(await inside(), "and keeps it")) {
            break;
        }
    }

    await page.keyboard.press("Escape");
    await visitor.seesNot(dialog, "Escape is no");
    await visitor.until(() => button.evaluate((element) =>
        element === document.activeElement), "and the focus is back");
    await button.click();
    await visitor.button("action.cancel", {}, dialog).click();
    await visitor.seesNot(dialog, "Cancel is no, too");
    await button.click();
}

async function purge(visitor) {
    const { server } = visitor;
    const topic = visitor.name + "-t-gamma";
    const dialog = visitor.dialog("topic.purgeTitle", { topic });
    const purgeAsk = (n) => dialog.getByText(
        visitor.t("topic.purgeAsk", { n, topic }));

    await server.publishLater(topic, "later", 3600);
    await visitor.go("Topics", topic);
    await visitor.becomes(() => visitor.figure("count.Waiting"), "3",
                          "the detail: what waits");
    await visitor.becomes(() => visitor.figure("count.Delayed"), "1",
                          "and what is delayed");
    await asks(visitor, visitor.button("topic.purge"), dialog);
    visitor.is((await server.topic(topic)).Waiting, 3, "nothing is purged");
    await visitor.sees(purgeAsk(3), "it says how many messages");
    await dialog.getByLabel(visitor.t("purge.All")).check();
    await visitor.sees(purgeAsk(4), "of all kinds");
    visitor.is((await dialog.locator(".takes").innerText()), [
        ["Waiting", 3], ["Delayed", 1]].map(([kind, n]) => visitor.t("purge.of",
        { n, kind: visitor.t("count." + kind) })).join(", "),
        "and how many of each");
    await dialog.getByLabel(visitor.t("purge.Waiting")).check();
    await visitor.button("topic.purgeNow", {}, dialog).click();
    await visitor.sees(visitor.status("topic.purged", { n: 3 }), "purged");
    await visitor.becomes(() => visitor.figure("count.Waiting"), "0",
                          "and seen to be");
    const { Waiting, Delayed } = await server.topic(topic);
    visitor.is([Waiting, Delayed], [0, 1], "those and no others");
}

/* Two messages that were given up. */
async function die(visitor, topic, n) {
    const { server } = visitor;
    const consumer = await server.consumer(topic, "gives-back",
                                           { ack: false });

    await server.publish(topic, ...Array.from({ length: n }, (_, i) =>
        "bad " + i));
    await visitor.until(() => consumer.messages.length >= n,
                        topic + ": they were delivered");
    consumer.messages.forEach((message) => consumer.giveBack(message));
    await visitor.until(async () => (await server.topic(topic)).Dead >= n,
                        "and are dead");
    await consumer.leave();
}

async function requeue(visitor) {
    const { server } = visitor;
    const topic = visitor.name + "-dead";
    const dialog = visitor.dialog("topic.requeueTitle", { topic });
    const button = visitor.button("topic.requeueDead");

    await die(visitor, topic, 2);
    await visitor.go("Topics", topic);
    await visitor.becomes(() => visitor.figure("count.Dead"), "2", "dead");
    await visitor.sees(visitor.page.getByRole("definition")
        .getByText("ack", { exact: true }), "a topic's own settings");
    await asks(visitor, button, dialog);
    await visitor.sees(dialog.getByText(
        visitor.t("topic.requeueAsk", { n: 2 })), "it says how many");
    await visitor.button("action.requeue", {}, dialog).click();
    await visitor.sees(visitor.status("topic.requeued", { n: 2 }),
                       "requeued");
    await visitor.becomes(() => visitor.figure("count.Dead"), "0",
                          "and seen to be");
    await visitor.until(() => button.isDisabled(), "nothing more to requeue");
    visitor.is((await server.topic(topic)).Waiting, 2, "they wait again");
    await server.ask("PurgeTopic", { topic });
}

/* Delivery is paused, which everybody sees, and resumed. */
async function pause(visitor) {
    const { server } = visitor;
    const topic = visitor.name + "-t-paused";
    const dialog = visitor.dialog("topic.pauseTitle", { topic });
    const consumer = await server.consumer(topic, "c1");

    await visitor.go("Topics", topic);
    await asks(visitor, visitor.button("topic.pause"), dialog);
    await visitor.button("topic.pause", {}, dialog).click();
    await visitor.sees(visitor.status("topic.pausedNow"), "paused");
    await visitor.sees(visitor.page.getByText(visitor.t("topic.isPaused")),
                       "which the page says");
    visitor.is((await server.topic(topic)).Paused, true, "by the server");
    await server.publish(topic, "1", "2");
    await visitor.becomes(() => visitor.figure("count.Waiting"), "2",
                          "what comes waits");
    visitor.is(consumer.messages.length, 0, "and is not pushed");
    await visitor.accessible("a topic that is paused");

    await visitor.go("Console");
    await visitor.page.getByRole("link", {
        name: visitor.like("health.of.paused", { topic, n: 2 }) }).click();
    await visitor.sees(visitor.heading(topic),
                       "the overview names it, and leads to it");

    await visitor.go("Topics");
    await visitor.field("topics.search").fill(topic);
    await visitor.sees(visitor.role("table", visitor.t("page.Topics"))
        .getByText(visitor.t("topic.paused"), { exact: true }),
        "the list says so, too");
    await link(visitor, topic).click();
    await visitor.button("topic.resume").click();
    await visitor.sees(visitor.status("topic.resumedNow"), "resumed");
    await visitor.until(() => consumer.messages.length === 2, "all is pushed");
    await visitor.seesNot(visitor.page.getByText(
        visitor.t("topic.isPaused")), "it is as ever");
    await consumer.leave();
}

/* Its clients, its dead, and where its figures lead. */
async function parts(visitor) {
    const { server } = visitor;
    const topic = visitor.name + "-dead";
    const consumer = await server.consumer(topic, "pod-7c9f8d5b6-x2x4z",
                                           { ack: false });
    const producer = await server.producer(topic, "gateway-0");

    await server.ask("PurgeTopic", { topic, status: 3 });
    const [code] = await server.publish(topic, "{\"why\":1}");
    await visitor.until(() => consumer.messages.length === 1, "pushed");
    consumer.giveBack(consumer.messages[0]);
    await visitor.until(async () => (await server.topic(topic)).Dead === 1,
                        "and dead");
    await visitor.go("Topics", topic);
    await visitor.becomes(() => visitor.column(visitor.t("topic.clients"),
        "client.id"), ["pod-7c9f8d5b6-x2x4z", "gateway-0"],
        "a topic's consumers and producers");
    const dead = visitor.role("table", visitor.t("count.Dead"));
    await visitor.sees(dead.getByText("{\"why\":1}"), "its dead, with data");
    await dead.getByRole("link").click();
    await visitor.sees(visitor.region("message.title"), "which lead to them");
    visitor.ok(visitor.page.url().includes(code), "by an address");

    await visitor.go("Topics", topic);
    await visitor.link("count.Dead").click();
    await visitor.sees(visitor.link("message.show", { code }),
                       "a figure leads to what it counts");
    await consumer.leave();
    await producer.leave();
    await server.ask("PurgeTopic", { topic, status: 3 });
}

async function unknown(visitor) {
    visitor.watch.allow(/status of 404.*\/Console\/GetTopic/);
    await visitor.go("Topics", "nobody knows me");
    await visitor.sees(visitor.page.getByText(visitor.t("topic.unknown")),
                       "an unknown topic: says so");
    await visitor.link("topic.toTopics").click();
    await visitor.sees(visitor.heading(visitor.t("page.Topics")),
                       "and leads back");
}

async function topics(visitor) {
    await list(visitor);
    await strange(visitor);
    await turned(visitor);
    await purge(visitor);
    await charts(visitor);
    await midnight(visitor);
    await requeue(visitor);
    await pause(visitor);
    await parts(visitor);
    await unknown(visitor);
}

module.exports = { asks, die, topics };
