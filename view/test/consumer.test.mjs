import './browser.mjs';

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, hasAddress } from '../src/consumer.js';

globalThis.location = { protocol: 'https:', host: 'mq.example:8011' };

test('an address has two names, and how it confirms', () => {
    assert.equal(address('orders', 'c1', 'ack'),
        'wss://mq.example:8011/Consumers/Conn/orders/c1?confirm=ack');
});

test('what is in a name stays in it', () => {
    for (const name of ['a?b#c', '100%', '中文', ' ', 'a\\b', '...', '.a',
        '%2F']) {
        const { pathname } = new URL(address(name, 'c1', 'pong'));
        const segments = pathname.split('/').slice(1);

        assert.deepEqual(segments.map(decodeURIComponent),
            ['Consumers', 'Conn', name, 'c1']);
        assert.ok(hasAddress(name), name);
    }
});

// The path that the server sees is decoded, and its dots are resolved.
test('some names have no address', () => {
    for (const name of ['a/b', '/', 'a/', '.', '..']) {
        const { pathname } = new URL(address(name, 'c1', 'pong'));

        assert.notEqual(decodeURIComponent(pathname).split('/').length, 4 + 1,
            name);
        assert.ok(!hasAddress(name), name);
    }
});
