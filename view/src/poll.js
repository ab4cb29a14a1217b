// Data that is asked for again and again, while the tab can be seen.

import { isLost, onConnection } from './connection.js';
import { useEffect, useRef, useState } from './html.js';

const INTERVAL = 2000;             // ms
const LONGEST = 15000;
const PATIENCE = 10000;
const SETTLES = 250;

// Slow answers are asked for less often: they take a tenth of the time.
const SHARE = 10;

/*
 * Calls load(signal), and settle({data, error: null}) or settle({error}) with
 * what comes of it, one call at a time.  Returns {turn, stop}: turn() asks at
 * once.
 */
function start(load, interval, settle) {
    let ended = false;
    let asked = false;
    let request = null;
    let wait = interval;
    let timer;

    async function one() {
        const began = performance.now();
        const late = setTimeout(() => request.abort(), PATIENCE);

        try {
            const data = await load(request.signal);

            wait = Math.max(interval, SHARE * (performance.now() - began));
            ended || settle({ data, error: null });
        } catch (error) {
            wait = Math.min(wait * 2, LONGEST);
            ended || settle({ error });
        }

        clearTimeout(late);
    }

    async function turn() {
        clearTimeout(timer);
        asked = true;

        if (request || document.hidden) {
            return;
        }

        asked = false;
        request = new AbortController();
        await one();
        request = null;

        if (!ended) {
            timer = setTimeout(turn, asked ? 0 : wait);
        }
    }

    // what came back has news
    const stop = onConnection(() => isLost() || turn());

    document.addEventListener('visibilitychange', turn);
    turn();

    return {
        turn,
        stop() {
            ended = true;
            clearTimeout(timer);
            request?.abort();
            stop();
            document.removeEventListener('visibilitychange', turn);
        },
    };
}

/*
 * {data, error, refresh}: data is what load() gave last, and stays when it
 * fails; error is what it failed with last time, or null.  When one of inputs
 * changes it is asked for at once.
 */
export function usePoll(load, inputs = [], interval = INTERVAL) {
    const [state, setState] = useState({ data: null, error: null });
    const running = useRef(null);

    useEffect(() => {
        running.current = start(load, interval,
            (news) => setState((old) => ({ ...old, ...news })));

        return running.current.stop;
    }, inputs);

    return { ...state, refresh: () => running.current.turn() };
}

// The value, when it has not changed for a moment: nobody types so fast.
export function useSettled(value) {
    const [settled, setSettled] = useState(value);

    useEffect(() => {
        const timer = setTimeout(() => setSettled(value), SETTLES);

        return () => clearTimeout(timer);
    }, [value]);

    return settled;
}
