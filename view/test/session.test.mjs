import './browser.mjs';

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { accessOf, ask, refreshAccess } from '../src/api.js';
import { currentAccess, currentKey, onSession, signIn, signOut, whyEnded }
    from '../src/session.js';

const READ = { Name: 'shop', Console: 'read' };
const WRITE = { Name: 'shop', Console: 'write' };

let answers;
let asked;

// What the server is to say, by the function's name: its status, and its data.
globalThis.fetch = async (path, { headers }) => {
    const name = path.split('/').pop();
    const { status, data, before } = answers[name];

    asked.push(`${name} ${headers.secretKey}`);
    before?.();

    return {
        status,
        json: async () => (status === 200 ? { code: 0, data }
            : { code: -1, msg: `status ${status}` }),
    };
};

const fails = (promise, status) => assert.rejects(promise,
    (error) => error.status === status);

// Until nothing is on its way any more.
const settled = () => new Promise((resolve) => {
    setTimeout(resolve);
});

beforeEach(() => {
    answers = { GetAccess: { status: 200, data: READ } };
    asked = [];
    signOut();
    signIn('a key', READ);
});

test('the key and what it may do are kept until one signs out', () => {
    assert.equal(currentKey(), 'a key');
    assert.deepEqual(currentAccess(), READ);
    assert.deepEqual(JSON.parse(sessionStorage.getItem('kapokmq.access')),
        READ);

    signOut();
    assert.equal(currentKey(), null);
    assert.equal(currentAccess(), null);
    assert.equal(sessionStorage.getItem('kapokmq.key'), null);
    assert.equal(sessionStorage.getItem('kapokmq.access'), null);
    assert.equal(whyEnded(), '');
});

test('nothing of it is kept for longer than the tab', () => {
    assert.equal(localStorage.getItem('kapokmq.key'), null);
    assert.equal(localStorage.getItem('kapokmq.access'), null);
});

test('a key that is tried does not change who is signed in', async () => {
    answers.GetAccess = { status: 401 };
    await fails(accessOf('another'), 401);
    answers.GetAccess = { status: 403 };
    await fails(accessOf('another'), 403);
    assert.equal(currentKey(), 'a key');
});

test('a key that is refused is signed out', async () => {
    answers.GetTopics = { status: 401 };
    await fails(ask('GetTopics'), 401);
    assert.equal(currentKey(), null);
    assert.equal(whyEnded(), 'rejected');
});

test('so is one that may not see the console any more', async () => {
    answers.GetAccess = { status: 403 };
    await fails(refreshAccess(), 403);
    assert.equal(currentKey(), null);
    assert.equal(whyEnded(), 'forbidden');
});

test('a refusal is a reason to ask what is allowed', async () => {
    signIn('a key', WRITE);
    answers.PurgeTopic = { status: 403 };
    await fails(ask('PurgeTopic'), 403);
    await settled();
    assert.deepEqual(asked, ['PurgeTopic a key', 'GetAccess a key']);
    assert.deepEqual(currentAccess(), READ);
    assert.equal(currentKey(), 'a key');
});

test('others hear of rights that have changed, and of no others', async () => {
    let n = 0;
    const stop = onSession(() => n++);

    await refreshAccess();
    assert.equal(n, 0);
    answers.GetAccess.data = WRITE;
    await refreshAccess();
    assert.equal(n, 1);
    assert.deepEqual(currentAccess(), WRITE);
    stop();
});

test('an answer to a key that has gone changes nothing', async () => {
    const other = () => {
        signOut();
        signIn('the next', WRITE);
    };

    answers.GetAccess.before = other;
    await refreshAccess();
    assert.deepEqual(currentAccess(), WRITE);

    answers.GetTopics = { status: 401, before: other };
    signIn('a key', READ);
    await fails(ask('GetTopics'), 401);
    assert.equal(currentKey(), 'the next');
});
