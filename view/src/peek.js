// Looks at messages without taking them: each is given back at once, as one
// that was not begun, which is no failure.

const SOON = 500;                  // ms in which one comes again too soon
const HELD = 1000;                 // ms for which it is kept then
const KNOWN = 10000;               // messages that are known again

/*
 * giveBack(code) does so.  Returns {isNew(message), end()}: isNew() gives it
 * back, and says whether it was not here before.  Where nobody else takes a
 * message it comes again and again: without retryDelay as fast as it can, were
 * it not kept for a moment.  end() gives those back, too: the end of a consumer
 * is a failure of what it has.
 */
export function peeker(giveBack, now = () => performance.now()) {
    const seen = new Map();        // when it was given back, by its code
    const held = new Map();        // timers

    function release(code) {
        clearTimeout(held.get(code));
        held.delete(code);
        seen.delete(code);
        seen.set(code, now());
        giveBack(code);

        if (seen.size > KNOWN) {
            seen.delete(seen.keys().next().value);
        }
    }

    return {
        isNew({ MessageCode: code }) {
            const before = seen.get(code);

            if (before !== undefined && now() - before < SOON) {
                held.set(code, setTimeout(() => release(code), HELD));
            } else {
                release(code);
            }

            return before === undefined;
        },
        end: () => [...held.keys()].forEach(release),
    };
}
