/* npm's ws: node node.js PORT KEY; prints what was seen as JSON. */
"use strict";

const { WebSocket } = require("ws");
const { scenario, leave, settled } = require("./scenario.js");

const [port, key] = process.argv.slice(2);

scenario(WebSocket, "ws://127.0.0.1:" + port, key, "node")
    .then(async (result) => {
        result.counts = await settled(fetch, "http://127.0.0.1:" + port, key);
        console.log(JSON.stringify(await leave(result)));
    })
    .catch((error) => {
        console.error(error.stack);
        process.exitCode = 1;
    });
