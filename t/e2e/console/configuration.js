/* Every value, its default, what it means, and the line that sets it. */
"use strict";

const { readFileSync } = require("node:fs");

/* In which line of application.yaml this is. */
function lineOf(visitor, pattern) {
    return 1 + readFileSync(visitor.server.settings, "utf8").split("\n")
        .findIndex((line) => pattern.test(line));
}

async function configuration(visitor) {
    const cell = (key) => visitor.t("config." + key);
    const place = (pattern) => visitor.t("config.place", {
        file: "application.yaml", line: lineOf(visitor, pattern),
    });

    await visitor.go("Configuration");
    await visitor.sees(visitor.role("table", visitor.t("page.Configuration")),
                       "configuration");

    const rows = await visitor.rows(visitor.t("page.Configuration"));
    const row = (key) => rows.find((one) => one[cell("key")] === key);
    const is = (key, values) => visitor.is(
        ["value", "default", "where"].map((name) => row(key)[cell(name)]),
        values, key + ": value, default and where it is set");

    is("checkSpeed", ["0.1", "5", place(/^ {2}checkSpeed:/)]);
    is("pushMessagesSpeed", ["0", "1", place(/^ {2}pushMessagesSpeed:/)]);
    is("confirm", ["pong", "pong", visitor.t("config.default")]);
    is("secretKey", [visitor.t("config.secret.set"), "–",
                     place(/^ {2}secretKey:/)]);
    visitor.is(rows.filter((one) => one[cell("meaning")] === "")
        .map((one) => one[cell("key")]), [], "each has its meaning");

    const topic = visitor.name + "-dead";
    const own = await visitor.rows(topic);
    const values = own.map((one) =>
        ["key", "value", "where"].map((name) => one[cell(name)]));

    visitor.is(values.sort(), ["confirm", "maxDeliveries"].map((key) =>
        [key, key === "confirm" ? "ack" : "1",
         place(new RegExp("^ +" + topic + ":"))]), "a topic's own");
    /* it may have settings and not be there yet */
    visitor.watch.allow(/status of 404.*\/Console\/GetTopic/);
    await visitor.role("link", topic).click();
    await visitor.sees(visitor.page.getByRole("heading", { level: 1 }),
                       "leads to the topic");
}

module.exports = { configuration };
