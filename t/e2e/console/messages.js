/* Messages: found, read, copied, deleted, requeued, released, sent again; one,
 * or several; and each search has an address. */
"use strict";

const { readFileSync } = require("node:fs");
const { asks, die } = require("./topics.js");

const MANY = 1150;
const PAGE = 100;
const JSON_DATA = "{\"order\": 4711, \"items\": [\"tea\"], \"paid\": true}";
const HTML_DATA = "<img src=x onerror=\"window.hacked = 1\"></script>"
    + "<script>window.hacked = 2</script>";

const row = (visitor, code) => visitor.link("message.show", { code });

const table = (visitor, order = "newest") => visitor.role("table",
    visitor.t("messages.caption." + order));

async function search(visitor, fields) {
    for (const [key, value] of Object.entries(fields)) {
        await visitor.field(key).fill(value);
    }

    await visitor.button("messages.search").click();
}

async function chooseStatus(visitor, status) {
    await visitor.choice("message.status").selectOption(
        { label: visitor.t("status." + status) });
}

const codes = (visitor, order) => table(visitor, order).getByRole("link")
    .evaluateAll((links) => links.map((link) =>
        link.getAttribute("aria-label").match(/[0-9a-f]{40}/)[0]));

/* Found with these fields are these, the newest first. */
async function finds(visitor, fields, wanted, name, order) {
    await search(visitor, fields);

    if (wanted.length === 0) {
        await visitor.sees(visitor.page.getByText(
            visitor.t("messages.none")), name);
    } else {
        await visitor.becomes(() => codes(visitor, order), wanted, name);
    }
}

/* A time of day for an input, in the viewer's zone. */
function inputTime(visitor, seconds) {
    const parts = new Intl.DateTimeFormat("en-GB", {
        timeZone: visitor.look.timezoneId, hourCycle: "h23",
        year: "numeric", month: "2-digit", day: "2-digit",
        hour: "2-digit", minute: "2-digit",
    }).formatToParts(new Date(seconds * 1000));
    const part = (name) => parts.find(({ type }) => type === name).value;

    return part("year") + "-" + part("month") + "-" + part("day") + "T"
        + part("hour") + ":" + part("minute");
}

/* Two that wait, one that is delayed, and one that was consumed. */
async function few(visitor) {
    const { server } = visitor;
    const topic = visitor.name + "-few";
    const consumer = await server.consumer(topic, "c1");
    const [consumed] = await server.publish(topic, "consumed");

    await visitor.until(async () =>
        (await server.topic(topic)).Consumed === 1, "messages: one consumed");
    await consumer.leave();
    return {
        topic,
        consumed,
        json: (await server.publish(topic, JSON_DATA))[0],
        html: (await server.publish(topic, HTML_DATA))[0],
        delayed: await server.publishLater(topic, "delayed", 3600),
    };
}

async function byFields(visitor, { topic, consumed, json, html, delayed }) {
    const all = [delayed, html, json, consumed];
    const now = Date.now() / 1000;
    const time = (seconds) => inputTime(visitor, now + seconds);
    const key = { from: "messages.from", to: "messages.to" };

    await visitor.go("Messages");
    await finds(visitor, { "topic.name": topic }, all,
                "by topic, the newest first");

    for (const [status, wanted] of [["-1", [html, json]], ["0", [delayed]],
                                    ["1", [consumed]], ["2", []],
                                    ["3", all]]) {
        await chooseStatus(visitor, status);
        await finds(visitor, {}, wanted, "by status " + status);
    }

    await finds(visitor, { [key.from]: time(600), [key.to]: time(1200) }, [],
                "by time: none came later");
    await finds(visitor, { [key.from]: time(-600), [key.to]: time(600) },
                all, "all came just now, in the viewer's zone");
    await finds(visitor, { [key.from]: "", [key.to]: time(-600) }, [],
                "none came before");
    await finds(visitor, { [key.from]: "", [key.to]: "" }, all, "all again");
}

const detail = (visitor) => visitor.region("message.title");

/* What the detail says under a name. */
const fact = (visitor, key) => detail(visitor).locator("dl > div")
    .filter({ has: visitor.page.getByText(visitor.t(key), { exact: true }) })
    .getByRole("definition").innerText();

const data = (visitor) => detail(visitor).locator("pre").textContent();

async function read(visitor, { topic, json, html, consumed }) {
    const { page, server } = visitor;
    const { CreateTime } = await server.find(json);
    const size = Buffer.byteLength(JSON_DATA);

    await row(visitor, json).click();
    await visitor.sees(detail(visitor), "a message in detail");
    await visitor.becomes(() => data(visitor),
        JSON.stringify(JSON.parse(JSON_DATA), null, 2), "JSON is pretty");
    visitor.is(await fact(visitor, "topic.name"), topic, "its topic");
    visitor.is(await fact(visitor, "message.size"), size + " B",
               "the size of the data");
    visitor.is(await fact(visitor, "message.attempts"), "0", "its attempts");
    visitor.ok((await fact(visitor, "message.created")).includes(
        visitor.format(CreateTime, { minute: "2-digit", second: "2-digit" })),
        "when it came");

    await row(visitor, html).click();
    await visitor.becomes(() => data(visitor), HTML_DATA, "HTML is text");
    visitor.is(await page.locator("img").count(), 0, "and nothing else");
    visitor.is(await page.evaluate(() => window.hacked), undefined,
               "nothing of it runs");

    await row(visitor, consumed).click();
    await visitor.becomes(() => fact(visitor, "message.status"),
                          visitor.t("status.1"), "a consumed one says so");
}

/* There is one clipboard for all that is in a browser. */
let clipboard = Promise.resolve();

async function copies(visitor, key, wanted) {
    const { page } = visitor;

    clipboard = clipboard.catch(() => {}).then(async () => {
        await visitor.button(key, {}, detail(visitor)).click();
        await visitor.becomes(() => page.evaluate(
            () => navigator.clipboard.readText()), wanted, key + ": as it is");
        await visitor.sees(visitor.status("action.copied", {},
            detail(visitor)).first(), key + ": says so");
    });
    await clipboard;
}

async function copy(visitor, { json }) {
    await visitor.context.grantPermissions(
        ["clipboard-read", "clipboard-write"],
        { origin: visitor.server.url });
    await row(visitor, json).click();
    await copies(visitor, "message.copyData", JSON_DATA);
    await copies(visitor, "message.copyCode", json);
}

/* Closing the detail leads back to where one came from. */
async function close(visitor, { json }) {
    const { page } = visitor;

    await visitor.button("action.close", {}, detail(visitor)).click();
    await row(visitor, json).focus();
    await page.keyboard.press("Enter");
    await visitor.until(() => visitor.heading(visitor.t("message.title"), 2)
        .evaluate((heading) => heading === document.activeElement),
        "the detail has the focus");
    await visitor.button("action.close", {}, detail(visitor)).click();
    await visitor.seesNot(detail(visitor), "and is closed");
    await visitor.until(() => row(visitor, json).evaluate(
        (link) => link === document.activeElement),
        "the focus is where it was");
}

async function remove(visitor, { json, html, delayed, consumed }) {
    const { server } = visitor;
    const dialog = visitor.dialog("message.deleteTitle");

    await row(visitor, json).click();
    await asks(visitor, visitor.button("action.delete", {}, detail(visitor)),
               dialog);
    visitor.ok(await server.find(json), "nothing is deleted");
    await visitor.accessible("delete");
    await visitor.button("action.delete", {}, dialog).click();
    await visitor.sees(visitor.status("message.deleted"), "deleted");
    visitor.is(await server.find(json), null, "by the server");
    await visitor.becomes(() => codes(visitor), [delayed, html, consumed],
                          "and in the list no more");
}

async function byCode(visitor, { html, json }) {
    const field = visitor.page.getByLabel("MessageCode", { exact: true });

    visitor.watch.allow(/status of 404.*\/Console\/GetMessage/);
    await visitor.go("Messages");
    await field.fill(html);
    await search(visitor, {});
    await visitor.becomes(() => data(visitor), HTML_DATA, "by its code");
    await field.fill(json);
    await finds(visitor, {}, [], "one that is gone: says so");
}

async function requeue(visitor) {
    const { server } = visitor;
    const topic = visitor.name + "-given-up";

    await die(visitor, topic, 1);
    await visitor.go("Messages", topic);
    await chooseStatus(visitor, "2");
    await search(visitor, {});
    await visitor.until(() => visitor.page.url().includes("status=2"),
                        "a search is asked for");
    const [code] = await visitor.until(async () => {
        const list = await codes(visitor);

        return list.length === 1 && list;
    }, "a topic's dead ones");
    await row(visitor, code).click();
    await visitor.button("action.requeue", {}, detail(visitor)).click();
    await visitor.sees(visitor.status("message.requeued"), "requeued");
    visitor.is((await server.find(code)).Status, -1, "by the server");
    await visitor.sees(visitor.page.getByText(visitor.t("messages.none")),
                       "and dead no more");
    await server.ask("PurgeTopic", { topic });
}

const choose = (visitor, key, option) => visitor.choice(key).selectOption(
    { label: visitor.t(option) });

/* The oldest first, a part of a topic's name, a text in the data; and Back. */
async function looks(visitor) {
    const { page, server } = visitor;
    const topic = visitor.name + "-looks-in";
    const [one, two] = await server.publish(topic,
        "{\"order\":\"A-17\"}", "x".repeat(300) + " a-18 中文\u0007");
    const three = await server.publishLater(topic, "a-17 later", 3600);
    const preview = async (code) => (await row(visitor, code).locator(
        "xpath=ancestor::tr").locator("td.preview").textContent()).trim();

    await visitor.go("Messages");
    await choose(visitor, "messages.order", "order.oldest");
    await finds(visitor, { "topic.name": visitor.name + "-LOOKS" },
                [one, two, three], "a part of a name, oldest first", "oldest");
    visitor.is(await preview(one), "{\"order\":\"A-17\"}", "with its data");

    const [listed] = await visitor.rows(visitor.t("messages.caption.oldest"));

    visitor.is([visitor.t("message.next") in listed,
                visitor.t("message.lastError") in listed], [true, false],
               "and with what any of them has");
    visitor.is((await preview(two)).length <= 160, true, "cut where long");
    await finds(visitor, { "messages.inData": "a-17" }, [one, three],
                "by a text in the data, in any case", "oldest");
    await visitor.sees(page.getByText(visitor.t("messages.looked",
        { n: 2, looked: 3 })), "it says where it has looked");
    const there = page.url();

    await choose(visitor, "messages.order", "order.newest");
    await finds(visitor, { "messages.inData": "中文" }, [two],
                "by one that is cut off in the list");
    await page.goBack();
    await visitor.becomes(() => codes(visitor, "oldest"), [one, three],
                          "Back is the search before");
    visitor.is(await visitor.field("messages.inData").inputValue(), "a-17",
               "whose fields are filled in");

    const other = await visitor.anotherTab();
    await other.page.goto(there);
    await visitor.becomes(() => codes(other, "oldest"), [one, three],
                          "an address can be shared");
    await row(other, three).click();
    await visitor.sees(detail(other), "one is open");
    await other.page.reload();
    await visitor.sees(detail(other), "and stays so when it is loaded anew");
    await other.page.goBack();
    await visitor.seesNot(detail(other), "Back closes it");
    await other.page.close();

    await visitor.field("topic.name").fill(visitor.name + "-looks-i");
    await visitor.becomes(() => page.locator("datalist option").evaluateAll(
        (options) => options.map((option) => option.value)), [topic],
        "what is typed is completed");
    await server.ask("PurgeTopic", { topic, status: 3 });
}

/* What waits, by what it does, and who has it. */
async function inFlight(visitor) {
    const { server } = visitor;
    const topic = visitor.name + "-flight";
    const consumer = await server.consumer(topic, "worker-7f9c",
                                           { ack: false, pong: false });
    const [code] = await server.publish(topic, "1");

    await visitor.until(() => consumer.messages.length === 1, "in flight");
    await visitor.go("Messages", topic);
    await choose(visitor, "message.status", "status.5");
    await finds(visitor, {}, [code], "by status: in flight");
    await visitor.sees(table(visitor).getByText("worker-7f9c"),
                       "with its consumer");
    await choose(visitor, "message.status", "status.4");
    await finds(visitor, {}, [], "none is ready");
    await consumer.leave();
    await visitor.until(async () => (await server.find(code)).Suspect,
                        "its consumer has gone");
    await choose(visitor, "message.status", "status.6");
    await finds(visitor, {}, [code], "what its end is charged to is tried "
        + "again alone");
    await server.ask("PurgeTopic", { topic });
}

const check = (visitor, code) => visitor.role("checkbox",
    visitor.t("message.choose", { code })).check();

/* Several at once: released, requeued, exported, deleted. */
async function several(visitor) {
    const { page, server } = visitor;
    const topic = visitor.name + "-given-up";

    await die(visitor, topic, 2);
    const late = await server.publishLater(topic, "later", 3600);
    await visitor.go("Messages", topic);
    const all = await visitor.until(async () => {
        const list = await codes(visitor);

        return list.length === 3 && list;
    }, "two dead, one delayed");

    await check(visitor, late);
    await check(visitor, all[1]);
    const download = page.waitForEvent("download");
    await visitor.button("messages.export", { n: 2 }).click();
    const lines = readFileSync(await (await download).path(), "utf8")
        .trim().split("\n").map((line) => JSON.parse(line));
    visitor.is(lines.map(({ code }) => code), [late, all[1]],
               "two are exported");
    visitor.is([lines[0].topic, lines[0].messageData], [topic, "later"],
               "as they are sent");
    await visitor.accessible("selected");

    await visitor.button("messages.release", { n: 1 }).click();
    await visitor.sees(visitor.status("messages.released", { n: 1, all: 1 }),
                       "one is released");
    visitor.is((await server.find(late)).Status, -1, "by the server");
    await visitor.role("checkbox", visitor.t("messages.chooseAll")).check();
    await visitor.button("messages.requeue", { n: 2 }).click();
    await visitor.sees(visitor.status("messages.requeued", { n: 2, all: 2 }),
                       "two are requeued");
    await visitor.becomes(async () => (await server.topic(topic)).Waiting, 3,
                          "all wait");

    await visitor.role("checkbox", visitor.t("messages.chooseAll")).check();
    await visitor.button("messages.delete", { n: 3 }).click();
    await visitor.button("action.delete", {}, visitor.dialog(
        "messages.deleteTitle", { n: 3 })).click();
    await visitor.sees(visitor.status("messages.deleted", { n: 3, all: 3 }),
                       "three are deleted");
    visitor.is((await server.topic(topic)).Waiting, 0, "by the server");

    const sent = await fetch(server.url + "/Producer/Send", {
        method: "POST",
        headers: { "Content-Type": "application/x-ndjson",
                   secretKey: server.key },
        body: lines.map((line) => JSON.stringify(line) + "\n").join(""),
    });
    visitor.is([sent.status, (await sent.json()).data.length], [200, 2],
               "what was exported can be sent again");
    await server.ask("PurgeTopic", { topic });
}

/* One is released, or edited and sent again. */
async function again(visitor) {
    const { server } = visitor;
    const topic = visitor.name + "-again";
    const dialog = visitor.dialog("resend.title");
    const code = await server.publishLater(topic, "{\"a\":1}", 3600);

    await visitor.go("Messages", topic);
    await row(visitor, code).click();
    await visitor.button("action.release", {}, detail(visitor)).click();
    await visitor.sees(visitor.status("message.released"), "released");
    visitor.is((await server.find(code)).Status, -1, "it waits no more");

    await row(visitor, code).click();
    await visitor.button("action.resend", {}, detail(visitor)).click();
    await visitor.field("message.data", dialog).fill("{\"a\":2}");
    await dialog.getByText(visitor.t("resend.remove")).click();
    await visitor.accessible("edit and send again");
    await visitor.button("send.send", {}, dialog).click();
    await visitor.seesNot(dialog, "sent again");
    const [{ MessageCode }] = await visitor.until(async () => {
        const list = await server.ask("GetMessageList", { topic });

        return list.length === 1 && list[0].MessageCode !== code && list;
    }, "a new one is there, and the old one is not");
    visitor.is((await server.find(MessageCode)).MessageData, "{\"a\":2}",
               "as it was edited");
    await server.ask("PurgeTopic", { topic });
}

/* A list says when it is old. */
async function old(visitor) {
    const { page } = visitor;
    const topic = visitor.name + "-old";
    const [code] = await visitor.server.publish(topic, "1");
    const told = page.locator(".as-of");

    await visitor.go("Messages", topic);
    await visitor.becomes(() => codes(visitor), [code], "a list");
    visitor.ok(!await told.evaluate((span) => span.matches(".old")),
               "is not old at first");
    await visitor.until(() => told.evaluate((span) => span.matches(".old")),
                        "but after a while");
    const [newer] = await visitor.server.publish(topic, "2");
    await visitor.button("list.refresh").click();
    await visitor.becomes(() => codes(visitor), [newer, code],
                          "it is asked for anew");
    await visitor.until(async () => !await told.evaluate(
        (span) => span.matches(".old")), "and new when it is refreshed");
    await visitor.server.ask("PurgeTopic", { topic });
}

async function more(visitor) {
    const { server } = visitor;
    const topic = visitor.name + "-many";
    const producer = await server.producer(topic, "p1");
    const shown = async () => (await codes(visitor)).length;

    producer.send(...Array.from({ length: MANY }, (_, i) => "number " + i));
    await visitor.until(() => producer.oks === MANY, "many messages");
    await producer.leave();
    await visitor.go("Messages", topic);

    for (let n = PAGE; n < MANY; n += PAGE) {
        await visitor.becomes(shown, n, n + " are shown");
        await visitor.button("messages.more").click();
    }

    await visitor.becomes(shown, MANY, "all are shown");
    visitor.is(new Set(await codes(visitor)).size, MANY, "each once");
    await server.ask("PurgeTopic", { topic });
}

async function messages(visitor) {
    const known = await few(visitor);

    await byFields(visitor, known);
    await read(visitor, known);
    await copy(visitor, known);
    await close(visitor, known);
    await remove(visitor, known);
    await byCode(visitor, known);
    await requeue(visitor);
    await looks(visitor);
    await inFlight(visitor);
    await several(visitor);
    await again(visitor);
    await old(visitor);
    await more(visitor);
}

module.exports = { detail, fact, messages, row };
