import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { peeker } from '../src/peek.js';

function begin() {
    const given = [];
    const clock = { now: 0 };
    const peek = peeker((code) => given.push(code), () => clock.now);
    const comes = (code) => peek.isNew({ MessageCode: code });

    return { given, clock, comes, peek };
}

test('each message is given back at once, and told once', () => {
    const { given, clock, comes } = begin();

    assert.equal(comes('a'), true);
    assert.equal(comes('b'), true);
    clock.now = 1000;
    assert.equal(comes('a'), false);
    assert.deepEqual(given, ['a', 'b', 'a']);
});

test('one that comes again at once is kept for a moment', (context) => {
    const { given, clock, comes } = begin();

    mock.timers.enable({ apis: ['setTimeout'] });
    context.after(() => mock.timers.reset());
    comes('a');
    clock.now = 10;
    assert.equal(comes('a'), false);
    assert.deepEqual(given, ['a']);
    mock.timers.tick(1000);
    assert.deepEqual(given, ['a', 'a']);
});

test('nothing is kept when one stops looking', () => {
    const { given, comes, peek } = begin();

    comes('a');
    comes('a');
    peek.end();
    assert.deepEqual(given, ['a', 'a']);
});

test('what came long ago is forgotten', () => {
    const { comes } = begin();

    for (let n = 0; n <= 10000; n++) {
        comes(`code ${n}`);
    }

    assert.equal(comes('code 10000'), false);
    assert.equal(comes('code 0'), true);
});
