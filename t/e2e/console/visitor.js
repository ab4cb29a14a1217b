/*
 * Somebody who uses the page: with a language, colours and a width, in a
 * browser context of its own.  Finds things by what they are called in that
 * language.
 */
"use strict";

const { readFileSync } = require("node:fs");
const report = require("./report.js");
const { Watch } = require("./watch.js");

/* {name} is a value, {name|one|many} a word that goes with a number. */
const PLACE = /\{(\w+)(?:\|(.*?)\|(.*?))?\}/g;

const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

class Visitor {
    /* look: {name, language, locale, timezoneId, colorScheme, viewport} */
    static async come(browser, server, texts, look) {
        const context = await browser.newContext({ reducedMotion: "reduce",
                                                   ...look });
        const visitor = new Visitor(server, texts, look, context);

        context.setDefaultTimeout(report.PATIENCE);
        await visitor.watch.of(context);
        visitor.page = await context.newPage();
        return visitor;
    }

    constructor(server, texts, look, context) {
        this.server = server;
        this.languages = texts;
        this.speak(look.language);
        this.look = look;
        this.name = look.name;
        this.context = context;
        this.watch = new Watch(server.url, server.key);
    }

    /* ------------------------------------------------------------ texts */

    speak(language) {
        this.texts = this.languages[language];
    }

    t(key, values = {}) {
        if (!(key in this.texts)) {
            throw new Error("no such text: " + key);
        }

        return this.texts[key].replace(PLACE, (place, name, one, many) =>
            one === undefined ? values[name] ?? place
                : values[name] === 1 ? one : many);
    }

    /* The same as a pattern, for values that are not known. */
    like(key, values) {
        const text = this.t(key, values).replace(/[.*+?^$()|[\]\\]/g, "\\$&");

        return new RegExp(text.replace(/\{\w+\}/g, ".+"));
    }

    number(n) {
        return new Intl.NumberFormat(this.look.locale).format(n);
    }

    format(seconds, options) {
        return new Intl.DateTimeFormat(this.look.locale, {
            timeZone: this.look.timezoneId, ...options,
        }).format(new Date(seconds * 1000));
    }

    /* ------------------------------------------------------------ tests */

    ok(value, name, detail) {
        return report.ok(value, this.name + ": " + name, detail);
    }

    is(got, wanted, name) {
        return report.is(got, wanted, this.name + ": " + name);
    }

    until(condition, name) {
        return report.until(condition, this.name + ": " + name);
    }

    becomes(look, wanted, name) {
        return report.becomes(look, wanted, this.name + ": " + name);
    }

    sees(locator, name) {
        return this.until(() => locator.isVisible(), name);
    }

    seesNot(locator, name) {
        return this.until(async () => await locator.count() === 0, name);
    }

    /* ------------------------------------------------- what there is */

    role(role, name, where = this.page) {
        return where.getByRole(role, { name, exact: true });
    }

    button(key, values, where) {
        return this.role("button", this.t(key, values), where);
    }

    link(key, values, where) {
        return this.role("link", this.t(key, values), where);
    }

    heading(name, level = 1) {
        return this.page.getByRole("heading", { name, level, exact: true });
    }

    field(key, where = this.page) {
        return where.getByLabel(this.t(key), { exact: true });
    }

    choice(key, where) {
        return this.role("combobox", this.t(key), where);
    }

    region(key) {
        return this.role("region", this.t(key));
    }

    dialog(key, values) {
        return this.role("dialog", this.t(key, values));
    }

    status(key, values, where = this.page) {
        return where.getByRole("status")
            .getByText(this.t(key, values), { exact: true });
    }

    alert(key, values, where = this.page) {
        return where.getByRole("alert").getByText(this.t(key, values));
    }

    /* The figure of a tile. */
    async figure(key) {
        const tile = this.role("group", this.t(key)).locator(".tile-value");

        return (await tile.textContent()).trim();
    }

    /* Rows of a table, as objects by the names of its columns. */
    rows(name, where = this.page) {
        return this.role("table", name, where).evaluate((table) => {
            const text = (cell) => cell.textContent.trim()
                .replace(/\s+/g, " ");
            const heads = [...table.tHead.rows[0].cells].map(text);

            return [...table.tBodies[0].rows].map((row) =>
                Object.fromEntries([...row.cells].map(
                    (cell, i) => [heads[i], text(cell)])));
        });
    }

    /* One column of a table. */
    async column(name, key) {
        const rows = await this.rows(name);

        return rows.map((row) => row[this.t(key)]);
    }

    /* ------------------------------------------------- what one does */

    address(page, parameter) {
        return this.server.url + "/#/" + page + (parameter === undefined ? ""
            : "/" + encodeURIComponent(parameter));
    }

    /* To a page, and waits for its heading. */
    async go(page, parameter) {
        await this.page.goto(this.address(page, parameter));
        await this.heading(page === "Topics" && parameter
            ? parameter : this.t("page." + page)).waitFor();
    }

    async enterKey(key) {
        await this.field("login.key").fill(key);
        await this.button("login.signIn").click();
    }

    async signIn() {
        await this.page.goto(this.server.url + "/");
        await this.enterKey(this.server.key);
        await this.heading(this.t("page.Console")).waitFor();
    }

    /* Another tab of the same window, signed in. */
    async anotherTab() {
        const visitor = new Visitor(this.server, this.languages, this.look,
                                    this.context);

        visitor.watch = this.watch;
        visitor.page = await this.context.newPage();
        await visitor.signIn();
        return visitor;
    }

    /* Somebody else with the same browser, who was never here. */
    stranger() {
        return Visitor.come(this.context.browser(), this.server,
                            this.languages, this.look);
    }

    /* Waits until nothing is on its way any more. */
    loaded() {
        return this.seesNot(this.page.locator(".loading"), "all is there");
    }

    /* Opens the last message of the table, and waits for what it has. */
    async opensMessage() {
        const table = this.page.getByRole("table");

        await table.getByRole("link", { expanded: false }).last().click();
        await this.sees(table.getByRole("link", { expanded: true }),
                        "a message is open");
        await this.loaded();
    }

    /*
     * Nothing that is wrong for people who see or hear it differently; by these
     * rules alone, if there are some.
     */
    async accessible(name, rules) {
        if (!await this.page.evaluate("'axe' in window")) {
            await this.page.evaluate(axe);
        }

        const violations = await this.page.evaluate(async (rules) =>
            (await window.axe.run({
                resultTypes: ["violations"],
                preload: false,
                ...(rules && { runOnly: rules }),
            })).violations, rules);
        const bad = violations.map(({ id, nodes }) => [id, nodes.map(
            (node) => node.html.slice(0, 200) + " " + node.failureSummary)]);

        return this.is(bad, [], name + ": axe finds nothing");
    }

    fitsIn(name) {
        return this.becomes(() => this.page.evaluate(() => {
            const { scrollWidth, clientWidth } = document.documentElement;

            return Math.max(0, scrollWidth - clientWidth);
        }), 0, name + ": is not wider than the window");
    }

    /* On a telephone what is in a table stands below each other. */
    hasCards(name) {
        const places = this.page.locator("main .table-place");

        return this.becomes(() => places.evaluateAll((all) => all.filter(
            ({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
            .map((place) => place.getAttribute("aria-label"))), [],
                            name + ": no list is wider than the window");
    }

    async leave() {
        this.is(this.watch.problems(), [],
                "no errors, nothing forbidden, no request elsewhere");
        await this.context.close();
    }
}

module.exports = { Visitor };
