/*
 * node cluster.js PORT KEY APPLICATION.YAML, started by cluster.t: the page
 * Cluster at node n1, of three; n3 has another prefetch than the others.
 */
"use strict";

const { program } = require("./visit.js");

const LOOKS = [
    { name: "en", language: "en", locale: "en-US", colorScheme: "light",
      viewport: { width: 1280, height: 800 } },
    { name: "zh", language: "zh", locale: "zh-CN", colorScheme: "dark",
      viewport: { width: 400, height: 800 } },
];

/* The answer of GetNodes, whose members are not all in its data. */
const nodes = (server) => server.post("/Console/GetNodes", {});

/* The page says what the server says. */
async function shows(visitor) {
    const title = visitor.t("cluster.all");
    const { cluster, data } = await nodes(visitor.server);

    visitor.is((await visitor.column(title, "cluster.node")).sort(),
               [visitor.t("cluster.this", { name: "n1" }), "n2", "n3"].sort(),
               "all nodes are there");
    visitor.is(await visitor.column(title, "cluster.address").then(
        (all) => all.sort()), data.map((node) => node.Address).sort(),
               "with their addresses");
    visitor.is(await visitor.figure("cluster.primary"), cluster.Primary,
               "who is primary");
    await visitor.until(() => visitor.column(title, "cluster.role").then(
        (all) => all.filter((role) => role
            === visitor.t("cluster.role.primary")).length === 1),
                        "one of them says so");
}

async function looksRight(visitor, name) {
    await visitor.accessible(name);
    await visitor.fitsIn(name);
    await visitor.hasCards(name);
}

async function differs(visitor) {
    const text = visitor.t("cluster.differs", { self: "n1",
                                                nodes: "n3 (prefetch)" });

    await visitor.signIn();
    await visitor.sees(visitor.page.getByText(text),
                       "the overview says that a node has other settings");
    await visitor.link("page.Cluster", {}, visitor.role("navigation",
        visitor.t("nav.pages"))).click();
    await visitor.heading(visitor.t("page.Cluster")).waitFor();
    await visitor.loaded();
    await visitor.sees(visitor.page.getByText(text, { exact: true }),
                       "the page Cluster, too, and which");
    await shows(visitor);
    await looksRight(visitor, "with other settings");
}

async function same(visitor) {
    await visitor.sees(visitor.page.getByText(visitor.t("cluster.good"),
                                              { exact: true }),
                       "with the same settings all is well");
    await looksRight(visitor, "all is well");
}

async function stepsDown(visitor, server) {
    const { cluster } = await nodes(server);
    const dialog = visitor.dialog("cluster.stepTitle",
                                  { name: cluster.Primary });

    await visitor.button("cluster.step").click();
    await visitor.sees(dialog, "it asks");
    await visitor.accessible("the question");
    await visitor.button("cluster.step", {}, dialog).click();
    await visitor.until(async () => visitor.like("cluster.stepped", {}).test(
        await visitor.page.locator(".done").textContent()),
                        "and says who takes over");
    await server.act("is_primary", cluster.Epoch + 1);
    await visitor.until(async () => {
        const now = (await nodes(server)).cluster;

        return now.Epoch > cluster.Epoch && now.Primary !== cluster.Primary
            && await visitor.figure("cluster.primary") === now.Primary;
    }, "another node is primary");
    await visitor.until(async () => (await visitor.column(
        visitor.t("cluster.takeovers"), "cluster.epochs")).includes(
        visitor.number(cluster.Epoch + 1)), "the takeover is in the list");
    await looksRight(visitor, "after a takeover");
}

program(LOOKS, async (visitors, server) => {
    await Promise.all(visitors.map(differs));
    await server.act("same");
    await Promise.all(visitors.map(same));

    /* while one takes over, questions to the primary are answered 503 */
    visitors.forEach(({ watch }) => watch.allow(/status of 50[23]/));
    visitors.forEach(({ watch }) => watch.allow(/error: Failed to load/));
    await stepsDown(visitors[0], server);
});
