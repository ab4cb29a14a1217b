import './browser.mjs';

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { link, parse } from '../src/router.js';

const at = (page, parameter = '') => ({ page, parameter });

test('an address names a page and what is in it', () => {
    assert.deepEqual(parse('#/Console'), at('Console'));
    assert.deepEqual(parse('#/Topics/orders'), at('Topics', 'orders'));
});

test('all else is the overview', () => {
    for (const hash of ['', '#', '#/', '#/Nowhere', '#/constructor']) {
        assert.deepEqual(parse(hash), at('Console'));
    }
});

test('any name of a topic can be in an address', () => {
    for (const name of ['a/b', 'a?b#c', '100%', '中文', ' ', '..']) {
        assert.deepEqual(parse(link('Topics', name)), at('Topics', name));
    }
});

test('a broken address is the page alone', () => {
    assert.deepEqual(parse('#/Topics/%E4%'), at('Topics'));
});
