/*
 * states.mjs BASE WHAT: a producer or consumer of clients/js in a certain state,
 * which tells of it line by line.
 */

import { createInterface } from "node:readline";
import { Consumer, Producer } from "kapokmq-client";

const [base, what] = process.argv.slice(2);
const say = (...words) => console.log(words.join(" "));
const lines = () => createInterface({ input: process.stdin });
const options = {
    key: "sesame", heartbeat: 0.5, retry: 0.1,
    onstate: (up, why) => say(up ? "up" : "down " + why),
    onerror: () => {},
};
const refused = (error) => say("refused " + error.message);

const states = {
    /* with a wrong key */
    async refused() {
        const wrong = { ...options, key: "wrong" };
        const producer = new Producer(base, "refused", "p", wrong);
        const consumer = new Consumer(base, "refused", "c", () => {}, wrong);

        await producer.send("before").catch(refused);
        await producer.send("behind").catch(refused);
        await consumer.closed.catch(refused);
    },

    /* with one that is right the second time */
    async asked() {
        const keys = ["wrong", "sesame"];
        const producer = new Producer(base, "asked", "p",
                                      { ...options, key: async () => keys.shift() });

        await producer.send("hello");
        await producer.send("x".repeat(2e6)).catch(refused);
        await producer.close();
        await producer.send("too late").catch(refused);
        say("keys left: " + keys.length);
    },

    /* sends lines, for a long time */
    async sends() {
        const producer = new Producer(base, "sends-js", "p", options);

        for await (const line of lines()) {
            producer.send(line).then(() => say("stored", line));
        }
        await producer.close();
    },

    /* with a token, and, when it is told, another one */
    async renews() {
        const input = lines()[Symbol.asyncIterator]();
        const key = (await input.next()).value;
        const consumer = new Consumer(base, "renews-js", "c", (message) => {
            say("got", message.MessageData);
        }, { ...options, key });

        consumer.renew((await input.next()).value);
        await input.next();
        await consumer.close();
    },

    /* has messages, works on the first of them, and ends */
    async holds() {
        const input = lines()[Symbol.asyncIterator]();
        const consumer = new Consumer(base, "holds-js", "c", async (message) => {
            say("begin", message.MessageData);
            await input.next();
            say("done", message.MessageData);
        }, { ...options, prefetch: 10 });

        process.on("SIGTERM", () => consumer.close());
        await consumer.closed;
        process.exit();
    },
};

await states[what]();
