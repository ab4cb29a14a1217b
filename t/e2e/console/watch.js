/*
 * What must not happen on any page: errors, anything that the Content Security
 * Policy forbids, requests that fail or go elsewhere, the key in an address.
 */
"use strict";

/* Chromium reports these on its console, too, but not all of them there. */
function reportViolations() {
    addEventListener("securitypolicyviolation", (event) => {
        console.error("CSP: " + event.violatedDirective + " "
                      + event.blockedURI);
    });
}

class Watch {
    constructor(origin, key) {
        this.origin = origin;
        this.key = key;
        this.seen = [];
        this.allowed = [];
    }

    async of(context) {
        await context.addInitScript(reportViolations);
        context.on("page", (page) => this.ofPage(page));
    }

    ofPage(page) {
        const note = (text) => this.seen.push(text);

        page.on("pageerror", (error) => note("error: " + error.stack));
        page.on("crash", () => note("the page crashed"));
        page.on("console", (message) => {
            if (["error", "warning"].includes(message.type())) {
                note(message.type() + ": " + message.text() + " "
                     + message.location().url);
            }
        });
        page.on("request", (request) => this.request(request));
        page.on("requestfailed", (request) => {
            const why = request.failure().errorText;

            /* the page was left, or loaded again */
            if (why !== "net::ERR_ABORTED") {
                note(why + " " + request.url());
            }
        });
        page.on("response", (response) => {
            if (response.status() >= 400) {
                note("status of " + response.status() + ": "
                     + response.url());
            }
        });
    }

    request(request) {
        const url = request.url();

        if (!url.startsWith(this.origin + "/") && !url.startsWith("data:")) {
            this.seen.push("request to " + url);
        }

        if (url.includes(this.key)) {
            this.seen.push("the key is in " + url);
        }
    }

    /* Things like this are to happen from now on. */
    allow(pattern) {
        this.allowed.push(pattern);
    }

    /* All that should not have happened. */
    problems() {
        return this.seen.filter(
            (text) => !this.allowed.some((pattern) => pattern.test(text)));
    }
}

module.exports = { Watch };
