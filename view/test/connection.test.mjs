import './browser.mjs';

import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { ask, ping } from '../src/api.js';
import { answered, isLost, lastAnswer, onConnection, watch }
    from '../src/connection.js';
import { signIn } from '../src/session.js';

globalThis.document = { hidden: false };

const json = (status, value) => ({ status, json: async () => value });
let answer;                        // what the server does

globalThis.fetch = async (path, { signal }) => answer(signal);

// It never answers.
const hangs = (signal) => new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')));
});
const refuses = () => Promise.reject(new TypeError('refused'));
const works = async () => json(200, { code: 0, data: {} });

async function pass(ms) {
    for (let i = 0; i < ms; i += 100) {
        mock.timers.tick(100);

        for (let j = 0; j < 10; j++) {
            await null;
        }
    }
}

beforeEach(() => {
    signIn('a key', {});
    answered(true);
    answer = works;
});

test('a server that does not take a connection is lost', async () => {
    answer = refuses;
    await assert.rejects(ask('GetOverview'));
    assert.equal(isLost(), true);
    answer = works;
    await ask('GetOverview');
    assert.equal(isLost(), false);
});

test('an error is an answer, one of a proxy without a server is none',
    async () => {
        answer = async () => json(404, { code: -1, msg: 'none' });
        await assert.rejects(ask('GetTopic'));
        assert.equal(isLost(), false);

        for (const status of [502, 504]) {
            answer = async () => json(status, {});
            await assert.rejects(ask('GetTopic'));
            assert.equal(isLost(), true, status);
            answered(true);
        }
    });

test('who goes to another page says nothing of the server', async () => {
    const request = new AbortController();

    answer = hangs;
    const asked = ask('GetTopics', {}, request.signal);

    request.abort();
    await assert.rejects(asked);
    assert.equal(isLost(), false);
});

test('what is shown is as old as the last data, not the last ping',
    async (context) => {
        mock.timers.enable({ apis: ['Date'], now: 5000 });
        context.after(() => mock.timers.reset());
        await ask('GetTopics');
        mock.timers.tick(3000);
        await ping();
        assert.equal(lastAnswer(), 5);
    });

test('a server that hangs is found within 3 seconds', async (context) => {
    mock.timers.enable({ apis: ['setTimeout'] });
    context.after(() => mock.timers.reset());

    const stop = watch(ping);
    const told = [];
    const deaf = onConnection(() => told.push(isLost()));

    await pass(10000);
    assert.deepEqual(told, []);
    answer = hangs;
    await pass(3000);
    assert.deepEqual(told, [true]);
    await pass(10000);
    assert.deepEqual(told, [true]);
    answer = works;
    await pass(3000);
    assert.deepEqual(told, [true, false]);
    stop();
    deaf();
});

test('a page that nobody sees does not ask', async (context) => {
    let n = 0;

    mock.timers.enable({ apis: ['setTimeout'] });
    context.after(() => mock.timers.reset());
    document.hidden = true;
    const stop = watch(async () => n++);

    await pass(10000);
    assert.equal(n, 0);
    document.hidden = false;
    await pass(1000);
    assert.equal(n, 1);
    stop();
});
