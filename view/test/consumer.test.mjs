import './browser.mjs';

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { address, hasAddress, listen } from '../src/consumer.js';

const at = (href) => {
    globalThis.location = { href };
};

at('https://mq.example:8011/#/Send');

test('an address has two names, and how it confirms', () => {
    assert.equal(address('orders', 'c1', { confirm: 'ack', prefetch: 9 }),
        'wss://mq.example:8011/Consumers/Conn/orders/c1'
        + '?confirm=ack&prefetch=9');
});

test('it is beside the page, wherever that is', () => {
    at('http://example:80/tools/mq/#/Send/a/b');
    assert.equal(address('orders', 'c1', {}),
        'ws://example/tools/mq/Consumers/Conn/orders/c1');
    at('https://mq.example:8011/#/Send');
});

test('what is in a name stays in it', () => {
    for (const name of ['a?b#c', '100%', '中文', ' ', 'a\\b', '...', '.a',
        '%2F']) {
        const { pathname } = new URL(address(name, 'c1', {}));
        const segments = pathname.split('/').slice(1);

        assert.deepEqual(segments.map(decodeURIComponent),
            ['Consumers', 'Conn', name, 'c1']);
        assert.ok(hasAddress(name), name);
    }
});

// The path that the server sees is decoded, and its dots are resolved.
test('some names have no address', () => {
    for (const name of ['a/b', '/', 'a/', '.', '..']) {
        const { pathname } = new URL(address(name, 'c1', {}));

        assert.notEqual(decodeURIComponent(pathname).split('/').length, 4 + 1,
            name);
        assert.ok(!hasAddress(name), name);
    }
});

/* --- a connection, and the next one */

class Socket {
    static OPEN = 1;
    static all = [];

    constructor(url) {
        Object.assign(this, { url, readyState: 1, sent: [] });
        Socket.all.push(this);
    }

    send(text) {
        this.sent.push(text);
    }

    close(code = 1005, reason = '') {
        this.readyState = 3;
        this.onclose({ code, reason });
    }

    says(data) {
        this.onmessage({ data });
    }
}

function begin(context) {
    const heard = [];
    const note = (name) => (...values) => heard.push([name, ...values]);

    globalThis.WebSocket = Socket;
    Socket.all = [];
    mock.timers.enable({ apis: ['setTimeout'] });
    context.after(() => mock.timers.reset());

    const consumer = listen('ws://x', Object.fromEntries(
        ['open', 'message', 'error', 'lost', 'end'].map(
            (name) => [name, note(name)])));

    return { consumer, heard };
}

const RIGHT = 'Secret key matching succeeded';
const last = () => Socket.all[Socket.all.length - 1];

test('one that was lost comes again, as soon as it can', (context) => {
    const { consumer, heard } = begin(context);

    last().says(RIGHT);
    last().close(1001, 'the server restarts');
    assert.equal(Socket.all.length, 1);
    mock.timers.tick(250);
    assert.equal(Socket.all.length, 2);
    last().close(1006);
    mock.timers.tick(499);
    assert.equal(Socket.all.length, 2);
    mock.timers.tick(1);
    assert.equal(Socket.all.length, 3);
    last().says(RIGHT);
    last().says('{"MessageCode":"a"}');
    assert.deepEqual(heard, [['open'], ['lost'], ['lost'], ['open'],
        ['message', { MessageCode: 'a' }]]);
    consumer.close();
});

test('one that was asked to go does not come again', (context) => {
    const { consumer, heard } = begin(context);

    last().says(RIGHT);
    consumer.close();
    mock.timers.tick(100000);
    assert.equal(Socket.all.length, 1);
    assert.deepEqual(heard, [['open'], ['end', 0, '']]);
});

test('nor one that is not wanted, nor one that was never in', (context) => {
    const { heard } = begin(context);

    last().says(RIGHT);
    last().close(1008, 'token expired');
    listen('ws://y', { end: (...why) => heard.push(why) });
    last().close(1006);
    mock.timers.tick(100000);
    assert.equal(Socket.all.length, 2);
    assert.deepEqual(heard, [['open'], ['end', 1008, 'token expired'],
        [1006, '']]);
});

test('between two connections nothing is sent', (context) => {
    const { consumer } = begin(context);

    last().says(RIGHT);
    consumer.send('a');
    last().close(1001);
    consumer.send('b');
    assert.deepEqual(last().sent, ['a']);
    consumer.close();
});
