/*
 * What the tests find, as lines of JSON for console.t; and waiting for what
 * has to come.
 */
"use strict";

const PATIENCE = Number(process.env.KMQ_PATIENCE || 120) * 1000;
const EVERY = 50;                  /* ms between two looks */

const pause = () => new Promise((resolve) => setTimeout(resolve, EVERY));

function print(line) {
    process.stdout.write(JSON.stringify(line) + "\n");
}

function text(value) {
    return value instanceof Error ? value.stack
        : typeof value === "string" ? value : JSON.stringify(value, null, 1);
}

/* A test; true when it holds. */
function ok(value, name, detail) {
    print({ ok: Boolean(value), name, detail: value ? undefined
        : text(detail) });
    return Boolean(value);
}

function is(got, wanted, name) {
    return ok(JSON.stringify(got) === JSON.stringify(wanted), name,
              "got: " + text(got) + "\nnot: " + text(wanted));
}

/*
 * Waits until the condition holds, returns what it returned, and is a test.
 * What comes after it depends on it: it throws when the condition never holds.
 */
async function until(condition, name) {
    const deadline = Date.now() + PATIENCE;
    let last;

    for (;;) {
        try {
            last = await condition();

            if (last) {
                ok(true, name);
                return last;
            }
        } catch (error) {
            last = error;
        }

        if (Date.now() > deadline) {
            throw new Error("did not come: " + name + "; last: "
                            + text(last));
        }

        await pause();
    }
}

/* The same for a value that has to become this one. */
async function becomes(look, wanted, name) {
    let got;

    try {
        await until(async () => {
            got = await look();
            return JSON.stringify(got) === JSON.stringify(wanted);
        }, name);
    } catch {
        is(got, wanted, name);
        throw new Error("did not come: " + name);
    }
}

/*
 * How much more time is needed than on an idle machine, where a timer comes
 * when it should: 1 to 8.
 */
async function slower() {
    let worst = 0;

    for (let n = 0; n < 40; n++) {
        const start = performance.now();

        await new Promise((resolve) => setTimeout(resolve, 5));
        worst = Math.max(worst, performance.now() - start - 5);
    }

    return Math.min(8, 1 + Math.floor(worst / 10));
}

module.exports = { PATIENCE, becomes, is, ok, print, slower, until };
