/* The first five minutes: listen, send, see it arrive, with no other client. */
"use strict";

const HTML_DATA = "<b onclick=alert(1)>bold</b>";

const pane = (visitor, key) => visitor.region(key);

const arrivals = (visitor) => visitor.role("list", visitor.t("listen.list"))
    .getByRole("listitem");

/* Data of what arrived, the newest first. */
const arrived = (visitor) => arrivals(visitor).locator("pre")
    .allTextContents();

async function listen(visitor, topic, mode) {
    const where = pane(visitor, "listen.title");

    await visitor.field("topic.name", where).fill(topic);
    await visitor.choice("listen.mode", where).selectOption(
        { label: visitor.t("listen.mode." + mode) });
    await visitor.button("listen.start", {}, where).click();
    await visitor.sees(visitor.status("listen.on", { n: 0 }, where),
                       "listens: " + mode);
}

async function stop(visitor, topic, others = 0) {
    const where = pane(visitor, "listen.title");

    await visitor.button("listen.stop", {}, where).click();
    await visitor.sees(visitor.status("listen.off", {}, where), "stopped");
    await visitor.becomes(async () => (await visitor.server.ask(
        "GetClientList", { topic })).length, others, "its consumer is gone");
}

/* Its MessageCode. */
async function send(visitor, topic, data, delay = 0) {
    const where = pane(visitor, "send.title");
    const accepted = visitor.t("send.accepted", { code: "" });
    const answer = () => where.getByRole("status").allTextContents()
        .then((texts) => texts.join());
    const before = await answer();

    await visitor.field("topic.name", where).fill(topic);
    await visitor.field("message.data", where).fill(data);
    await visitor.field("send.delay", where).fill(String(delay));
    await visitor.button("send.send", {}, where).click();
    const after = await visitor.until(async () => {
        const now = await answer();

        return now !== before && now.startsWith(accepted) && now;
    }, "accepted");
    return after.slice(accepted.length);
}

/* What one reads before one begins. */
const warning = (visitor, key, values) => visitor.role("list",
    visitor.t("listen.effects")).getByText(visitor.t(key, values));

/* As the page comes, it takes nothing: a backlog is looked at, and stays. */
async function looksOnly(visitor, topic) {
    const { server } = visitor;
    const where = pane(visitor, "listen.title");
    const codes = await server.publish(topic, "one", "two", "three");
    const counts = async () => {
        const { Waiting, InFlight, Consumed } = await server.topic(topic);

        return [Waiting + InFlight, Consumed];
    };

    await visitor.go("Send");
    await visitor.field("topic.name", where).fill(topic);
    await visitor.sees(warning(visitor, "listen.peeksWaiting",
        { n: 3, max: 100 }), "a backlog: says what one will see of it");
    await visitor.button("listen.start", {}, where).click();
    await visitor.becomes(() => arrived(visitor), ["three", "two", "one"],
                          "looks at all");
    const worker = await server.consumer(topic, "worker");

    await visitor.sees(warning(visitor, "listen.peeksFrom", { others: 1 }),
                       "another consumer: says so");
    await visitor.until(() => codes.every((code) => worker.messages.some(
        ({ MessageCode }) => MessageCode === code)),
        "who works gets them all");
    visitor.is(worker.messages.map(({ Attempts }) => Attempts ?? 1)
        .filter((attempts) => attempts > 1), [], "and none has failed");
    await visitor.becomes(counts, [0, 3], "it alone consumes them");
    await stop(visitor, topic, 1);
    await worker.leave();

    const more = await server.publish(topic, "four", "five");

    await visitor.button("listen.start", {}, where).click();
    await visitor.becomes(() => arrived(visitor), ["five", "four"],
                          "nobody else is there");
    await stop(visitor, topic);
    visitor.is(await counts(), [2, 3], "they wait as before");
    visitor.is(await Promise.all(more.map(async (code) =>
        (await server.find(code)).LastErrorCode)), [null, null],
        "and none has failed");
    await visitor.choice("listen.mode", where).selectOption(
        { label: visitor.t("listen.mode.pong") });
    await visitor.sees(warning(visitor, "listen.takes"),
                       "to take them: says so");
    await visitor.sees(warning(visitor, "listen.takesWaiting", { n: 2 }),
                       "and how many");
    await visitor.accessible("what listening does");
    await visitor.fitsIn("what listening does");
}

/* What is sent arrives, as text whatever it is. */
async function tour(visitor, topic) {
    const { page, server } = visitor;

    await visitor.go("Send");
    await listen(visitor, topic, "pong");
    const code = await send(visitor, topic, "{\"hello\":\"world\"}");
    const pretty = JSON.stringify({ hello: "world" }, null, 2);
    await visitor.becomes(() => arrived(visitor), [pretty], "it arrives");
    await visitor.becomes(async () => (await server.find(code)).Status, 1,
                          "and is confirmed by the browser");

    await send(visitor, topic, HTML_DATA);
    await visitor.becomes(() => arrived(visitor), [HTML_DATA, pretty],
                          "the newest first, HTML as text");
    visitor.is(await page.locator("pre b").count(), 0, "and nothing else");
    await visitor.sees(visitor.status("listen.on", { n: 2 },
        pane(visitor, "listen.title")), "it counts them");
    await visitor.accessible("send and listen");
}

async function delayed(visitor, topic) {
    const { server } = visitor;
    const sent = Date.now();
    const code = await send(visitor, topic, "later", 1.5);
    const { Status } = await server.find(code);

    visitor.ok(Status === 0 || Date.now() - sent > 1500, "one is delayed");
    await visitor.until(async () => (await arrived(visitor))[0] === "later",
                        "and arrives");
    visitor.ok(Date.now() - sent >= 1500, "after its delay",
               Date.now() - sent);
}

async function ack(visitor, topic) {
    const { server } = visitor;

    await listen(visitor, topic, "ack");
    const code = await send(visitor, topic, "confirm me");
    await visitor.becomes(() => arrived(visitor), ["confirm me"],
                          "one to be confirmed by hand");
    visitor.is((await server.find(code)).InFlight, true, "it is in flight");
    await visitor.button("listen.confirm", {}, arrivals(visitor)).click();
    await visitor.becomes(async () => (await server.find(code)).Status, 1,
                          "confirmed by hand");
    await visitor.sees(visitor.button("listen.confirmed", {},
                                      arrivals(visitor)), "and seen to be");
}

/* A connection that is lost is not passed over in silence. */
async function lost(visitor, topic) {
    const { server } = visitor;
    const [client] = await server.ask("GetClientList", { topic });

    await server.ask("Disconnect", { connection: client.Connection });
    await visitor.sees(visitor.status("listen.ended",
        { reason: visitor.t("close.disconnected by an operator") },
        pane(visitor, "listen.title")), "a lost connection: says so");
}

async function refused(visitor) {
    const where = pane(visitor, "send.title");

    visitor.watch.allow(/status of 400.*\/Producer\/Send/);
    await visitor.field("topic.name", where).fill("a\u007fb");
    await visitor.button("send.send", {}, where).click();
    await visitor.until(async () =>
        (await where.getByRole("alert").textContent()).trim() !== "",
        "what is refused: says why");
}

/* A path has room for one segment. */
async function withoutAddress(visitor) {
    const where = pane(visitor, "listen.title");
    const start = visitor.button("listen.start", {}, where);

    for (const topic of ["a/b", ".."]) {
        await visitor.field("topic.name", where).fill(topic);
        await visitor.sees(where.getByRole("alert").getByText(
            visitor.t("listen.noAddress")), topic + ": says why not");
        visitor.is(await start.isDisabled(), true, "and does not try");
    }
}

async function sendAndListen(visitor) {
    const topic = visitor.name + "-hello";

    await looksOnly(visitor, visitor.name + "-look");
    await tour(visitor, topic);
    await delayed(visitor, topic);
    await stop(visitor, topic);
    await ack(visitor, topic);
    await lost(visitor, topic);
    await withoutAddress(visitor);
}

/* A reload of nginx ends connections: the page's listener comes back. */
async function listeners(visitors, server) {
    const each = (test) => Promise.all(visitors.map(test));
    const topic = (visitor) => visitor.name + "-reload";

    await each(async (visitor) => {
        await visitor.go("Send");
        await listen(visitor, topic(visitor), "pong");
    });
    await server.act("renew");
    await each(async (visitor) => {
        await visitor.sees(visitor.status("listen.on", {},
            pane(visitor, "listen.title")), "a reload: listens again");
        await server.publish(topic(visitor), "after it");
        await visitor.becomes(() => arrived(visitor), ["after it"],
                              "and gets what comes then");
        await stop(visitor, topic(visitor));
    });
}

module.exports = { listeners, sendAndListen };
