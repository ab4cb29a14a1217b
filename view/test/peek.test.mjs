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

function beginTimed(context) {
    mock.timers.enable({ apis: ['setTimeout'] });
    context.after(() => mock.timers.reset());
    return begin();
}

test('nothing is kept when one leaves', () => {
    const { given, comes, peek } = begin();

    comes('a');
    comes('a');
    peek.abandon();
    assert.deepEqual(given, ['a', 'a']);
});

test('one ends when nothing can be on its way', (context) => {
    const { given, clock, comes, peek } = beginTimed(context);
    let ends = 0;

    comes('a');
    clock.now = 900;
    peek.end(() => ends++);
    assert.equal(ends, 0, 'one may come just now');
    assert.equal(comes('a'), false);
    mock.timers.tick(99);
    assert.equal(comes('b'), false, 'which came with it');
    mock.timers.tick(99);
    assert.deepEqual(given, ['a', 'a', 'b']);
    assert.equal(ends, 0);
    mock.timers.tick(1);
    assert.equal(ends, 1, 'now both have come, and none does for a while');
    mock.timers.tick(10000);
    assert.equal(ends, 1);
});

test('soon when something was given back just now', (context) => {
    const { comes, peek } = beginTimed(context);
    let ends = 0;

    comes('a');
    comes('a');
    peek.end(() => ends++);
    mock.timers.tick(100);
    assert.equal(ends, 1);
});

test('and when nothing comes', (context) => {
    const { clock, peek, comes } = beginTimed(context);
    let ends = 0;

    clock.now = 10000;
    peek.end(() => ends++);
    peek.end(() => ends++);
    mock.timers.tick(1499);
    assert.equal(ends, 0);
    mock.timers.tick(1);
    assert.equal(ends, 1);
    assert.equal(comes('new'), false, 'what is not shown any more');
});

test('what came long ago is forgotten', () => {
    const { comes } = begin();

    for (let n = 0; n <= 10000; n++) {
        comes(`code ${n}`);
    }

    assert.equal(comes('code 10000'), false);
    assert.equal(comes('code 0'), true);
});
