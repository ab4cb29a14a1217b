import './browser.mjs';

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { beforeEach, test } from 'node:test';
import { errorName, serverText } from '../src/errors.js';
import { has, setLanguage } from '../src/i18n/index.js';

const SERVER = new URL('../../src/server/', import.meta.url);

// Of the server's folders, those that answer the page.
const FOLDERS = ['console', 'http', 'publish'];
const TEXT = new RegExp('"((?:There (?:is|were)|The (?:key|queue|message|token|'
    + 'request) |Required |Nobody |messageData is |Pages of )[^"%]*)"', 'g');

// Of other doors.
const ELSEWHERE = ['The key has no right to metrics'];

beforeEach(() => setLanguage('zh'));

test('all that the server says to the page is said in Chinese', () => {
    const texts = FOLDERS.flatMap((folder) => {
        const url = new URL(`${folder}/`, SERVER);

        return readdirSync(url).flatMap((name) =>
            [...readFileSync(new URL(name, url), 'utf8').replace(/"\s*"/g, '')
                .matchAll(TEXT)].map(([, text]) => text));
    });

    assert.ok(texts.length > 15);
    assert.deepEqual(texts.filter((text) => !has(`server.${text}`)
        && !ELSEWHERE.includes(text)), []);
    assert.equal(serverText('There is no such topic'),
        '该主题不存在或已被删除。');
});

// Of the cluster: why there is no primary, or another one.
const REASON = new RegExp('(?:reason, room,|reason\\),|[:?])\\s*'
    + '"((?:the|its|no|not|JetStream) [^"%]*)"', 'g');

test('so is what a node says of its cluster', () => {
    const url = new URL('../../src/replica/', import.meta.url);
    const texts = readdirSync(url).flatMap((name) =>
        [...readFileSync(new URL(name, url), 'utf8').replace(/"\s*"/g, '')
            .matchAll(REASON)].map(([, text]) => text));

    assert.ok(texts.length > 10);
    assert.deepEqual(texts.filter((text) => serverText(text) === text), []);
    assert.equal(serverText('no connection to NATS: refused'),
        '无法连接 NATS：refused。');
    assert.equal(serverText('the stream does not acknowledge: the stream has '
        + 'no leader'), '流没有确认写入：流没有领导者。');
    assert.equal(serverText('no stream is made from this node\'s files, since '
        + 'those of node 2 reach further'),
        '不会用本节点的文件创建流，因为 2 号节点的文件更完整。');
});

test('words with names and values in them, too', () => {
    assert.equal(serverText('limit must be 1 to 10000, not "a"'),
        'limit 不能是“a”。');
    assert.equal(serverText('topic is required'), '缺少 topic。');
    assert.equal(serverText('unknown parameter "x", did you mean "y"?'),
        '服务器不认识参数“x”。');
    assert.equal(serverText('not stored: write() failed: no "space"'),
        '消息未能保存：write() failed: no "space"。');
});

test('what is not known is told as it came', () => {
    assert.equal(serverText('something new'), 'something new');
    assert.equal(errorName({ Error: 'Odd', ErrorCode: 9999 }), 'Odd');
    assert.equal(errorName({ Error: 'No space left', ErrorCode: 28 }),
        '磁盘已满');
});
