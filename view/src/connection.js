// Whether the server answers: what is seen is old when it does not.

import { useEffect, useState } from './html.js';

const EVERY = 1000;                // ms between two pings
const PATIENCE = 1500;             // with one

const listeners = new Set();
let lost = false;
let last = null;                   // s, when data came last

export const isLost = () => lost;
export const lastAnswer = () => last;

function become(value) {
    if (value !== lost) {
        lost = value;
        listeners.forEach((listener) => listener());
    }
}

// data: it was not a ping, so what is shown is of now.
export function answered(data) {
    if (data) {
        last = Date.now() / 1000;
    }

    become(false);
}

export const unanswered = () => become(true);

export function onConnection(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
}

// {lost, last}, of a component that is to change with them.
export function useConnection() {
    const [, change] = useState(0);

    useEffect(() => onConnection(() => change((n) => n + 1)), []);
    return { lost, last };
}

/*
 * Pings while the page is seen, so that a server that hangs is found although
 * nobody waits for an answer.  ping(signal) is a promise.  Returns what stops
 * it.
 */
export function watch(ping) {
    let ended = false;
    let timer;

    async function turn() {
        const request = new AbortController();
        const late = setTimeout(() => request.abort(), PATIENCE);

        clearTimeout(timer);

        if (!document.hidden) {
            await ping(request.signal).catch(() => {});

            if (request.signal.aborted && !ended) {
                unanswered();
            }
        }

        clearTimeout(late);

        if (!ended) {
            timer = setTimeout(turn, EVERY);
        }
    }

    turn();

    return () => {
        ended = true;
        clearTimeout(timer);
    };
}
