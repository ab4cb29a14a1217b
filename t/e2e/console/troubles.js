/* Each kind of trouble that the overview tells, and a cluster; the server's
 * answers are made up. */
"use strict";

const { DIFFERENT, GONE, LINES, NOBODY, WELL, ill, poor } =
    require("./answers.js");

/* From now on the server says to a question what answer() makes of what it
 * would have said. */
async function answers(visitor, name, answer) {
    const url = "**/Console/" + name;

    await visitor.page.unroute(url);
    await visitor.page.route(url, async (route) => {
        const real = await (await route.fetch()).json();

        await route.fulfill({ json: answer(real) });
    });
}

/* Each line is there, and leads to what it is about. */
async function lines(visitor) {
    const { page } = visitor;
    const all = visitor.role("list", visitor.t("health.title"))
        .locator("li > a");

    await visitor.signIn();
    await answers(visitor, "GetOverview", ({ data, ...rest }) =>
        ({ ...rest, data: poor(data) }));
    await answers(visitor, "GetHealth", ({ data, ...rest }) =>
        ({ ...rest, data: ill(data.Time) }));
    await visitor.go("Console");
    await visitor.becomes(() => all.evaluateAll((links) => links.map((one) =>
        one.getAttribute("href"))), LINES.map(({ to }) => "#/" + to),
        "trouble: each kind leads somewhere, the worst first");

    for (const { name, values } of LINES) {
        await visitor.sees(page.getByRole("link", {
            name: visitor.like("health." + name, values) }).first(),
            name + " is told");
    }

    await visitor.sees(page.getByText(visitor.t("health.disk",
        { error: visitor.t("errno.28") })), "with the disk's error in words");
    await visitor.accessible("each kind of trouble");
    await visitor.fitsIn("each kind of trouble");
    await page.getByRole("link", { name: visitor.like("health.of.stuck",
        { id: "pod-1", topic: "orders" }) }).click();
    await visitor.becomes(() => visitor.field("clients.search").inputValue(),
                          "pod-1", "who is stuck is what is looked for");
    await page.unrouteAll({ behavior: "wait" });
}

const cluster = (answer) => () => answer;

const says = (visitor, key, values, name) => visitor.sees(
    visitor.page.locator("main .health").getByText(visitor.t(key, values)),
    name);

async function inACluster(visitor) {
    const { page } = visitor;

    await answers(visitor, "GetAccess", ({ data, ...rest }) =>
        ({ ...rest, data: { ...data, Cluster: true } }));
    await answers(visitor, "GetNodes", cluster(WELL));
    await visitor.signIn();
    await says(visitor, "cluster.line", { primary: "queue-1", n: 3, all: 3 },
               "the overview has a line on the cluster");
    await visitor.go("Cluster");
    await says(visitor, "cluster.good", {}, "all nodes are well");
    await visitor.becomes(() => visitor.column(visitor.t("cluster.all"),
        "cluster.node"), [visitor.t("cluster.this", { name: "queue-1" }),
        "queue-2", "queue-3"], "its nodes");
    visitor.is((await visitor.column(visitor.t("cluster.takeovers"),
        "cluster.why"))[0],
        visitor.t("server.the one before was not heard"),
        "why there is another primary, in words");

    await answers(visitor, "GetNodes", cluster(DIFFERENT));
    await says(visitor, "cluster.differs",
               { self: "queue-1", nodes: "queue-3 (prefetch)" },
               "a node that has other settings");
    await answers(visitor, "GetNodes", cluster(GONE));
    await says(visitor, "cluster.away", { nodes: "queue-3" },
               "a node that is gone");
    await says(visitor, "cluster.replicas", { n: 2, all: 3 },
               "a replica that lags");
    await answers(visitor, "GetNodes", cluster(NOBODY));
    await says(visitor, "cluster.noPrimary",
               { reason: visitor.t("server.no primary is heard") },
               "nobody is primary, and why");
    await visitor.accessible("a cluster");
    await visitor.fitsIn("a cluster");
    await visitor.hasCards("a cluster");
    await page.unrouteAll({ behavior: "wait" });
}

/* Somebody for each, whose browser nobody else uses meanwhile. */
async function troubles(known) {
    for (const test of [lines, inACluster]) {
        const visitor = await known.stranger();

        await test(visitor);
        await visitor.leave();
    }
}

module.exports = { troubles };
