import './browser.mjs';

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { bytes, compact, duration, fromInput, iso, number, rate, when }
    from '../src/format.js';
import { setLanguage } from '../src/i18n/index.js';

const NOON = Date.UTC(2026, 10, 23, 11) / 1000;         // 12:00 in Berlin

beforeEach(() => setLanguage('en'));

test('numbers are grouped as the language does', () => {
    assert.equal(number(1234567), '1,234,567');
    assert.equal(number(0), '0');
    assert.equal(number(null), '–');
    assert.equal(number(undefined), '–');
    assert.match(compact(1500), /^1\.5k$/i);
});

test('rates have a decimal while they are small', () => {
    assert.equal(rate(0.25), '0.3/s');
    assert.equal(rate(10.4), '10/s');
    assert.equal(rate(1234.5), '1,235/s');
    assert.equal(rate(null), '–');
});

test('bytes have the largest unit that fits', () => {
    assert.equal(bytes(0), '0 B');
    assert.equal(bytes(999), '999 B');
    assert.equal(bytes(1000), '1 kB');
    assert.equal(bytes(65871872), '65.9 MB');
    assert.equal(bytes(268435456), '268 MB');
    assert.equal(bytes(5e15), '5,000 TB');
    assert.equal(bytes(null), '–');
});

test('durations have their two largest units', () => {
    assert.equal(duration(0), '0 s');
    assert.equal(duration(59.4), '59 s');
    assert.equal(duration(192), '3 min 12 s');
    assert.equal(duration(3600), '1 h');
    assert.equal(duration(3600 + 5), '1 h');
    assert.equal(duration(90061), '1 d 1 h');
    assert.equal(duration(-3), '0 s');
});

test('durations in Chinese', () => {
    setLanguage('zh');
    assert.equal(duration(192), '3 分钟 12 秒');
});

test('the whole time is in the viewer\'s zone, and names it', () => {
    assert.equal(iso(NOON), '2026-11-23T12:00:00+01:00');
    assert.equal(iso(Date.UTC(2026, 6, 1, 22, 30) / 1000),
        '2026-07-02T00:30:00+02:00');
});

test('a time is as short as it can be', () => {
    assert.equal(when(NOON, NOON + 60), '12:00:00');
    assert.match(when(NOON - 86400, NOON), /22.*Nov.*12:00:00/);
    assert.doesNotMatch(when(NOON - 86400, NOON), /2026/);
    assert.match(when(NOON - 400 * 86400, NOON), /2025/);
    assert.equal(when(null), '–');
    assert.equal(when(0), '–');
});

test('midnight is 00', () => {
    const midnight = Date.UTC(2026, 10, 22, 23) / 1000;

    assert.equal(when(midnight, NOON), '00:00:00');
});

test('what was typed as a time is local, or nothing', () => {
    assert.equal(fromInput('2026-11-23T12:00'), NOON);
    assert.equal(fromInput(''), undefined);
    assert.equal(fromInput('soon'), undefined);
});
