// Requests to the queue.

import { currentKey, signOut } from './session.js';

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
        throw new ApiError('', response?.status ?? 0);
    }

    if (response.status === 401 && key === currentKey()) {
        signOut('rejected');
    }

    if (answer.code !== 0) {
        throw new ApiError(answer.msg ?? '', response.status);
    }

    return answer;
}

// The whole answer of POST /Console/name.
export function ask(name, parameters = {}, signal = undefined) {
    return post(`/Console/${name}`, parameters, currentKey() ?? '', signal);
}

// Its data alone.
export async function get(name, parameters, signal) {
    return (await ask(name, parameters, signal)).data;
}

// Is this key the right one?
export async function keyIsRight(key) {
    try {
        await post('/Console/Ping', {}, key);
        return true;
    } catch (error) {
        if (error.status === 401) {
            return false;
        }

        throw error;
    }
}

// Sends a message; its MessageCode.
export async function send(topic, messageData, delayTime) {
    const answer = await post('/Producer/Send',
        { topic, messageData, delayTime }, currentKey() ?? '');

    return answer.msg;
}

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
