/* Where one gets with an address, and with the navigation. */
"use strict";

const PAGES = ["Console", "Topics", "Clients", "Messages", "Send",
               "Configuration", "Access"];

async function addresses(visitor) {
    const { page, server } = visitor;
    const navigation = visitor.role("navigation", visitor.t("nav.pages"));

    for (const address of ["/", "/#/Console", "/#/", "/#/Nothing/of/this",
                           "/#/Topics2", "/#/%zz"]) {
        await page.goto("about:blank");
        await page.goto(server.url + address);
        await visitor.sees(visitor.heading(visitor.t("page.Console")),
                           address + " is the overview");
    }

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
}

module.exports = { PAGES, addresses };
