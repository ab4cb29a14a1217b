/*
 * What an application does, with any WebSocket class that has the browsers'
 * interface: run by Node with ws, and by a page in a browser.
 *
 * A consumer logs in, with a wrong key first; a producer logs in with a key in
 * a binary frame; messages of all kinds go through; both close. Returns what
 * was seen.
 */
"use strict";

/* The messages, as frames and as what is to come out. */
function messages() {
    const list = [];
    const bytes = (text) => new TextEncoder().encode(text);

    for (let n = 0; n < 100; n++) {
        list.push({ frame: "plain " + n, data: "plain " + n });
        list.push({ frame: JSON.stringify({ MessageData: "json " + n,
                                            DelayTime: 0 }) + "\n",
                    data: "json " + n });
        list.push({ frame: bytes(JSON.stringify({ delayTime: 0,
                                                  messageData: "bin " + n })),
                    data: "bin " + n });
        list.push({ frame: bytes("größe 木棉 🌳 " + n),
                    data: "größe 木棉 🌳 " + n });
    }

    list.push({ frame: "", data: "" });
    list.push({ frame: "\"\\\n\t\u0000\u001f", data: "\"\\\n\t\u0000\u001f" });
    list.push({ frame: "x".repeat(300000), data: "x".repeat(300000) });
    return list;
}

/* Milliseconds in which what has to come comes, on the busiest machine. */
const PATIENCE = 120000;

/* Opens a connection and notes all that comes. */
function open(WebSocket, url) {
    const socket = new WebSocket(url);
    const client = { socket, texts: [], waiters: [], closed: null };
    const look = () => {
        client.waiters = client.waiters.filter((waiter) => !waiter());
    };

    socket.onmessage = (event) => { client.texts.push(event.data); look(); };
    socket.onclose = (event) => { client.closed = event.code; look(); };

    client.until = (condition, what) => new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(
            "no " + what + "; last: " + client.texts.slice(-3)
            + "; closed: " + client.closed)), PATIENCE);
        client.waiters.push(() => {
            if (condition()) {
                clearTimeout(timer);
                resolve();
                return true;
            }
            return false;
        });
        look();
    });
    client.opened = new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = () => reject(new Error("cannot open " + url));
    });

    return client;
}

async function scenario(WebSocket, base, key, topic) {
    const list = messages();
    const result = {};

    const consumer = open(WebSocket, base + "/Consumers/Conn/" + topic + "/c");
    await consumer.opened;
    await consumer.until(() => consumer.texts.length === 1, "prompt");
    consumer.socket.send("not the key");
    await consumer.until(() => consumer.texts.length === 3, "second prompt");
    consumer.socket.send(key);
    await consumer.until(() => consumer.texts.length === 4, "login");
    result.consumerLogin = consumer.texts.splice(0);

    const producer = open(WebSocket, base + "/Producers/Conn/" + topic + "/p");
    await producer.opened;
    producer.socket.send(new TextEncoder().encode(key));
    await producer.until(() => producer.texts.length === 2, "login");
    result.producerLogin = producer.texts.splice(0);

    list.forEach((message) => producer.socket.send(message.frame));
    await producer.until(() => producer.texts.length >= list.length,
                         "answers");
    await consumer.until(() => consumer.texts.length >= list.length,
                         "messages");
    result.sent = list.length;
    result.ok = producer.texts.filter((text) => text === "ok").length;

    const got = consumer.texts.map((text) => JSON.parse(text));
    result.got = got.length;
    result.same = got.every((message, n) =>
        message.MessageData === list[n].data && message.Topic === topic
        && message.Status === -1 && /^[0-9a-f]{40}$/.test(message.MessageCode)
        && Math.abs(message.CreateTime - Date.now() / 1000) < 120);
    result.codes = new Set(got.map((message) => message.MessageCode)).size;

    producer.socket.close(1000);
    await producer.until(() => producer.closed !== null, "close");
    result.producerClosed = producer.closed;
    result.keep = consumer;

    return result;
}

/* To be called when what the consumer got has been confirmed. */
async function leave(result) {
    const consumer = result.keep;

    consumer.socket.close(1000);
    await consumer.until(() => consumer.closed !== null, "close");
    result.consumerClosed = consumer.closed;
    delete result.keep;

    return result;
}

/* The server's own word on what still waits. */
async function settled(fetch, base, key) {
    const deadline = Date.now() + PATIENCE;

    while (Date.now() < deadline) {
        const answer = await fetch(base + "/Console/CountMessage",
            { method: "POST", headers: { secretKey: key } });
        const counts = (await answer.json()).data;
        if (counts.unconsumed === 0) {
            return counts;
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error("messages stay unconsumed");
}

if (typeof module !== "undefined") {
    module.exports = { scenario, leave, settled };
}
