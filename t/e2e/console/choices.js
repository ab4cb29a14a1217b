/* Language and colours: the browser's at first, then what was chosen. */
"use strict";

const OTHER = { en: "zh", zh: "en" };
const NAMES = { en: "English", zh: "中文" };
const CODES = { en: "en", zh: "zh-CN" };

const htmlLanguage = (visitor) => visitor.page.evaluate(
    () => document.documentElement.lang);

async function isDark(visitor) {
    const background = await visitor.page.evaluate(
        () => getComputedStyle(document.documentElement).backgroundColor);
    const [red, green, blue] = background.match(/\d+/g).map(Number);

    return (red + green + blue) / 3 < 128;
}

async function chooseLanguage(visitor, language) {
    await visitor.choice("choice.language")
        .selectOption({ label: NAMES[language] });
    visitor.speak(language);
    await visitor.sees(visitor.heading(visitor.t("page.Console")),
                       "now in " + NAMES[language]);
    await visitor.becomes(() => htmlLanguage(visitor), CODES[language],
                          "and the page says so");
}

async function colours(visitor) {
    const system = visitor.look.colorScheme === "dark";
    const choose = (name) => visitor.choice("choice.theme")
        .selectOption({ label: visitor.t("theme." + name) });

    visitor.is(await isDark(visitor), system, "colours: the system's");
    await choose(system ? "light" : "dark");
    await visitor.becomes(() => isDark(visitor), !system, "the others");
    await visitor.page.reload();
    await visitor.becomes(() => isDark(visitor), !system,
                          "and remembered");
    await choose("auto");
    await visitor.becomes(() => isDark(visitor), system,
                          "the system's again");
}

/* Somebody new, who has chosen nothing yet. */
async function choices(known) {
    const visitor = await known.stranger();
    const { language } = visitor.look;
    const { page } = visitor;

    await page.goto(visitor.server.url + "/");
    await visitor.sees(visitor.field("login.key"),
                       "language: the browser's at first");
    await visitor.becomes(() => htmlLanguage(visitor), CODES[language],
                          "and the page says so");
    await visitor.accessible("login");
    await visitor.fitsIn("login");
    await visitor.signIn();
    await colours(visitor);
    await chooseLanguage(visitor, OTHER[language]);
    await page.reload();
    await visitor.sees(visitor.heading(visitor.t("page.Console")),
                       "and remembered");
    await chooseLanguage(visitor, language);
    await visitor.leave();
}

module.exports = { choices };
