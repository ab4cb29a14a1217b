/*
 * A hundred streams of events on one connection of HTTP/2: node http2.js PORT
 * STREAMS MESSAGES.  Says "open" when all are, prints what was seen as JSON
 * when so many messages have come, and leaves at the end of its input.
 */
"use strict";

const http2 = require("http2");

const [port, streams, messages] = process.argv.slice(2).map(Number);
const session = http2.connect("http://127.0.0.1:" + port);
const seen = { data: [], comments: 0, statuses: [], errors: [] };
let open = 0;
let told = false;

/* not at once: what it has just got may not be known to be sent */
process.stdin.on("end", () => session.destroy()).resume();

session.on("error", (error) => seen.errors.push(String(error)));

for (let i = 0; i < streams; i++) {
    const stream = session.request({
        ":path": `/Consumers/Events/h2/c${i}?heartbeat=0.2`,
        secretkey: "sesame",
    });
    let text = "";

    stream.setEncoding("utf8");
    stream.on("response", (headers) => seen.statuses.push(headers[":status"]));
    stream.on("error", (error) => seen.errors.push(String(error)));
    stream.on("data", (part) => {
        const events = (text + part).split("\n\n");

        text = events.pop();
        for (const event of events) {
            if (event.startsWith("retry:")) {
                open++;
                if (open === streams) {
                    console.log("open");
                }
            } else if (event.startsWith(":")) {
                seen.comments++;
            } else {
                const data = event.slice(event.indexOf("\ndata: ") + 7);
                seen.data.push(JSON.parse(data).MessageData);
            }
        }
        if (seen.data.length >= messages && seen.comments > streams
            && !told)
        {
            told = true;
            console.log(JSON.stringify(seen));
        }
    });
}
