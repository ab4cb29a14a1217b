/* Messages whose delivery fails, and consumers that do not keep up. */
"use strict";

const { detail, fact, row } = require("./messages.js");

/* Somebody who lets a message become overdue, and answers no ping. */
async function hang(visitor) {
    const { server, name } = visitor;
    const topic = name + "-overdue";
    const hangs = await server.consumer(topic, name + "-f-hangs",
        { ack: false, pong: false, heartbeat: 0.2 });
    const [code] = await server.publish(topic, "too much");

    await visitor.until(async () =>
        (await server.topic(topic)).Retrying === 1, "one is overdue");
    return { topic, hangs, code };
}

/* A message whose consumer has gone. */
async function lose(visitor, topic) {
    const { server } = visitor;
    const consumer = await server.consumer(topic, "goes", { ack: false });
    const [code] = await server.publish(topic, "a killer");

    await visitor.until(() => consumer.messages.length === 1, "it has it");
    consumer.vanish();
    await visitor.until(async () => (await server.find(code)).Suspect,
                        "it has gone");
    return code;
}

async function overdue(visitor, { topic, code }) {
    const { page, server } = visitor;
    const { NextTry } = await server.find(code);
    const shown = visitor.format(NextTry,
                                 { minute: "2-digit", second: "2-digit" });

    await visitor.go("Topics", topic);
    await visitor.becomes(() => visitor.figure("count.Retrying"), "1",
                          "failing: a topic's messages between two tries");
    await visitor.sees(page.getByText(visitor.t("overview.resting",
        { n: 1 })), "and how many rest");

    await visitor.go("Messages", topic);
    await row(visitor, code).click();
    await visitor.becomes(() => fact(visitor, "message.status"),
                          visitor.t("count.Retrying"), "its status");
    visitor.is(await fact(visitor, "message.attempts"), "1", "its attempts");
    visitor.is(await fact(visitor, "message.lastError"),
               visitor.t("failure.overdue"), "what went wrong, in words");
    visitor.ok((await fact(visitor, "message.nextTry")).includes(shown),
               "when it is tried again");

    const [listed] = await visitor.rows(visitor.t("messages.caption.newest"));
    visitor.is(listed[visitor.t("message.status")],
               visitor.t("count.Retrying"), "the same in the list");
    visitor.is(listed[visitor.t("message.lastError")],
               visitor.t("failure.overdue"), "with what went wrong");
    visitor.ok(listed[visitor.t("message.next")].includes(shown),
               "and when it is tried again",
               `${shown}: ${listed[visitor.t("message.next")]}`);
    await visitor.accessible("a message that failed");
}

async function rests(visitor, { topic, hangs, code }) {
    const { name, server } = visitor;
    const caption = visitor.t("page.Clients");
    const state = async () => (await visitor.rows(caption)).find((one) =>
        one[visitor.t("client.id")] === name + "-f-hangs")?.[
        visitor.t("client.state")] ?? "";
    const says = (key) => async () =>
        (await state()).includes(visitor.t(key));

    await visitor.go("Clients");
    await visitor.field("clients.search").fill(topic);
    await visitor.until(says("client.resting"), "it rests");
    await visitor.until(says("client.silent"), "and missed a heartbeat");
    await visitor.accessible("clients that rest");

    await visitor.go("Console");
    /* others may rest meanwhile */
    await visitor.sees(visitor.page.getByText(visitor.t("health.of.resting",
        { id: name + "-f-hangs", topic })).first(),
        "the overview says so, too");
    await visitor.role("link", visitor.t("health.resting", { count: 2 }))
        .or(visitor.role("link", visitor.t("health.resting", { count: 1 })))
        .click();
    await visitor.becomes(async () => (await visitor.column(caption,
        "client.id")).includes(name + "-f-hangs"), true,
        "and leads to those who do");

    /* a late word */
    hangs.send(code);
    await visitor.until(async () => (await server.find(code)).Status === 1,
                        "it confirms late");
    await visitor.go("Topics", topic);
    await visitor.becomes(() => visitor.figure("count.Retrying"), "0",
                          "nothing is to be tried again");
}

async function gone(visitor, topic) {
    const code = await lose(visitor, topic);

    await visitor.go("Messages", topic);
    await row(visitor, code).click();
    await visitor.becomes(() => fact(visitor, "message.lastError"),
                          visitor.t("failure.end"), "its consumer was gone");
    await visitor.sees(detail(visitor).getByText(
        visitor.t("message.suspectText")), "it is a suspect");
    await visitor.accessible("a suspect");
}

/* The page itself is a consumer, who confirms by hand. */
const pane = (visitor) => visitor.region("listen.title");

const arrived = (visitor) => visitor.role("list", visitor.t("listen.list"))
    .getByRole("listitem");

async function listen(visitor, topic) {
    const where = pane(visitor);

    await visitor.go("Send");
    await visitor.field("topic.name", where).fill(topic);
    await visitor.choice("listen.mode", where).selectOption(
        { label: visitor.t("listen.mode.ack") });
    await visitor.button("listen.start", {}, where).click();
}

async function again(visitor, topic) {
    await listen(visitor, topic);
    await visitor.sees(arrived(visitor).getByText(visitor.t("listen.attempt",
        { n: 2 })), "the next consumer sees which attempt it is");
    await visitor.button("listen.confirm", {}, arrived(visitor)).click();
    await visitor.until(async () =>
        (await visitor.server.topic(topic)).Consumed === 1,
        "and confirms it");
    await visitor.button("listen.stop", {}, pane(visitor)).click();
}

async function tooLate(visitor) {
    const { server } = visitor;
    const topic = visitor.name + "-late";

    await listen(visitor, topic);
    await server.publish(topic, "be quick");
    await visitor.until(async () => (await server.topic(topic)).Dead === 1,
                        "one is dead");
    await visitor.button("listen.confirm", {}, arrived(visitor)).click();
    await visitor.sees(pane(visitor).getByRole("alert").getByText(
        visitor.like("listen.error")), "confirmed too late: says so");
    await visitor.button("listen.stop", {}, pane(visitor)).click();
    await server.ask("PurgeTopic", { topic, status: 2 });
}

async function failing(visitor) {
    const topic = visitor.name + "-suspect";
    const known = await hang(visitor);

    await overdue(visitor, known);
    await rests(visitor, known);
    await known.hangs.leave();
    await gone(visitor, topic);
    await again(visitor, topic);
    await tooLate(visitor);
}

module.exports = { failing };
