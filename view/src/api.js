// Requests to the queue, which is where the page came from: at the root of a
// host, or below a path.

import { answered, unanswered } from './connection.js';
import { currentKey, setAccess, signOut } from './session.js';

const ACCESS = 'Console/GetAccess';
const PING = 'Console/Ping';

// A proxy says these for a server that does not answer.
const NOBODY = [502, 504];

class ApiError extends Error {
    constructor(message, status) {
        super(message);
        this.status = status;      // 0: there was no answer
    }
}

// A header takes bytes, so a key of any letters goes as its UTF-8.
function headerValue(text) {
    return String.fromCharCode(...new TextEncoder().encode(text));
}

// Rights may have been taken away meanwhile.
function lookAtStatus(status, path) {
    if (status === 401) {
        signOut('rejected');
    } else if (status === 403) {
        path === ACCESS ? signOut('forbidden')
            : refreshAccess().catch(() => {});
    }
}

// Who gave up waiting says so where it is known for what.
function lookAtConnection(response, answer, path, signal) {
    if (answer !== undefined && !NOBODY.includes(response.status)) {
        answered(path !== PING);
    } else if (!signal?.aborted) {
        unanswered();
    }
}

async function post(path, parameters, key, signal) {
    let response;
    let answer;

    try {
        response = await fetch(path, {
            method: 'POST',
            headers: {
                'Content-Type': 'application/json',
                'secretKey': headerValue(key),
            },
            body: JSON.stringify(parameters),
            signal,
        });
        answer = await response.json();
    } catch {
        lookAtConnection(response, undefined, path, signal);
        throw new ApiError('', response?.status ?? 0);
    }

    lookAtConnection(response, answer, path, signal);

    if (key === currentKey()) {
        lookAtStatus(response.status, path);
    }

    if (answer.code !== 0) {
        throw new ApiError(answer.msg ?? '', response.status);
    }

    return answer;
}

// The whole answer of POST /Console/name.
export function ask(name, parameters = {}, signal = undefined) {
    return post(`Console/${name}`, parameters, currentKey() ?? '', signal);
}

// Its data alone.
export async function get(name, parameters, signal) {
    return (await ask(name, parameters, signal)).data;
}

// What a key may do; who has none with a right to the console gets an error.
export async function accessOf(key, signal) {
    return (await post(ACCESS, {}, key, signal)).data;
}

// The same of the one that is signed in.
export async function refreshAccess(signal) {
    const key = currentKey();
    const access = await accessOf(key, signal);

    if (key === currentKey()) {
        setAccess(access);
    }
}

// Sends a message; its MessageCode.
export async function send(topic, messageData, delayTime) {
    const answer = await post('Producer/Send',
        { topic, messageData, delayTime }, currentKey() ?? '');

    return answer.msg;
}

export const ping = (signal) => ask('Ping', {}, signal);

// All elements of a list that comes in parts.
export async function getAll(name, parameters, signal, limit = 10000) {
    const all = [];
    let cursor;

    do {
        const part = await ask(name, { ...parameters, limit, cursor },
            signal);

        all.push(...part.data);
        cursor = part.next ?? undefined;
    } while (cursor !== undefined && all.length < limit);

    return { all, more: cursor !== undefined };
}
