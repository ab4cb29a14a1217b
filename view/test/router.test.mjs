import './browser.mjs';

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { link, parse } from '../src/router.js';

const at = (page, parameter = '', query = {}) => ({ page, parameter, query });

test('an address names a page and what is in it', () => {
    assert.deepEqual(parse('#/Console'), at('Console'));
    assert.deepEqual(parse('#/Topics/orders'), at('Topics', 'orders'));
});

test('none is the overview', () => {
    for (const hash of ['', '#', '#/']) {
        assert.deepEqual(parse(hash), at('Console'));
    }
});

test('a page that is not there is said to be so', () => {
    assert.deepEqual(parse('#/Bogus'), at('Unknown', 'Bogus'));
    assert.deepEqual(parse('#/constructor'), at('Unknown', 'constructor'));
    assert.deepEqual(parse('#/%E4'), at('Unknown', '%E4'));
    assert.deepEqual(parse('#/a%20b/c?d'), at('Unknown', 'a b/c'));
});

test('what is asked for is in the address, but not what is empty', () => {
    const query = { status: '2', text: 'a&b=c?#/ 中' };

    assert.deepEqual(parse(link('Messages', 'a?b', query)),
        at('Messages', 'a?b', query));
    assert.equal(link('Messages', '', { status: '2', topic: '' }),
        '#/Messages?status=2');
    assert.deepEqual(parse('#/Messages?status=2'),
        at('Messages', '', { status: '2' }));
});

test('any name of a topic can be in an address', () => {
    for (const name of ['a/b', 'a?b#c', '100%', '中文', ' ', '..']) {
        assert.deepEqual(parse(link('Topics', name)), at('Topics', name));
    }
});

test('a broken address is the page alone', () => {
    assert.deepEqual(parse('#/Topics/%E4%'), at('Topics'));
});
