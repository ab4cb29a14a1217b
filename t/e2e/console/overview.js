/*
 * What is going on, at a glance: figures and rates under traffic, what is
 * wrong, charts; nothing is asked for by a tab that nobody sees.
 */
"use strict";

const COUNTS = ["Waiting", "InFlight", "Delayed", "Consumed", "Dead"];
const EVERY = 20;                  /* ms between two messages */

const value = (text) => Number(text.replace(/[^\d.]/g, ""));

/* A producer that goes on and on, and a consumer. */
class Traffic {
    async begin(server, topic) {
        this.consumer = await server.consumer(topic, "c1");
        this.producer = await server.producer(topic, "p1");
        this.sent = 0;
        this.timer = setInterval(() => {
            this.producer.send("an order");
            this.sent++;
        }, EVERY);
    }

    stop() {
        clearInterval(this.timer);
    }

    accepted() {
        return this.producer.oks === this.sent;
    }

    leave() {
        return Promise.all([this.producer.leave(), this.consumer.leave()]);
    }
}

async function figures(visitor) {
    const all = COUNTS.map((name) => visitor.figure("count." + name));

    return (await Promise.all(all)).map(value);
}

async function underTraffic(visitor) {
    await visitor.go("Console");
    await visitor.sees(visitor.page.getByText(visitor.t("health.good")),
                       "overview: all is well");

    for (const name of ["Published", "Delivered", "Confirmed"]) {
        await visitor.until(async () =>
            value(await visitor.figure("count." + name)) > 0,
            "messages are " + name);
    }

    visitor.is(await visitor.figure("overview.clients"), "2", "clients");
    await live(visitor);
}

/* By the second, while it happens. */
async function live(visitor) {
    const title = visitor.t("overview.live");
    const figure = visitor.page.getByRole("figure").filter({ hasText: title });
    const seconds = async () => (await visitor.rows(title)).filter(
        (row) => value(row[visitor.t("count.Published")]) > 0).map(
        (row) => row[visitor.t("chart.time")]);

    await figure.getByText(visitor.t("chart.asTable")).click();
    await visitor.until(async () => {
        const times = await seconds();

        return times.length >= 3
            && times.every((time) => /^\d\d:\d\d:\d\d$/.test(time));
    }, title + ": has each second");
    await visitor.sees(figure.getByText(visitor.t("chart.right",
        { label: visitor.t("count.Backlog") })),
        "the backlog has an axis of its own");
    await figure.getByText(visitor.t("chart.asTable")).click();
}

/* The same as the original's endpoint says. */
async function afterwards(visitor, server) {
    const { unconsumed, delay, consumed, dead } =
        await server.ask("CountMessage");

    visitor.is([unconsumed, delay, consumed > 0], [1, 1, true],
               "there is something to count");
    await visitor.becomes(() => figures(visitor),
        [unconsumed, 0, delay, consumed, dead], "counts as CountMessage");
}

/* That something is drawn, and the same as a table. */
async function chart(visitor, title, rows, last) {
    const figure = visitor.page.getByRole("figure").filter({ hasText: title });
    const table = visitor.role("table", title);

    await visitor.until(() => figure.locator("canvas").evaluate((canvas) => {
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d")
            .getImageData(0, 0, width, height);

        return data.some((byte) => byte > 0);
    }), title + ": is drawn");

    await figure.getByText(visitor.t("chart.asTable")).click();
    await visitor.sees(table, title + ": is a table, too");

    const list = await visitor.rows(title);
    const sum = list.reduce((all, row) =>
        all + value(row[visitor.t("count.Published")]), 0);

    visitor.is(list.length, rows, title + ": has all its rows");
    visitor.ok(sum > 0, title + ": has data");

    if (last) {
        visitor.is(list[rows - 1][visitor.t("chart.time")],
                   visitor.t("chart.soFar", { time: last }),
                   title + ": says today in the viewer's zone");
    }

    /* what is not over is not a line that falls */
    await visitor.sees(figure.locator(".so-far"),
                       title + ": what is not over stands apart");
}

async function charts(visitor) {
    const today = visitor.format(Date.now() / 1000,
                                 { dateStyle: "full" });

    /* they are asked for less often than the rest */
    await visitor.page.reload();
    await chart(visitor, visitor.t("overview.week"), 7, today);
    await chart(visitor, visitor.t("overview.hour"), 61);
}

/* A line of what is wrong, and where it leads to. */
async function leads(visitor, text, page, look) {
    await visitor.sees(visitor.role("link", text), text);
    await visitor.role("link", text).click();
    await visitor.sees(visitor.heading(visitor.t("page." + page)),
                       "leads to " + page);
    await look();
    await visitor.page.goBack();
    await visitor.sees(visitor.heading(visitor.t("page.Console")),
                       "and back");
}

const state = (visitor) => visitor.choice("client.state");

async function linesLead(visitor) {
    await leads(visitor, visitor.t("health.dead", { n: 1 }), "Messages",
        async () => {
            await visitor.becomes(() => visitor.choice("message.status")
                .inputValue(), "2", "to dead ones");
            await visitor.until(async () => (await visitor.page.getByRole(
                "table").getByRole("row").count()) === 2, "of all topics");
        });
    await leads(visitor, visitor.t("health.noConsumers", { count: 2 }),
        "Topics", async () => {
            await visitor.becomes(() => visitor.column(visitor.t("page.Topics"),
                "topic.name"), ["unheard", "unheard too"],
                "to those topics alone");
            visitor.is(await state(visitor).inputValue(), "noConsumers",
                       "and says so");
        });
}

/* Each figure leads to what it counts. */
async function tilesLead(visitor) {
    const tile = (key) => visitor.role("group", visitor.t(key))
        .getByRole("link");
    const to = { Waiting: "4", InFlight: "5", Retrying: "6", Delayed: "0",
                 Dead: "2", Consumed: "1" };

    for (const [name, status] of Object.entries(to)) {
        visitor.is(await tile("count." + name).getAttribute("href"),
                   "#/Messages?status=" + status, name + " leads to them");
    }

    await tile("count.Delayed").click();
    await visitor.becomes(() => visitor.choice("message.status").inputValue(),
                          "0", "as it says");
    await visitor.page.goBack();
    visitor.is(await visitor.page.locator(".tile:not(:has(a))").count(), 0,
               "every figure leads somewhere");
}

/* What is wrong is said, and not when it is right again. */
async function health(visitors, server) {
    const each = (test) => Promise.all(visitors.map(test));
    const consumer = await server.consumer("sick", "c1", { ack: false });
    const line = (visitor, topic) => visitor.page.getByText(visitor.like(
        "health.of.noConsumers", { topic, n: 1 }));

    await server.publish("sick", "a");
    await visitors[0].until(() => consumer.messages.length > 0,
                            "health: one has a message");
    consumer.giveBack(consumer.messages[0]);
    await server.publish("unheard too", "and me?");
    await each((visitor) => visitor.sees(line(visitor, "unheard"),
        "says which topic has no consumers"));
    await each((visitor) => visitor.sees(line(visitor, "unheard too"),
        "each of them"));
    await each(linesLead);
    await each(tilesLead);
    await each((visitor) => visitor.accessible("what is wrong"));

    const late = await server.consumer("unheard", "late");
    const later = await server.consumer("unheard too", "later");
    await server.ask("PurgeTopic", { topic: "sick", status: 3 });
    await each(async (visitor) => {
        await visitor.go("Console");
        await visitor.sees(visitor.page.getByText(visitor.t("health.good")),
                           "all is well again");
    });
    await Promise.all([consumer, late, later].map((one) => one.leave()));
}

async function overview(visitors, server) {
    const each = (test) => Promise.all(visitors.map(test));
    const traffic = new Traffic();

    await traffic.begin(server, "orders");
    await server.publishLater("later", "much later", 3600);
    await each(underTraffic);
    traffic.stop();
    await visitors[0].until(() => traffic.accepted(), "all are accepted");
    await visitors[0].until(async () =>
        (await server.ask("CountMessage")).unconsumed === 0,
        "and consumed");
    await server.publish("unheard", "who takes me?");
    await each((visitor) => afterwards(visitor, server));
    await each(charts);
    await traffic.leave();
    await health(visitors, server);
}

/* Settings that hold messages back have their names, and a bound its numbers. */
async function limits(visitors, server) {
    const each = (test) => Promise.all(visitors.map(test));

    await each((visitor) => visitor.go("Console"));
    await server.act("limits");

    const again = await server.consumer("bounded", "takes");

    for (;;) {
        const { Waiting, WaitingMax } = await server.ask("GetOverview");

        if (Waiting >= WaitingMax) {
            break;
        }

        await server.publish("bounded", "one more");
    }

    await each(async (visitor) => {
        await visitor.until(async () => {
            const { Waiting: n, WaitingMax: max } =
                await server.ask("GetOverview");

            return visitor.role("link", visitor.t("health.full", { n, max }))
                .isVisible();
        }, "the queue is full: of how many");
        await visitor.sees(visitor.page.getByText(visitor.like("health.paced",
            { count: 1, seconds: 60 })), "and which settings hold it back");
        await visitor.sees(visitor.role("group", visitor.t("count.Waiting"))
            .getByText(visitor.like("overview.full")), "in its tile, too");
        visitor.is(await visitor.page.getByText(/(^|\D)0 (s|秒)(\W|$)/)
            .count(), 0, "and nothing lasts 0 seconds");
    });
    await server.act("no_limits");
    await again.leave();
    await server.ask("PurgeTopic", { topic: "bounded", status: 3 });
}

/* In the page, which is asked for the number: what Chromium tells of requests
 * may come later than the answers to other questions. */
function countRequests() {
    const { fetch } = window;

    window.asked = 0;
    window.fetch = (...request) => {
        window.asked++;
        return fetch(...request);
    };
}

/* Somebody with a clock of their own, so that nobody has to wait. */
async function hidden(known) {
    const visitor = await known.stranger();
    const { page } = visitor;
    const asked = () => page.evaluate(() => window.asked);
    const asksIn = async (ms) => {
        await page.evaluate(() => { window.asked = 0; });
        await page.clock.runFor(ms);
        return asked();
    };
    const hide = (hidden) => page.evaluate((hidden) => {
        Object.defineProperty(document, "hidden",
            { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);

    await page.clock.install();
    await page.addInitScript(countRequests);
    await visitor.signIn();

    /* a request on its way while the clock is put forward is a slow one */
    await visitor.until(async () => await asksIn(3000) > 0,
                        "a tab that is seen asks");
    await hide(true);
    visitor.is(await asksIn(60000), 0, "one that is hidden asks no more");
    await hide(false);
    await visitor.until(async () => await asked() > 0,
                        "and does at once when it is seen again");
    await visitor.leave();
}

module.exports = { Traffic, hidden, limits, overview };
