/*
 * The server under test: its endpoints, clients of it over WebSocket, and what
 * console.t does with nginx when asked.
 */
"use strict";

const readline = require("node:readline");
const WebSocket = require("ws");
const { print } = require("./report.js");

const LOGGED_IN = "Secret key matching succeeded";

/*
 * messages: what it got, oks: how many of its messages were accepted, closed:
 * {code, reason} once it is.
 */
class Client {
    constructor(url, key, { ack = true, pong = true } = {}) {
        this.messages = [];
        this.oks = 0;
        this.closed = null;
        this.socket = new WebSocket(url, { headers: { secretKey: key },
                                           autoPong: pong });
        this.ready = new Promise((resolve, reject) => {
            this.socket.on("message", (data) => {
                this.take(String(data), ack, resolve);
            });
            this.socket.on("error", reject);
        });
        this.socket.on("close", (code, reason) => {
            this.closed = { code, reason: String(reason) };
        });
    }

    take(data, ack, resolve) {
        if (data === LOGGED_IN) {
            resolve(this);
        } else if (data === "ok") {
            this.oks++;
        } else {
            const message = JSON.parse(data);

            this.messages.push(message);

            if (ack) {
                this.socket.send(message.MessageCode);
            }
        }
    }

    send(...data) {
        data.forEach((one) => this.socket.send(one));
    }

    /* Gives a message back, which counts as a failure. */
    giveBack(message) {
        this.socket.send("-" + message.MessageCode);
    }

    /* The connection is lost. */
    vanish() {
        this.socket.terminate();
    }

    /* Resolves when it is gone. */
    leave() {
        return new Promise((resolve) => {
            if (this.closed) {
                resolve();
            } else {
                this.socket.on("close", resolve);
                this.socket.close();
            }
        });
    }
}

class Server {
    constructor(port, key, settings) {
        this.at = "127.0.0.1:" + port;
        this.url = "http://" + this.at;
        this.key = key;
        this.keys = {};                    /* of clients, by their ids */
        this.settings = settings;          /* application.yaml */
        this.lines = readline.createInterface({ input: process.stdin });
        /* console.t has gone */
        this.lines.on("close", () => process.exit(1));
    }

    async post(path, parameters) {
        const answer = await fetch(this.url + path, {
            method: "POST",
            headers: { "Content-Type": "application/json",
                       secretKey: this.key },
            body: JSON.stringify(parameters),
        });
        return answer.json();
    }

    /* The data of an answer of the console's endpoints. */
    async ask(name, parameters = {}) {
        const answer = await this.post("/Console/" + name, parameters);

        if (answer.code !== 0) {
            throw new Error(name + ": " + JSON.stringify(answer));
        }

        return answer.data;
    }

    topic(name) {
        return this.ask("GetTopic", { topic: name });
    }

    /* A message by its code, or nothing. */
    async find(code) {
        const answer = await this.post("/Console/GetMessage",
                                       { messageCode: code });
        return answer.data ?? null;
    }

    /* Publishes messages one after the other; the codes. */
    async publish(topic, ...data) {
        const codes = [];

        for (const one of data) {
            codes.push(await this.publishLater(topic, one, 0));
        }

        return codes;
    }

    async publishLater(topic, messageData, delayTime) {
        const answer = await this.post("/Producer/Send",
                                       { topic, messageData, delayTime });
        if (answer.code !== 0) {
            throw new Error("send: " + JSON.stringify(answer));
        }

        return answer.msg;
    }

    connect(role, topic, id, options, query = "") {
        const path = [role, "Conn", topic, id].map(encodeURIComponent);
        const client = new Client("ws://" + this.at + "/" + path.join("/")
                                  + query, this.keys[id] ?? this.key, options);
        return client.ready;
    }

    producer(topic, id) {
        return this.connect("Producers", topic, id, { ack: false });
    }

    /* It confirms by ack, or never with ack: false; heartbeat: its own. */
    consumer(topic, id, options = {}) {
        return this.connect("Consumers", topic, id, options, "?confirm=ack"
            + (options.heartbeat ? "&heartbeat=" + options.heartbeat : ""));
    }

    /* stop, launch, freeze, thaw, renew (the workers), limits, no_limits,
     * fewer (rights), or key with a new one: done by console.t. */
    async act(act, value) {
        const done = new Promise((resolve) => {
            this.lines.once("line", resolve);
        });

        print({ act, value });
        await done;

        if (act === "key") {
            this.key = value;
        }
    }
}

module.exports = { Server };
