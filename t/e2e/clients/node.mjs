/* node.mjs BASE KEY TOPIC: work.mjs; reads "stop", then "close". */

import { createInterface } from "node:readline";
import * as client from "kapokmq-client";
import { work } from "./work.mjs";

const [base, key, topic] = process.argv.slice(2);
const clients = work(client, base, key, topic, (line) => console.log(line));

for await (const line of createInterface({ input: process.stdin })) {
    await clients[line]();
}
