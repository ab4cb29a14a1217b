import './browser.mjs';

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { days, failures, inOrder, memoryLasts, problems, rates, sorted }
    from '../src/statistics.js';

const overview = (changes = {}) => ({
    Time: 1000,
    Waiting: 100,
    InFlight: 0,
    Retrying: 0,
    Resting: 0,
    Failures: { end: 0, return: 0, overdue: 0, uncharged: 0 },
    Delayed: 0,
    Dead: 0,
    Published: 100,
    Confirmed: 0,
    WaitingMax: 1000000,
    OldestWaiting: 990,
    OldestTopic: 'orders',
    Zone: { Size: 1000, Free: 800, History: 100 },
    Disk: { Mode: 1, Interval: 5, LastFlush: 900, Error: null },
    ...changes,
});

const names = (found) => found.map(({ name }) => name);

test('rates are differences over the server\'s time', () => {
    const before = { Time: 10, Published: 100, Confirmed: 7 };
    const now = { Time: 12.5, Published: 150, Confirmed: 7 };

    assert.deepEqual(rates(before, now, ['Published', 'Confirmed']),
        { Published: 20, Confirmed: 0 });
});

test('there is no rate of one answer, nor of two at the same time', () => {
    const now = { Time: 10, Published: 1 };

    assert.deepEqual(rates(null, now, ['Published']), { Published: null });
    assert.deepEqual(rates(now, now, ['Published']), { Published: null });
});

test('a queue that began anew has no negative rates', () => {
    assert.deepEqual(rates({ Time: 1, Published: 50 },
        { Time: 2, Published: 3 }, ['Published']), { Published: 0 });
});

const hour = (date, n = 1) => ({ Time: Date.parse(date) / 1000, Published: n,
    Delivered: 2 * n, Confirmed: 3 * n });

test('hours become days of the viewer\'s zone', () => {
    const now = Date.parse('2026-11-23T12:00:00+01:00') / 1000;
    const week = days([
        hour('2026-11-16T23:00:00+01:00', 1000),        // the day before
        hour('2026-11-17T00:00:00+01:00', 1),
        hour('2026-11-22T23:00:00+01:00', 10),
        hour('2026-11-23T00:00:00+01:00', 100),
        hour('2026-11-23T12:00:00+01:00', 200),
    ], now, 7);

    assert.equal(week.length, 7);
    assert.deepEqual(week.map((day) => day.Published),
        [1, 0, 0, 0, 0, 10, 300]);
    assert.equal(week[6].Delivered, 600);
    assert.equal(week[6].Confirmed, 900);
    assert.equal(week[6].Time,
        Date.parse('2026-11-23T00:00:00+01:00') / 1000);
});

test('a day of 25 hours is one day', () => {
    // the clocks went back on 25 October 2026
    const now = Date.parse('2026-10-26T08:00:00+01:00') / 1000;
    const [, sunday, monday] = days([
        hour('2026-10-25T00:00:00+02:00', 1),
        hour('2026-10-25T23:00:00+01:00', 10),
        hour('2026-10-26T00:00:00+01:00', 100),
    ], now, 3);

    assert.equal(sunday.Published, 11);
    assert.equal(monday.Published, 100);
    assert.equal(monday.Time - sunday.Time, 25 * 3600);
});

const minutes = (...backlogs) => backlogs.map((Backlog, i) => ({
    Time: i * 60, Backlog }));

test('memory lasts as long as the backlog\'s growth leaves it', () => {
    // 100 messages take 100 bytes, 900 are left; 1 message a second comes
    assert.equal(memoryLasts(overview(), minutes(null, 40, 100)), 900);
});

test('messages between two tries take memory, too', () => {
    assert.equal(memoryLasts(overview({ Waiting: 60, Retrying: 40 }),
        minutes(40, 100)), 900);
});

test('the bound of waiting messages may be reached first', () => {
    assert.equal(memoryLasts(overview({ WaitingMax: 160 }),
        minutes(40, 100)), 60);
});

test('a backlog that does not grow lasts for ever', () => {
    assert.equal(memoryLasts(overview(), minutes(100, 100)), null);
    assert.equal(memoryLasts(overview(), minutes(100, 40)), null);
    assert.equal(memoryLasts(overview(), minutes(null, 40)), null);
    assert.equal(memoryLasts(overview(), []), null);
});

test('a healthy queue has no problems', () => {
    assert.deepEqual(problems(overview(), false), []);
});

test('each problem is found, the worst first', () => {
    const bad = overview({
        Dead: 3,
        Resting: 1,
        WaitingMax: 100,
        Zone: { Size: 1000, Free: 50, History: 0 },
        Disk: { Mode: 2, Interval: 5, LastFlush: 1, Error: 'full' },
    });

    assert.deepEqual(names(problems(bad, true)),
        ['disk', 'full', 'memory', 'noConsumers', 'resting', 'dead']);
});

test('what nobody was charged with is no failure', () => {
    assert.equal(failures(overview({
        Failures: { end: 1, return: 20, overdue: 300, uncharged: 4000 },
    })), 321);
});

test('without files there is no trouble with the disk', () => {
    const none = overview({ Disk: { Mode: 0, Interval: 5, LastFlush: null,
        Error: 'old' } });

    assert.deepEqual(problems(none, false), []);
});

test('history is memory that is free', () => {
    const full = overview({ Zone: { Size: 1000, Free: 0, History: 500 } });

    assert.deepEqual(problems(full, false), []);
});

const topics = [
    { Topic: 'b10', n: 1 }, { Topic: 'b9', n: null }, { Topic: 'a', n: 1 },
    { Topic: 'c', n: 0 },
];
const order = (rows) => rows.map(({ Topic }) => Topic).join(' ');

test('rows are sorted by name as people count', () => {
    assert.equal(order(sorted(topics, 'Topic', false)), 'a b9 b10 c');
    assert.equal(order(sorted(topics, 'Topic', true)), 'c b10 b9 a');
});

test('rows alike keep their order, those without a value come last', () => {
    assert.equal(order(sorted(topics, 'n', false)), 'c b10 a b9');
    assert.equal(order(sorted(topics, 'n', true)), 'b10 a c b9');
    assert.equal(order(topics), 'b10 b9 a c', 'the rows themselves stay');
});

test('rows stay where they were, new ones come last', () => {
    assert.equal(order(inOrder(topics, ({ Topic }) => Topic,
        ['a', 'gone', 'c', 'b10'])), 'a c b10 b9');
});
