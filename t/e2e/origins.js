/*
 * Pages of other origins, in a Chromium that has a cookie, a password and a
 * certificate for the queue: node origins.js OWN OTHER DIR COOKIE USER.  The
 * certificate is in HOME/.pki/nssdb; DIR is for the browser's files.
 *
 * https://own.test:OWN is the queue's, with a page of its own; evil.test is
 * another site, own.test:OTHER the same site and another origin.  Each tries
 * every door.  Prints what the pages saw as JSON; what was sent with it, and
 * answered, is in nginx's log.
 */
"use strict";

const { mkdirSync, writeFileSync } = require("node:fs");
const { chromium } = require("playwright-core");
const options = require("./console/chromium.js");

const [own, other, dir, cookie, user] = process.argv.slice(2);
const OWN = "https://own.test:" + own;
const PAGES = { evil: "https://evil.test:" + own,
                near: "https://own.test:" + other, own: OWN };
const KINDS = ["cookie", "basic", "certificate"];

/*
 * In a page: tries all doors under a path; what it saw of each.  All of this a
 * browser does without asking the server beforehand, but for JSON.
 */
async function tryDoors([base, kept]) {
    const seen = {};
    const json = { "Content-Type": "application/json" };
    const form = (values) => new URLSearchParams(values);
    const ask = async (name, path, init) => {
        for (const mode of ["cors", "no-cors"]) {
            try {
                const answer = await fetch(base + path, { mode,
                    credentials: "include", method: "POST", ...init });
                seen[name + " " + mode] = answer.status;
                await answer.body?.cancel();
            } catch (error) {
                seen[name + " " + mode] = "error";
            }
        }
    };
    const open = (name, path) => new Promise((resolve) => {
        const socket = new WebSocket(base.replace("https", "wss") + path);

        seen[name] = "closed";
        socket.onclose = resolve;
        socket.onmessage = ({ data }) => {
            seen[name] = data;
            socket.close();
        };
    });
    const listen = (name, path) => new Promise((resolve) => {
        const events = new EventSource(base + path, { withCredentials: true });
        const end = (what) => {
            seen[name] = what;
            events.close();
            resolve();
        };

        events.onopen = () => end("open");
        events.onerror = () => end("closed");
    });
    const load = (name, path) => new Promise((resolve) => {
        const image = new Image();

        seen[name] = "tried";
        image.onload = image.onerror = resolve;
        image.src = base + path;
    });

    await open("producer", "Producers/t/p");
    await open("consumer", "Consumers/t/c");
    await listen("events", "Events/t/e?prefetch=1");
    await ask("read events", "Events/t/e?prefetch=1", { method: "GET" });
    await ask("send", "Send", { body: form({ topic: "t", messageData: "x" }) });
    await ask("text", "Send", { body: '{"topic":"t","messageData":"x"}' });
    await ask("json", "Send", { body: '[{"topic":"t","messageData":"x"}]',
                                headers: json });
    await ask("pull", "Pull/t/l?max=1");
    await ask("settle", "Settle", { body: form({ confirm: "0".repeat(40) }) });
    await ask("topics", "Console/GetTopics");
    await ask("keys", "Console/GetKeys");
    await ask("purge", "Console/PurgeTopic", { body: form({ topic: kept }) });
    await ask("delete", "Console/DelMessage",
        { body: form({ messageCode: "0".repeat(40) }) });
    await ask("metrics", "metrics", { method: "GET" });
    await load("image", "metrics");
    return seen;
}

/* In a page: a form that is sent, as if somebody had clicked. */
function submit(base) {
    const form = document.createElement("form");

    form.method = "POST";
    form.action = base + "Send";
    for (const [name, value] of [["topic", "t"], ["messageData", "form"]]) {
        const field = document.createElement("input");

        field.name = name;
        field.value = value;
        form.append(field);
    }
    document.body.append(form);
    form.submit();
}

/* What people have chosen once: the certificate for this host, and that cookies
 * go wherever they are asked for. */
function prefer() {
    mkdirSync(dir + "/Default", { recursive: true });
    writeFileSync(dir + "/Default/Preferences", JSON.stringify({
        profile: {
            block_third_party_cookies: false,
            cookie_controls_mode: 0,
            content_settings: { exceptions: { auto_select_certificate: {
                [OWN + ",*"]: { setting: { filters: [{}] } },
            } } },
        },
    }));
}

async function main() {
    prefer();

    const context = await chromium.launchPersistentContext(dir, {
        ...options,
        args: [...options.args,
               "--host-resolver-rules=MAP *.test 127.0.0.1"],
        ignoreHTTPSErrors: true,
    });
    context.setDefaultTimeout(options.timeout);

    try {
        const page = await context.newPage();
        const result = {};

        await context.addCookies([{ name: "kapokmq", value: cookie,
            url: OWN, secure: true, sameSite: "None" }]);
        /* the password is typed once */
        await page.goto(OWN.replace("//", "//" + user + "@")
                        + "/basic/Console/");

        for (const [name, origin] of Object.entries(PAGES)) {
            result[name] = {};

            for (const kind of KINDS) {
                const base = OWN + "/" + kind + "/";

                await page.goto(origin + "/page.html");
                result[name][kind] = await page.evaluate(tryDoors,
                    [base, name + "-kept"]);
                await Promise.all([page.waitForURL(base + "Send"),
                                   page.evaluate(submit, base)]);
                result[name][kind].form = await page.evaluate(
                    () => document.body.innerText);
                await page.goto(origin + "/page.html");
                await Promise.all([page.waitForURL(base + "metrics"),
                    page.evaluate((url) => {
                        location.href = url;
                    }, base + "metrics")]);
            }
        }

        console.log(JSON.stringify(result));
    } finally {
        await context.close();
    }
}

main().catch((error) => {
    console.error(error.stack);
    process.exitCode = 1;
});
