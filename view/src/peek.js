// Looks at messages without taking them: each is given back at once, as one
// that was not begun, which is no failure.

const SOON = 500;                  // ms in which one comes again too soon
const HELD = 1000;                 // ms for which it is kept then
const KNOWN = 10000;               // messages that are known again
const QUIET = 500;                 // ms after a return in which none comes
const PATIENCE = 1500;             // ms to wait for one
const TOGETHER = 100;              // ms in which others come with it

/*
 * giveBack(code) does so.  Returns {isNew(message), end(close), abandon()}.
 * isNew() gives it back, and says whether it was not here before.  Where nobody
 * else takes a message it comes again and again: without retryDelay as fast as
 * it can, were it not kept for a moment.  The end of a consumer is a failure of
 * what it has: so end() closes when it has nothing, which is so behind a
 * return, since nothing comes for retryDelay then.  abandon() gives all back,
 * and that is all that one can do without time.
 */
export function peeker(giveBack, now = () => performance.now()) {
    const seen = new Map();        // when it was given back, by its code
    const held = new Map();        // timers
    let last = -Infinity;          // when something was given back
    let ending = null;             // what closes

    function release(code) {
        clearTimeout(held.get(code));
        held.delete(code);
        seen.delete(code);
        last = now();
        seen.set(code, last);
        giveBack(code);

        if (seen.size > KNOWN) {
            seen.delete(seen.keys().next().value);
        }
    }

    const abandon = () => [...held.keys()].forEach(release);

    return {
        isNew({ MessageCode: code }) {
            const before = seen.get(code);

            if (!ending && before !== undefined && now() - before < SOON) {
                held.set(code, setTimeout(() => release(code), HELD));
            } else {
                release(code);
            }

            ending?.(TOGETHER);
            return !ending && before === undefined;
        },
        abandon,
        end(close) {
            if (ending) {
                return;
            }

            let timer;

            ending = (ms) => {
                clearTimeout(timer);
                timer = setTimeout(close, ms);
            };
            abandon();
            ending(now() - last < QUIET ? TOGETHER : PATIENCE);
        },
    };
}
