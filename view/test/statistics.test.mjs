import './browser.mjs';

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLIENT_STATES, TOPIC_STATES, backlogs, bySecond, clusterProblems,
    days, failures, growth, inOrder, inState, lastSeconds, lasts, problems,
    rates, remembered, sorted } from '../src/statistics.js';

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

// In another zone than the other tests.
function inZone(zone, check) {
    const before = process.env.TZ;

    process.env.TZ = zone;

    try {
        check();
    } finally {
        process.env.TZ = before;
    }
}

test('a day that begins within an hour has those that begin in it', () => {
    inZone('Asia/Kathmandu', () => {
        const now = Date.parse('2026-11-23T12:00:00+05:45') / 1000;
        const [sunday, monday] = days([
            hour('2026-11-21T22:45:00+05:45', 1000),
            hour('2026-11-22T00:45:00+05:45', 1),
            hour('2026-11-22T23:45:00+05:45', 10),
            hour('2026-11-23T00:45:00+05:45', 100),
        ], now, 2);

        assert.equal(sunday.Published, 11);
        assert.equal(monday.Published, 100);
        assert.equal(monday.Time,
            Date.parse('2026-11-23T00:00:00+05:45') / 1000);
    });
});

// What a topic keeps: so many hours, the last of which has begun.
const KEPT = 14 * 24 + 2;

test('what a topic keeps has all of 14 days, in each zone', () => {
    const now = Date.parse('2026-11-02T04:59:00Z') / 1000;
    const last = Math.floor(now / 3600);
    const kept = Array.from({ length: KEPT }, (_, i) => ({
        Time: (last - i) * 3600, Published: 1, Delivered: 1, Confirmed: 1 }));

    for (const zone of ['UTC', 'Asia/Kathmandu', 'America/New_York',
        'Pacific/Kiritimati', 'Pacific/Pago_Pago', 'America/St_Johns',
        'Australia/Lord_Howe']) {

        inZone(zone, () => {
            const fortnight = days(kept, now, 14);

            fortnight.forEach(({ Time, Published }, i) => {
                const end = fortnight[i + 1]?.Time ?? now;
                const begun = Math.floor((end - 1) / 3600)
                    - Math.ceil(Time / 3600) + 1;

                assert.equal(Published, begun, `${zone}, day ${i}`);
            });
        });
    }

    // where the clocks went back on 1 November, at the end of a day
    inZone('America/New_York', () => assert.equal(
        days(kept, now, 14).reduce((sum, one) => sum + one.Published, 0),
        14 * 24 + 1));
});

// The last one is not over.
const minutes = (...backlogs) => [...backlogs, null].map((Backlog, i) => ({
    Time: i * 60, Backlog }));

// So many minutes, in which the backlog grows by so much.
const growing = (n, by, from = 0) => Array.from({ length: n },
    (_, i) => from + i * by);

test('memory lasts as long as the backlog\'s growth leaves it', () => {
    // 100 messages take 100 bytes, 900 are left; 1 message a second comes
    assert.equal(lasts(overview(), minutes(...growing(60, 60))).memory, 900);
    assert.equal(lasts(overview({ Waiting: 60, Retrying: 40 }),
        minutes(...growing(10, 60))).memory, 900);
});

test('the bound of waiting messages is another one', () => {
    assert.deepEqual(lasts(overview({ WaitingMax: 160 }),
        minutes(...growing(60, 60))), { memory: 900, count: 60 });
});

test('a backlog that does not grow lasts for ever', () => {
    for (const backlogs of [growing(60, 0), growing(60, -60, 9999), []]) {
        assert.deepEqual(lasts(overview(), minutes(...backlogs)),
            { memory: null, count: null });
    }
});

test('a few minutes say nothing', () => {
    assert.equal(growth(minutes(...growing(8, 60))), null);
    assert.equal(growth(minutes(...growing(9, 60))), 1);
    assert.equal(growth([]), null);
});

test('a burst is no growth', () => {
    const quiet = growing(57, 0, 10);

    // a hundred thousand in the last minutes: that took 11 minutes once
    assert.equal(growth(minutes(...quiet, 10, 50000, 100000)), 0);
    assert.equal(growth(minutes(...growing(5, 20000), ...growing(55, 0,
        100000))), 0);
    // what goes on while it comes still counts
    assert.equal(growth(minutes(...growing(58, 60), 90000, 90060)), 1);
});

test('a minute that is not over says nothing', () => {
    assert.equal(growth([...minutes(...growing(10, 60)).slice(0, -1),
        { Time: 600, Backlog: 999999 }]), 1);
});

test('no room is not 0 seconds', () => {
    const full = overview({ WaitingMax: 100,
        Zone: { Size: 1000, Free: 0, History: 0 } });

    assert.deepEqual(lasts(full, minutes(...growing(60, 60))),
        { memory: null, count: null });
});

// --- by the second

const answer = (Time, changes) => ({ Time, StartTime: 1, Waiting: 0,
    InFlight: 0, Retrying: 0, Delayed: 0, Published: 0, ...changes });

test('two minutes are remembered', () => {
    let answers = [];

    for (let n = 0; n < 200; n++) {
        answers = remembered(answers, answer(n));
    }

    assert.equal(answers[0].Time, 199 - 125);
    assert.equal(answers.length, 126);
});

test('a queue that began anew is another one', () => {
    const [a, b, c] = [answer(1), answer(2, { StartTime: 2 }), answer(1.5)];

    assert.deepEqual(remembered([a], b), [b]);
    assert.deepEqual(remembered([a, b], { ...c, StartTime: 2 }),
        [{ ...c, StartTime: 2 }]);
});

test('each second has its rates and its backlog', () => {
    const seconds = bySecond([answer(1), answer(2, { Published: 10,
        Waiting: 4, InFlight: 3, Retrying: 2, Delayed: 1 }),
    answer(4, { Published: 30 })], ['Published']);

    assert.deepEqual(seconds, [{ Time: 2, Backlog: 10, Published: 10 },
        { Time: 4, Backlog: 0, Published: 10 }]);
});

test('what happened while nobody asked is not known', () => {
    assert.equal(bySecond([answer(1), answer(60, { Published: 10 })],
        ['Published'])[0].Published, null);
});

test('a topic\'s backlog at the end of a minute is what the next begins with',
    () => {
        const of = (...all) => all.map((Before) => (Before === '-' ? {}
            : { Before }));

        assert.deepEqual(backlogs(of('-', 5, '-', '-', 2), 7),
            [5, 2, 2, 2, 7]);
        assert.deepEqual(backlogs(of('-', '-'), 3), [3, 3]);
        assert.deepEqual(backlogs(of(1, null, 4), 0), [null, 4, 0]);
        assert.deepEqual(backlogs([], 1), []);
    });

// --- health

const none = { Count: 0, Messages: 0, Worst: [] };
const health = (changes = {}) => ({ Time: 1000, Paced: null,
    NoConsumers: none, Slow: none, Dead: none, Paused: none, Stuck: none,
    Resting: none, Silent: none, ...changes });
const some = (Messages, ...Worst) => ({ Count: Worst.length, Messages,
    Worst });

test('a healthy queue has no problems', () => {
    assert.deepEqual(problems(overview(), health()), []);
});

test('each problem is found, the worst first', () => {
    const bad = overview({
        WaitingMax: 100,
        Zone: { Size: 1000, Free: 50, History: 0 },
        Disk: { Mode: 2, Interval: 5, LastFlush: 1, Error: 'full' },
    });
    const one = some(1, {});

    assert.deepEqual(names(problems(bad, health({ NoConsumers: one, Slow: one,
        Dead: one, Paused: one, Stuck: one, Resting: one, Silent: one }))),
    ['disk', 'full', 'memory', 'noConsumers', 'slow', 'paused', 'stuck',
        'silent', 'resting', 'dead']);
});

test('of topics and clients it is told how many, and some of them', () => {
    const worst = [{ Topic: 'a' }, { Topic: 'b' }];
    const [{ n, count, worst: told }] = problems(overview(),
        health({ Dead: { Count: 9, Messages: 70, Worst: worst } }));

    assert.deepEqual([n, count, told], [70, 9, worst]);
});

test('limits are told before they are reached', () => {
    assert.deepEqual(names(problems(overview({ Waiting: 80,
        WaitingMax: 100 }), health())), ['nearlyFull']);
    assert.deepEqual(names(problems(overview({ Waiting: 79,
        WaitingMax: 100 }), health())), []);
    assert.deepEqual(names(problems(overview({
        Zone: { Size: 1000, Free: 100, History: 90 } }), health())),
    ['nearlyMemory']);
});

test('pacing is the reason, and is named, where it holds messages back', () => {
    const Paced = { PushMessagesSpeed: 1, SendCount: 100 };
    const found = (changes, more) => problems(overview({ Consumers: 1,
        Waiting: 20000, ...changes }), health({ Paced, ...more }));

    assert.deepEqual(found(), [{ level: 'warn', name: 'paced', n: 20000,
        count: 100, seconds: 1 }]);
    assert.deepEqual(names(found({}, { Slow: some(1, {}) })), ['paced']);
    assert.deepEqual(found({ Waiting: 1000 }), []);
    assert.deepEqual(found({ Consumers: 0 }), []);
    assert.deepEqual(found({}, { Paced: null }), []);
});

test('settings that count on several machines are named', () => {
    assert.deepEqual(problems(overview(), health({ Alone: [] })), []);
    assert.deepEqual(problems(overview(), health({ Alone: ['isCluster',
        'isSync'] })), [{ level: 'warn', name: 'alone',
        keys: 'isCluster, isSync' }]);
});

test('of a cluster it is told whose settings are others', () => {
    const node = (Node, Differs) => ({ Node, Differs, There: true });
    const answer = (...data) => ({ data, cluster: { Node: 'n1', Primary: 'n1',
        Stream: { Replicas: 3, Current: 3 } } });

    assert.deepEqual(clusterProblems(answer(node('n1', null),
        node('n2', null))), []);
    assert.deepEqual(clusterProblems(answer(node('n1', null),
        node('n2', 'prefetch, keys'), node('n3', 'version'))),
    [{ level: 'warn', name: 'differs', self: 'n1',
        nodes: 'n2 (prefetch, keys), n3 (version)' }]);
});

test('what nobody was charged with is no failure', () => {
    assert.equal(failures(overview({
        Failures: { end: 1, return: 20, overdue: 300, uncharged: 4000 },
    })), 321);
});

test('without files there is no trouble with the disk', () => {
    const files = overview({ Disk: { Mode: 0, Interval: 5, LastFlush: null,
        Error: 'old' } });

    assert.deepEqual(problems(files, health()), []);
});

test('history is memory that is free', () => {
    const full = overview({ Zone: { Size: 1000, Free: 0, History: 500 } });

    assert.deepEqual(problems(full, health()), []);
});

test('lists are narrowed down to what is asked for', () => {
    const rows = [{ Waiting: 1, Consumers: 0, Dead: 0 },
        { Waiting: 0, Consumers: 0, Dead: 2 }];
    const clients = [{ Resting: true }, { Resting: null, Silent: true }];

    assert.deepEqual(inState(rows, TOPIC_STATES, 'noConsumers'), [rows[0]]);
    assert.deepEqual(inState(rows, TOPIC_STATES, 'dead'), [rows[1]]);
    assert.deepEqual(inState(rows, TOPIC_STATES, undefined), rows);
    assert.deepEqual(inState(rows, TOPIC_STATES, 'toString'), rows);
    assert.deepEqual(inState(clients, CLIENT_STATES, 'silent'), [clients[1]]);
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

test('the last seconds end with what is known, or now', () => {
    assert.deepEqual(lastSeconds(1000, 120, 2000), [880, 1000]);
    assert.deepEqual(lastSeconds(undefined, 120, 2000), [1880, 2000]);
});
