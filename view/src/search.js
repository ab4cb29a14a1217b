// A search for messages: as it stands in an address, as it is asked for, and as
// it goes on.

import { ask, get } from './api.js';

export const PAGE = 100;
export const STATUSES = ['3', '-1', '4', '5', '6', '0', '1', '2'];
export const ORDERS = ['newest', 'oldest'];

const PREVIEW = 160;               // bytes
const MINUTE = 60;

// topic: its name; part: of some topics' names; from and to: seconds.
const NOTHING = { topic: '', part: '', status: '3', order: 'newest', from: '',
    to: '', search: '', code: '' };

// A topic may be the address's parameter, or in what is asked for.
export function filtersOf({ parameter, query }) {
    const filters = { ...NOTHING };

    for (const name of Object.keys(NOTHING)) {
        filters[name] = query[name] ?? NOTHING[name];
    }

    filters.topic = parameter || filters.topic;
    filters.status = STATUSES.includes(filters.status) ? filters.status
        : NOTHING.status;

    return filters;
}

// What is as ever is left out.
export const queryOf = (filters) => Object.fromEntries(
    Object.entries(filters).filter(
        ([name, value]) => value !== NOTHING[name]));

export function parametersOf(filters, cursor, limit) {
    const { topic, part, search, from, to } = filters;

    return {
        status: filters.status,
        order: filters.order,
        limit,
        preview: PREVIEW,
        ...(topic && { topic }),
        ...(part && { topicPart: part }),
        ...(search && { search }),
        ...(from && { startTime: from }),
        // the whole minute
        ...(to && { endTime: String(Number(to) + MINUTE - 1) }),
        ...(cursor && { cursor }),
    };
}

// A topic of just that name, or those that have it in theirs.
export async function topicOf(text, signal) {
    const list = text ? await get('GetTopics', { search: text }, signal) : [];

    return list.some(({ Topic }) => Topic === text)
        ? { topic: text, part: '' } : { topic: '', part: text };
}

// The one with this code, if it is there.
async function findOne(messageCode) {
    try {
        return { data: [await get('GetMessage', { messageCode })], next: null };
    } catch (error) {
        if (error.status === 404) {
            return { data: [], next: null };
        }

        throw error;
    }
}

/*
 * Up to a page of what answers to filters, from cursor on, part after part:
 * calls tell({list, next, looked}) with all that was found so far, as long as
 * that returns true.
 */
export async function find(filters, cursor, tell) {
    const list = [];
    let looked = 0;
    let part;

    if (filters.code) {
        part = await findOne(filters.code);
        tell({ list: part.data, next: null, looked: 0 });
        return;
    }

    do {
        part = await ask('GetMessageList', parametersOf(filters, cursor,
            PAGE - list.length));
        list.push(...part.data);
        looked += part.looked?.Messages ?? 0;
        cursor = part.next;
    } while (tell({ list: [...list], next: cursor, looked })
        && cursor !== null && list.length < PAGE);
}

// ------------------------------------------------------- what can be done

const CODES = 1000;                // in one request

export const mayRequeue = (message) => message.Status === 2;
export const mayRelease = (message) => message.Status === 0
    || Boolean(message.NextTry);

// Changes messages by their codes; how many were.
export async function changeAll(name, codes) {
    let n = 0;

    for (let i = 0; i < codes.length; i += CODES) {
        n += await get(name,
            { messageCodes: codes.slice(i, i + CODES).join(',') });
    }

    return n;
}

// A message as a line that a POST to Producer/Send takes.
export const lineOf = (message) => JSON.stringify({
    topic: message.Topic,
    messageData: message.MessageData,
    code: message.MessageCode,
    created: message.CreateTime,
});

const AT_ONCE = 4;

// The lines of messages, without those that are gone by now.
export async function linesOf(codes) {
    const lines = [];
    let next = 0;

    async function some() {
        while (next < codes.length) {
            const i = next++;
            const { data: [message] } = await findOne(codes[i]);

            lines[i] = message && lineOf(message);
        }
    }

    await Promise.all(Array.from({ length: AT_ONCE }, some));

    return lines.filter(Boolean);
}
