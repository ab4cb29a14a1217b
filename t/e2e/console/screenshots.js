/*
 * node screenshots.js PORT KEY APPLICATION.YAML, started by screenshots.pl:
 * a week of a shop's traffic, and pictures of each page for docs/console; or,
 * where KMQ_LOOKS names a directory, of all of each page in both languages,
 * light and dark, in three widths, to be looked at.
 */
"use strict";

const { mkdirSync, writeFileSync } = require("node:fs");
const path = require("node:path");
const { chromium } = require("playwright-core");
const options = require("./chromium.js");
const { withPalette } = require("./png.js");
const { ok, until } = require("./report.js");
const { Server } = require("./server.js");
const { texts } = require("./visit.js");
const { Visitor } = require("./visitor.js");

const PICTURES = path.join(__dirname, "../../../docs/console");
const LOOKS = process.env.KMQ_LOOKS;
const WIDTHS = [1440, 1024, 400];

const LIVE = 12000;                /* ms of traffic in a live chart */
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;

const ENGLISH = { name: "en", language: "en", locale: "en-GB",
                  timezoneId: "Europe/Berlin", colorScheme: "light",
                  viewport: { width: 1280, height: 800 } };
const CHINESE = { ...ENGLISH, name: "zh", language: "zh", locale: "zh-CN",
                  timezoneId: "Asia/Shanghai" };

const ITEMS = ["tea", "cups", "a kettle", "honey", "biscuits"];

/* The same numbers every time. */
let seed = 4711;
const random = (n) => {
    seed = (seed * 48271) % 2147483647;
    return seed % n;
};

const order = () => JSON.stringify({
    order: 100000 + random(900000),
    customer: { id: random(5000), country: ["DE", "FR", "CN"][random(3)] },
    items: [{ name: ITEMS[random(5)], count: 1 + random(3) },
            { name: ITEMS[random(5)], count: 1 }],
    paid: true,
});
const invoice = () => JSON.stringify({ invoice: random(100000),
                                       cents: 100 + random(20000) });
const mail = () => "Dear customer, your parcel no. " + random(100000)
    + " is on its way.";
const price = () => JSON.stringify({ item: ITEMS[random(5)],
                                     cents: 100 + random(900) });

/* Whose keys they have; screenshots.pl has the values. */
const KEYS = {
    "shop-1": "shop", "shop-2": "shop", catalogue: "shop",
    "warehouse-1": "warehouse", "warehouse-2": "warehouse",
    billing: "accounting", bookkeeping: "accounting", mailer: "mailer",
    upload: "images", resizer: "images",
};

class Shop {
    constructor(server) {
        this.server = server;

        for (const [id, name] of Object.entries(KEYS)) {
            server.keys[id] = name + "-key";
        }
    }

    async open() {
        const { server } = this;

        this.sent = 0;
        this.producers = {
            orders: await server.producer("orders", "shop-1"),
            invoices: await server.producer("invoices", "billing"),
            mail: await server.producer("mail", "shop-1"),
            prices: await server.producer("prices", "catalogue"),
            thumbnails: await server.producer("thumbnails", "upload"),
        };
        this.consumers = await Promise.all([
            server.consumer("orders", "warehouse-1"),
            server.consumer("orders", "warehouse-2"),
            server.consumer("mail", "mailer"),
            server.consumer("prices", "shop-1"),
            server.consumer("prices", "shop-2"),
            /* has too much to do */
            server.consumer("thumbnails", "resizer", { ack: false }),
            this.openBookkeeping(),
        ]);
    }

    close() {
        return Promise.all([...Object.values(this.producers),
            ...this.consumers].map((client) => client.leave()));
    }

    /* It cannot do with every invoice. */
    async openBookkeeping() {
        const client = await this.server.consumer("invoices", "bookkeeping",
                                                  { ack: false });

        client.socket.on("message", (data) => {
            const message = JSON.parse(data);

            if (message.MessageData.includes("null")) {
                client.giveBack(message);
            } else {
                client.send(message.MessageCode);
            }
        });
        return client;
    }

    send(topic, make, count) {
        const data = Array.from({ length: count }, make);

        this.producers[topic].send(...data);
        this.sent += count;
    }

    /* What happens in a while; busy is 1 on average. */
    trade(busy) {
        this.send("orders", order, Math.round(busy * (20 + random(10))));
        this.send("invoices", invoice, Math.round(busy * (10 + random(5))));
        this.send("mail", mail, Math.round(busy * (8 + random(8))));
        this.send("prices", price, Math.round(busy * random(6)));
    }

    /* All that was sent was accepted. */
    accepted() {
        return until(() => Object.values(this.producers).reduce(
            (sum, { oks }) => sum + oks, 0) === this.sent, "accepted");
    }

    /* Everything that people wait for was done. */
    async done() {
        await this.accepted();
        await until(async () => {
            const topics = await this.server.ask("GetTopics");

            return topics.every(({ Topic, Waiting, InFlight }) =>
                Topic === "thumbnails" || Waiting + InFlight === 0);
        }, "done");
    }
}

/* Less at night and on Sundays, and a little more each day. */
function busy(seconds) {
    const date = new Date(seconds * 1000);
    const hour = date.getUTCHours();
    const day = date.getUTCDay() === 0 ? 0.4 : 0.8 + date.getUTCDay() / 20;

    return day * (1 + Math.sin((hour - 9) / 24 * 2 * Math.PI));
}

async function week(shop) {
    const now = Date.now() / 1000;

    for (let ago = 7 * DAY - HOUR; ago > HOUR; ago -= 2 * HOUR) {
        await shop.server.act("ago", ago);
        shop.trade(12 * busy(now - ago));
        await shop.done();
    }
}

/* The server looks at its backlog once a second. */
function noted(server) {
    return until(async () => {
        const minutes = await server.ask("GetGrowth", { unit: "minute" });

        return minutes.pop().Backlog !== null;
    }, "the backlog is known");
}

/* Minute by minute until now, which goes on meanwhile. */
async function hour(shop) {
    const now = () => Date.now() / 1000;
    const begin = Math.floor(now() / MINUTE) * MINUTE - HOUR + MINUTE / 2;

    for (let n = 0; begin + n * MINUTE < now() - MINUTE; n++) {
        await shop.server.act("ago", now() - begin - n * MINUTE);
        shop.trade(2.5 - Math.sin(n / 9));

        if (n % 20 === 7) {
            shop.send("invoices", () => "{\"invoice\":null}", 1);
        }

        if (n > 35) {
            shop.send("thumbnails", () => "photo " + random(1e6), 4);
        }

        await shop.done();
        await noted(shop.server);
    }

    await shop.server.act("ago", 0);
}

/* A few letters to be sent later, and trade that goes on. */
async function goOn(shop) {
    for (const hours of [1, 2, 8, 24]) {
        await shop.server.publishLater("mail", mail(), hours * HOUR);
    }

    return setInterval(() => {
        const [topic, make] = [["orders", order], ["orders", order],
            ["invoices", invoice], ["mail", mail], ["prices", price],
        ][random(5)];

        shop.send(topic, make, 1);
    }, 500);
}

async function picture(visitor, name) {
    const { page } = visitor;

    await page.evaluate(() => document.activeElement.blur());
    await page.mouse.move(0, 0);
    writeFileSync(path.join(PICTURES, name + ".png"),
                  withPalette(await page.screenshot()));
}

/* With its charts, which is higher than the rest. */
async function overview(visitor, name) {
    const { width, height } = visitor.look.viewport;

    await visitor.page.setViewportSize({ width, height: 962 });
    await visitor.signIn();
    await visitor.loaded();
    await visitor.until(async () =>
        /[1-9]/.test(await visitor.figure("count.Confirmed")), "rates");
    await visitor.page.waitForTimeout(LIVE);
    await picture(visitor, name);
    await visitor.page.setViewportSize({ width, height });
}

async function lists(visitor) {
    const { page } = visitor;
    const rate = () => page.getByRole("table").evaluate(
        (table) => /[1-9]\/s/.test(table.textContent));

    await visitor.go("Topics");
    await visitor.until(rate, "topics");
    await picture(visitor, "topics");
    await visitor.go("Clients");
    await visitor.until(rate, "clients");
    await picture(visitor, "clients");
    await visitor.go("Topics", "orders");
    await visitor.until(async () =>
        /[1-9]/.test(await visitor.figure("count.Confirmed")), "rates");
    await visitor.page.waitForTimeout(LIVE);
    await picture(visitor, "topic");
}

async function messages(visitor) {
    await visitor.go("Messages", "orders");
    await visitor.page.getByRole("table").getByRole("link").nth(2).click();
    await visitor.loaded();
    await picture(visitor, "messages");
}

async function send(visitor) {
    const listen = visitor.region("listen.title");
    const sender = visitor.region("send.title");

    await visitor.go("Send");
    await visitor.button("listen.start", {}, listen).click();

    for (const data of ["{\"hello\":\"world\"}", "Any text will do, too.",
                        "{\"order\":100001,\"items\":[\"tea\",\"cups\"]}"]) {
        const before = await listen.getByRole("listitem").count();

        await visitor.field("message.data", sender).fill(data);
        await visitor.button("send.send", {}, sender).click();
        await visitor.until(async () =>
            await listen.getByRole("listitem").count() > before, "arrived");
    }

    await picture(visitor, "send");
}

async function pictures(browser, server, texts, shop) {
    const come = (look) => Visitor.come(browser, server, texts, look);
    const trade = await goOn(shop);
    const visitor = await come(ENGLISH);

    await visitor.page.goto(server.url + "/");
    await visitor.field("login.key").waitFor();
    await picture(visitor, "login");
    await overview(visitor, "overview");
    await lists(visitor);
    await messages(visitor);
    await send(visitor);
    await visitor.go("Configuration");
    await visitor.loaded();
    await picture(visitor, "configuration");
    await visitor.go("Access");
    await visitor.loaded();
    await picture(visitor, "access");

    const others = {
        "overview-dark": { ...ENGLISH, colorScheme: "dark" },
        "overview-chinese": CHINESE,
        "overview-small": { ...ENGLISH, viewport: { width: 400,
                                                    height: 800 } },
    };

    for (const [name, look] of Object.entries(others)) {
        await overview(await come(look), name);
    }

    clearInterval(trade);
}

/* ------------------------------------------------- all, to be looked at */

const PLACES = [["Console"], ["Topics"], ["Topics", "orders"],
    ["Topics", "invoices"], ["Topics", "thumbnails"], ["Clients"],
    ["Messages"], ["Messages", "invoices"], ["Send"], ["Configuration"],
    ["Access"]];

async function lookAt(visitor, name) {
    const { page } = visitor;

    for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 800 });
        await page.mouse.move(0, 0);
        await page.screenshot({ fullPage: true,
            path: path.join(LOOKS, `${name}-${width}-${visitor.name}.png`) });
    }
}

async function looks(browser, server, texts, shop) {
    const trade = await goOn(shop);

    mkdirSync(LOOKS, { recursive: true });

    for (const look of [ENGLISH, CHINESE]) {
        for (const colorScheme of ["light", "dark"]) {
            const visitor = await Visitor.come(browser, server, texts, {
                ...look, colorScheme, name: look.name + "-" + colorScheme });

            await visitor.page.goto(server.url + "/");
            await visitor.field("login.key").waitFor();
            await lookAt(visitor, "login");
            await visitor.signIn();

            for (const place of PLACES) {
                await visitor.go(...place);
                await visitor.loaded();
                await lookAt(visitor, place.join("-"));
            }

            await visitor.go("Messages", "orders");
            await visitor.opensMessage();
            await lookAt(visitor, "message");
            await visitor.go("Topics", "invoices");
            await visitor.button("topic.purge").click();
            await lookAt(visitor, "purge");
            await visitor.context.close();
        }
    }

    clearInterval(trade);
}

async function main([port, key, settings]) {
    const own = await texts();
    const server = new Server(port, key, settings);
    const shop = new Shop(server);
    const browser = await chromium.launch(options);

    try {
        await shop.open();
        await week(shop);
        await shop.close();
        await server.act("ago", HOUR);
        await shop.open();
        await hour(shop);
        await (LOOKS ? looks : pictures)(browser, server, own, shop);
    } finally {
        await browser.close();
    }
}

main(process.argv.slice(2)).then(() => process.exit(0), (error) => {
    ok(false, "pictures", error.stack);
    process.exit(1);
});
