/* Where one gets with an address, and with the navigation; everything below a
 * path. */
"use strict";

const PAGES = ["Console", "Topics", "Clients", "Messages", "Send",
               "Configuration", "Access"];

async function addresses(visitor) {
    const { page, server } = visitor;
    const navigation = visitor.role("navigation", visitor.t("nav.pages"));

    for (const address of ["/", "/#/Console", "/#/"]) {
        await page.goto("about:blank");
        await page.goto(server.url + address);
        await visitor.sees(visitor.heading(visitor.t("page.Console")),
                           address + " is the overview");
    }

    for (const [address, name] of [["/#/Bogus", "Bogus"],
                                   ["/#/Topics2", "Topics2"],
                                   ["/#/Nothing/of/this", "Nothing/of/this"],
                                   ["/#/%zz", "%zz"]]) {
        await page.goto("about:blank");
        await page.goto(server.url + address);
        await visitor.sees(visitor.page.getByText(
            visitor.t("unknown.title", { name }), { exact: true }),
            address + ": says that there is none");
        await visitor.becomes(() => page.title(),
            visitor.t("page.Unknown") + " · KapokMQ", "in the title, too");
    }

    await visitor.link("unknown.toFirst").click();
    await visitor.sees(visitor.heading(visitor.t("page.Console")),
                       "and leads to one that is");

    for (const name of [...PAGES.slice(1), PAGES[0]]) {
        const title = visitor.t("page." + name);

        await visitor.link("page." + name, {}, navigation).click();
        await visitor.sees(visitor.heading(title), "to " + name);
        visitor.is(await navigation.locator("[aria-current=page]")
            .allInnerTexts().then((all) => all.map((one) => one.trim())),
            [title], name + " is where one is");
        await visitor.becomes(() => page.title(), title + " · KapokMQ",
                              name + " is in the title");
        await visitor.until(() => visitor.heading(title).evaluate(
            (heading) => heading === document.activeElement),
            name + ": its heading has the focus");
    }

    await page.goBack();
    await visitor.sees(visitor.heading(visitor.t("page.Access")),
                       "back goes back");
    visitor.ok(/^data:image\/svg\+xml,.+<\/svg>$/.test(decodeURIComponent(
        await page.locator("link[rel=icon]").getAttribute("href"))),
        "its tab has an icon");
    await visitor.sees(page.locator(".brand svg"), "the page has a mark");
}

/* Nothing but the page's own directory is asked for. */
async function belowAPath(known) {
    const { server } = known;
    const visitor = await known.stranger();
    const { page } = visitor;
    const home = server.url + "/mq/";
    const elsewhere = [];
    const topic = visitor.name + "-below";
    const where = visitor.region("listen.title");

    for (const kind of ["request", "websocket"]) {
        page.on(kind, (one) => one.url().replace(/^ws/, "http")
            .startsWith(home) || one.url().startsWith("data:")
            || elsewhere.push(one.url()));
    }

    await page.goto(home);
    await visitor.enterKey(server.key);
    await visitor.sees(visitor.heading(visitor.t("page.Console")),
                       "below a path: signs in");
    await page.goto(home + "#/Send");
    await visitor.field("topic.name", where).fill(topic);
    await visitor.button("listen.start", {}, where).click();
    await visitor.sees(visitor.status("listen.on", {}, where), "listens");
    await visitor.field("topic.name", visitor.region("send.title"))
        .fill(topic);
    await visitor.field("message.data").fill("found");
    await visitor.button("send.send").click();
    await visitor.sees(where.getByText("found"), "and sends");

    for (const name of PAGES) {
        await page.goto(home + "#/" + name);
        await visitor.sees(visitor.heading(visitor.t("page." + name)), name);
        await visitor.loaded();
    }

    visitor.is(elsewhere, [], "and asks for nothing elsewhere");
    await visitor.leave();
}

module.exports = { PAGES, addresses, belowAPath };
