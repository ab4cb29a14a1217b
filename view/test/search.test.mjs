import './browser.mjs';

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { changeAll, filtersOf, find, lineOf, linesOf, mayRelease, mayRequeue,
    parametersOf, queryOf, topicOf } from '../src/search.js';
import { link, parse } from '../src/router.js';

const message = (n, more = {}) => ({ MessageCode: String(n), Topic: 't',
    MessageData: `data ${n}`, CreateTime: 1, ...more });

let asked;

// answers: by the name of what is asked for; a function of the parameters
function serve(answers) {
    asked = [];
    globalThis.fetch = async (path, { body }) => {
        const name = path.replace('Console/', '');
        const parameters = JSON.parse(body);

        asked.push([name, parameters]);

        const { status = 200, ...answer } = answers[name](parameters);

        return { status, json: async () => ({ code: status === 200 ? 0 : -1,
            ...answer }) };
    };
}

beforeEach(() => serve({}));

test('a search is what an address says', () => {
    const all = { topic: 'a/b', part: '', status: '5', order: 'oldest',
        from: '1700000000', to: '', search: '100% & more', code: '' };

    assert.deepEqual(filtersOf(parse(link('Messages', '', queryOf(all)))),
        all);
    assert.deepEqual(queryOf(filtersOf(parse('#/Messages'))), {});
    assert.equal(filtersOf(parse('#/Messages/orders')).topic, 'orders');
    assert.equal(filtersOf(parse('#/Messages?status=9')).status, '3');
});

test('what is not looked for is not asked for', () => {
    assert.deepEqual(parametersOf(filtersOf(parse('#/Messages')), null, 7),
        { status: '3', order: 'newest', limit: 7, preview: 160 });
    assert.deepEqual(parametersOf({ ...filtersOf(parse('#/Messages')),
        part: 'ord', from: '60', to: '120', search: 'x' }, '9', 1), {
        status: '3', order: 'newest', limit: 1, preview: 160,
        topicPart: 'ord', search: 'x', startTime: '60', endTime: '179',
        cursor: '9',
    });
});

test('a name is a topic where there is one, else a part of names', async () => {
    serve({ GetTopics: () => ({ data: [{ Topic: 'orders.eu' },
        { Topic: 'orders' }] }) });
    assert.deepEqual(await topicOf('orders'), { topic: 'orders', part: '' });
    assert.deepEqual(await topicOf('order'), { topic: '', part: 'order' });
    assert.deepEqual(await topicOf(''), { topic: '', part: '' });
});

test('parts follow one another until a page is full', async () => {
    const told = [];

    serve({ GetMessageList: ({ cursor }) => ({
        data: cursor === '2' ? [] : [message(cursor ?? 1)],
        next: cursor === '3' ? null : String(Number(cursor ?? 1) + 1),
        looked: { Messages: 10 },
    }) });
    await find(filtersOf(parse('#/Messages?search=x')), undefined, (news) => {
        told.push([news.list.length, news.looked, news.next]);
        return true;
    });
    assert.deepEqual(told, [[1, 10, '2'], [1, 20, '3'], [2, 30, null]]);
});

test('a search that is not wanted any more ends', async () => {
    serve({ GetMessageList: () => ({ data: [], next: '5' }) });
    await find(filtersOf(parse('#/Messages')), undefined, () => false);
    assert.equal(asked.length, 1);
});

test('a code that is not there is no error', async () => {
    const told = [];

    serve({ GetMessage: () => ({ status: 404 }) });
    await find(filtersOf(parse('#/Messages?code=abc')), undefined,
        (news) => told.push(news));
    assert.deepEqual(told, [{ list: [], next: null, looked: 0 }]);
});

test('many are changed a thousand at a time', async () => {
    const codes = Array.from({ length: 1500 }, (_, i) => String(i));

    serve({ DelMessage: ({ messageCodes }) => ({
        data: messageCodes.split(',').length }) });
    assert.equal(await changeAll('DelMessage', codes), 1500);
    assert.equal(asked.length, 2);
});

test('lines keep their order, without those that are gone', async () => {
    serve({ GetMessage: ({ messageCode }) => (messageCode === '3'
        ? { status: 404 } : { data: message(messageCode) }) });

    const lines = await linesOf(['1', '2', '3', '4', '5', '6']);

    assert.deepEqual(lines.map((line) => JSON.parse(line).code),
        ['1', '2', '4', '5', '6']);
    assert.equal(lineOf(message(1)), '{"topic":"t","messageData":"data 1",'
        + '"code":"1","created":1}');
});

test('what can be done depends on what it is', () => {
    assert.deepEqual([-1, 0, 1, 2].map((Status) => [mayRequeue({ Status }),
        mayRelease({ Status })]),
    [[false, false], [false, true], [false, false], [true, false]]);
    assert.ok(mayRelease({ Status: -1, NextTry: 5 }));
});
