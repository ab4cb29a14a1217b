/* Everything can be done without a mouse, and one sees where one is. */
"use strict";

const { PAGES } = require("./addresses.js");

const MOST = 120;                  /* controls of a page */
const TRIES = 3;

/*
 * Numbers the controls that one must be able to reach; how many there are.
 * Of a group of radio buttons Tab reaches one.
 */
function number() {
    const controls = [...document.querySelectorAll("a[href], button, input,"
        + " select, textarea, summary, [tabindex='0']")].filter(
        (element) => !element.disabled && element.type !== "radio"
            && element.checkVisibility());

    document.querySelectorAll("[data-control]").forEach(
        (element) => element.removeAttribute("data-control"));
    controls.forEach((element, n) => element.dataset.control = n);
    return controls.map((element) => element.outerHTML.slice(0, 120));
}

/*
 * The one that has the focus, and whether one sees that.  Of a field for a
 * time one sees it on its parts but the last, which draws it itself.
 */
function where() {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const visible = style.outlineStyle !== "none"
        && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== "none";

    return { control: element.dataset.control, visible };
}

/* Controls that Tab does not reach, and those of which one does not see it. */
async function missed(visitor) {
    const { page } = visitor;

    await page.evaluate(() => {
        document.activeElement.blur();
        document.getSelection().removeAllRanges();
    });

    const controls = await page.evaluate(number);
    const reached = new Set();
    const seen = new Set();

    for (let n = 0; n < MOST && seen.size < controls.length; n++) {
        await page.keyboard.press("Tab");
        const { control, visible } = await page.evaluate(where);

        reached.add(Number(control));
        visible && seen.add(Number(control));
    }

    return [reached, seen].map((set) =>
        controls.filter((html, n) => !set.has(n)));
}

/* A control that the page makes anew meanwhile has lost its number: then all is
 * done again. */
async function reachesAll(visitor, name) {
    let unreached, unseen;

    for (let n = 0; n < TRIES; n++) {
        [unreached, unseen] = await missed(visitor);

        if (unreached.length + unseen.length === 0) {
            break;
        }
    }

    visitor.is(unreached, [], name + ": Tab reaches all controls");
    visitor.is(unseen, [], name + ": and one sees where it is");
}

async function skipLink(visitor) {
    const { page } = visitor;
    const skip = visitor.link("nav.skip");

    await visitor.go("Console");
    await page.reload();
    await visitor.heading(visitor.t("page.Console")).waitFor();
    await visitor.loaded();
    await page.keyboard.press("Tab");
    visitor.ok(await skip.evaluate((link) => {
        const { top, left, width, height } = link.getBoundingClientRect();

        return link === document.activeElement && top >= 0 && left >= 0
            && width > 20 && height > 10;
    }), "the first Tab shows how to skip the navigation");
    await page.keyboard.press("Enter");
    visitor.ok(await visitor.heading(visitor.t("page.Console")).evaluate(
        (heading) => heading === document.activeElement),
        "Enter leads to the content");
    await page.keyboard.press("Tab");
    visitor.ok(await page.evaluate(() =>
        document.querySelector("main").contains(document.activeElement)),
        "and Tab goes on from there");
}

async function keyboard(visitor) {
    const topic = visitor.name + "-keys";

    await visitor.server.publish(topic, "a message");
    await skipLink(visitor);

    for (const page of PAGES) {
        await visitor.go(page, page === "Messages" ? topic : undefined);
        await visitor.loaded();
        await reachesAll(visitor, page);
    }

    await visitor.go("Topics", topic);
    await visitor.loaded();
    await reachesAll(visitor, "a topic");
    await visitor.go("Messages", topic);
    await visitor.opensMessage();
    await visitor.until(() => visitor.heading(visitor.t("message.title"), 2)
        .evaluate((heading) => heading === document.activeElement),
        "it has the focus");
    await reachesAll(visitor, "a message");
}

module.exports = { keyboard };
