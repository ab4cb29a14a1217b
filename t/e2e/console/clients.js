/* Who is connected, found, sorted, and disconnected. */
"use strict";

const { asks } = require("./topics.js");

async function connect(visitor) {
    const { server, name } = visitor;
    const topic = name + "-c-work";
    const clients = {
        fast: await server.producer(topic, name + "-c-fast"),
        slow: await server.producer(topic, name + "-c-slow"),
        idle: await server.consumer(name + "-c-idle", name + "-c-idle"),
        full: await server.consumer(topic, name + "-c-full", { ack: false }),
    };

    clients.fast.send("1", "2", "3");
    clients.slow.send("4");
    await visitor.until(() => clients.full.messages.length === 4,
                        "clients: four messages are in flight");
    return clients;
}

async function search(visitor) {
    const { name } = visitor;
    const caption = visitor.t("page.Clients");
    const ids = () => visitor.column(caption, "client.id");
    const field = visitor.field("clients.search");
    const role = visitor.choice("client.role");

    await visitor.go("Clients");
    await field.fill(name.toUpperCase() + "-C-");
    await visitor.becomes(ids, ["fast", "full", "idle", "slow"].map(
        (id) => name + "-c-" + id), "those who are searched, by id");
    await role.selectOption({ label: visitor.t("role.producer") });
    await visitor.becomes(ids, [name + "-c-fast", name + "-c-slow"],
                          "the producers of them");
    await role.selectOption({ label: visitor.t("role.consumer") });
    await visitor.becomes(ids, [name + "-c-full", name + "-c-idle"],
                          "the consumers of them");
    await field.fill("nobody");
    await visitor.sees(visitor.page.getByText(
        visitor.t("clients.noneFound")), "nobody: says so");
    await role.selectOption({ label: visitor.t("role.any") });
    await field.fill(name + "-c-");
    await visitor.becomes(async () => (await ids()).length, 4, "all again");
}

async function details(visitor) {
    const { name } = visitor;
    const rows = await visitor.rows(visitor.t("page.Clients"));
    const full = rows.find((row) =>
        row[visitor.t("client.id")] === name + "-c-full");
    const is = (key, wanted) => visitor.is(full[visitor.t(key)], wanted,
                                           "a consumer's " + key);

    is("client.role", visitor.t("role.consumer"));
    is("topic.name", name + "-c-work");
    is("client.address", "127.0.0.1");
    is("client.messages", "4");
    is("count.InFlight", "4");
    is("client.confirm", "ack");
    visitor.ok(/^\d\d:\d\d:\d\d$/.test(full[visitor.t("client.since")]),
               "since when", full);
}

/* With names as they are in practice everything can be read: nothing lies over
 * anything else, or out of sight. */
async function fits(visitor) {
    const { page, server, name } = visitor;
    const topic = name + "-c-orders.payments.created";
    const id = name + "-payment-worker-7c9f8d5b6-x2x4z";
    const client = await server.consumer(topic, id, { ack: false });

    await server.publish(topic, "1");
    await visitor.go("Clients", id);
    const row = page.getByRole("row").filter({ hasText: id });
    await visitor.sees(row, "a pod");

    const hidden = () => row.evaluate((element) => [...element.cells]
        .filter((cell) => cell.offsetWidth > 0 && cell.textContent.trim())
        .filter((cell) => {
            const { left, right, top, bottom } = cell.getBoundingClientRect();
            const there = document.elementFromPoint((left + right) / 2,
                                                    (top + bottom) / 2);

            return left < 0 || right > innerWidth || !cell.contains(there);
        }).map((cell) => cell.dataset.label || cell.className));

    await visitor.becomes(() => page.locator(".table-place").evaluate(
        (place) => place.scrollWidth - place.clientWidth), 0,
        "nothing has to be scrolled to");
    await visitor.becomes(hidden, [], "and each figure is seen");
    await visitor.sees(row.getByText("ack", { exact: true }),
                       "the confirm mode, too");
    await page.getByText(visitor.t("table.allColumns")).click();
    await visitor.sees(row.getByText("127.0.0.1"), "and more when asked for");
    await visitor.fitsIn("all columns");
    await visitor.accessible("all columns");
    await client.leave();
    await server.ask("PurgeTopic", { topic });
}

async function sort(visitor) {
    const { name } = visitor;
    const caption = visitor.t("page.Clients");
    const head = visitor.role("columnheader", visitor.t("client.messages"));

    await visitor.button("client.messages", {}, head).click();
    await visitor.becomes(() => head.getAttribute("aria-sort"), "descending",
                          "sorted by messages");
    await visitor.becomes(() => visitor.column(caption, "client.id"),
        ["full", "fast", "slow", "idle"].map((id) => name + "-c-" + id),
        "the busiest first");
}

async function disconnect(visitor, clients) {
    const { server, name } = visitor;
    const id = name + "-c-full";
    const { page } = visitor;
    const button = visitor.button("client.disconnectId", { id });
    const dialog = visitor.dialog("client.disconnectId", { id });

    await asks(visitor, button, dialog);
    visitor.is(clients.full.closed, null, "who was not disconnected stays");
    await visitor.sees(dialog.getByText(visitor.t("client.ask.consumer",
        { id, topic: name + "-c-work", n: 4 })), "it says who, and what of it");
    await visitor.accessible("disconnect");
    await visitor.button("client.disconnect", {}, dialog).click();
    await visitor.sees(visitor.status("client.disconnected", { id }),
                       "disconnected");
    await visitor.becomes(() => clients.full.closed,
        { code: 1008, reason: "disconnected by an operator" },
        "the client is told why");
    await visitor.seesNot(page.getByRole("row").filter({ hasText: id }),
                          "and is in the list no more");
    visitor.is([clients.fast, clients.slow, clients.idle].map(
        ({ closed }) => closed), [null, null, null], "all others are");
    await visitor.becomes(async () =>
        (await server.topic(name + "-c-work")).Waiting, 4,
        "what it had waits again");
    await server.ask("PurgeTopic", { topic: name + "-c-work" });
}

async function clients(visitor) {
    const all = await connect(visitor);

    await search(visitor);
    await details(visitor);
    await sort(visitor);
    await disconnect(visitor, all);
    await fits(visitor);
    await Promise.all(Object.values(all).map((client) => client.leave()));
}

module.exports = { clients };
