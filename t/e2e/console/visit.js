/* People who use the page that nginx serves, each in a browser's context. */
"use strict";

const { chromium } = require("playwright-core");
const options = require("./chromium.js");
const { ok } = require("./report.js");
const { Server } = require("./server.js");
const { Visitor } = require("./visitor.js");

const I18N = "../../../view/src/i18n/";

/* The page's own texts, by language. */
const texts = async () => ({
    en: (await import(I18N + "en.js")).default,
    zh: (await import(I18N + "zh.js")).default,
});

async function visit([port, key, settings], looks, test) {
    const server = new Server(port, key, settings);
    const browser = await chromium.launch(options);

    try {
        const own = await texts();
        const visitors = await Promise.all(looks.map(
            (look) => Visitor.come(browser, server, own, look)));

        await test(visitors, server);
        await Promise.all(visitors.map((visitor) => visitor.leave()));
    } finally {
        await browser.close();
    }
}

/*
 * A program with the arguments PORT KEY APPLICATION.YAML: a visitor for each
 * look comes, test(visitors, server) is done, and they leave. Clients of a test
 * that failed may be there still, so it ends itself.
 */
function program(looks, test) {
    visit(process.argv.slice(2), looks, test).then(() => process.exit(0),
        (error) => {
            ok(false, "the test itself", error.stack);
            process.exit(1);
        });
}

module.exports = { program, texts };
