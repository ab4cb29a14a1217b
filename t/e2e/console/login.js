/* Who has the key gets in, in this tab and until it is closed. */
"use strict";

async function inStorage(visitor) {
    return visitor.page.evaluate(() => [document.cookie, location.href,
        JSON.stringify(localStorage)].join(" "));
}

async function login(visitor) {
    const { page, server } = visitor;
    const overview = visitor.heading(visitor.t("page.Console"));
    const key = visitor.field("login.key");

    await page.goto(server.url + "/");
    await visitor.until(() => key.evaluate(
        (field) => field === document.activeElement),
        "login: the key is typed at once");

    visitor.watch.allow(/status of 401.*\/Console\/GetAccess/);
    await visitor.enterKey("wrong");
    await visitor.sees(visitor.alert("login.wrong"), "a wrong key: says so");
    visitor.is(await overview.count(), 0, "and lets nobody in");

    await key.fill(server.key);
    await key.press("Enter");
    await visitor.sees(overview, "the right key: in");
    await page.reload();
    await visitor.sees(overview, "and in still when the tab is loaded again");
    visitor.ok(!(await inStorage(visitor)).includes(server.key),
               "the key is in no address, cookie or lasting store");

    const other = await visitor.context.newPage();
    await other.goto(server.url + "/#/Topics");
    await visitor.sees(visitor.field("login.key", other),
                       "another tab asks for it");
    await other.close();

    await visitor.button("nav.signOut").click();
    await visitor.sees(key, "signed out");
    await page.reload();
    await visitor.sees(key, "and out still when the tab is loaded again");
    await visitor.enterKey(server.key);
    await visitor.sees(overview, "in again");
}

module.exports = { login };
