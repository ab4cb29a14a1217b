/*
 * Pages in Chromium with a token for one topic: node token.js PORT DIR; DIR is
 * for the browser's files.  Says "ready", and for each line {token, later, like,
 * code} of JSON that it reads: a page listens, renews with later, if there is
 * one, and tries everything else with a token like it, if there is one, and the
 * code of another topic's message.  Says "listens" when it does, and prints what
 * it saw as JSON when its connection has ended, or a message "stop" has come.
 */
"use strict";

const readline = require("node:readline");
const { chromium } = require("playwright-core");
const options = require("./console/chromium.js");

const [port, dir] = process.argv.slice(2);

/* In a page: all but listening to inbox.anna by the id anna. */
async function tryAll([base, token, code]) {
    const seen = {};
    const subprotocol = (key) => "kapokmq.key." + btoa(key)
        .replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
    const form = (values) => new URLSearchParams(values);

    /* opened, or the code that it is closed with: 1006, when it never was */
    const open = (path, protocols, frame) => new Promise((resolve) => {
        const socket = new WebSocket(base.replace("http", "ws") + path,
                                     protocols);

        socket.onopen = () => frame && socket.send(frame);
        socket.onmessage = ({ data }) => {
            if (data === "Secret key matching succeeded") {
                resolve("open");
                socket.close();
            }
        };
        socket.onclose = (event) => resolve(event.code);
    });
    const ask = async (path, body, method = "POST") => {
        const answer = await fetch(base + path, { method, body,
            headers: { Authorization: "Bearer " + token } });

        seen[path] = answer.status;
        await answer.body.cancel();
    };

    for (const path of ["/Consumers/Conn/inbox.bob/anna",
                        "/Consumers/Conn/inbox.anna/bob",
                        "/Producers/Conn/inbox.anna/anna"]) {
        seen[path] = await open(path, ["kapokmq", subprotocol(token)]);
        seen[path + ", by a frame"] = await open(path, [], token);
    }

    await ask("/Producer/Send", form({ topic: "inbox.anna",
                                       messageData: "x" }));
    await ask("/Consumers/Events/inbox.bob/anna", undefined, "GET");
    await ask("/Consumers/Pull/inbox.bob/anna");
    await ask("/Consumers/Pull/inbox.anna/bob");
    await ask("/metrics", undefined, "GET");

    for (const name of ["Ping", "GetAccess", "GetKeys", "GetConfig",
                        "GetTopics", "GetTopic", "GetMessage", "GetClientList",
                        "GetOverview", "PurgeTopic", "DelMessage",
                        "RequeueMessage", "Disconnect"]) {
        await ask("/Console/" + name, form({ topic: "inbox.anna",
                                             messageCode: code }));
    }

    /* it may settle, but only what is its own */
    const settled = await fetch(base + "/Consumers/Settle", {
        method: "POST",
        headers: { Authorization: "Bearer " + token },
        body: form({ confirm: code }),
    });
    seen.settled = (await settled.json()).data.confirmed;
    return seen;
}

/* In a page: listens until the end. */
function listen([base, token, later]) {
    const text = btoa(token).replace(/\+/g, "-").replace(/\//g, "_")
        .replace(/=/g, "");
    const socket = new WebSocket(base.replace("http", "ws")
        + "/Consumers/Conn/inbox.anna/anna",
        ["kapokmq", "kapokmq.key." + text]);
    const seen = { texts: [], protocol: null };

    window.listening = new Promise((resolve) => {
        window.ended = new Promise((end) => {
            socket.onopen = () => {
                seen.protocol = socket.protocol;
                later && socket.send("Bearer " + later);
            };
            socket.onmessage = ({ data }) => {
                seen.texts.push(data[0] === "{"
                    ? JSON.parse(data).MessageData : data);
                resolve();

                if (seen.texts.includes("stop")) {
                    end(seen);
                }
            };
            socket.onclose = (event) => {
                seen.closed = [event.code, event.reason];
                seen.time = Date.now() / 1000;
                resolve();
                end(seen);
            };
        });
    });
}

async function visit(context, { token, later, like, code }) {
    const base = "http://127.0.0.1:" + port;
    const page = await context.newPage();

    await page.goto(base + "/page.html");
    await page.evaluate(listen, [base, token, later]);
    await page.evaluate("listening");
    console.log("listens");
    const tried = like ? await page.evaluate(tryAll, [base, like, code]) : {};
    const seen = await page.evaluate("ended");

    await page.close();
    console.log(JSON.stringify({ ...seen, tried }));
}

async function main() {
    const context = await chromium.launchPersistentContext(dir, options);
    context.setDefaultTimeout(options.timeout);

    try {
        console.log("ready");
        for await (const line of readline.createInterface(
            { input: process.stdin })) {
            await visit(context, JSON.parse(line));
        }
    } finally {
        await context.close();
    }
}

main().catch((error) => {
    console.error(error.stack);
    process.exitCode = 1;
});
