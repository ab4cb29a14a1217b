// Numbers, times and sizes for people.

import { locale, t } from './i18n/index.js';

const formats = new Map();

function format(kind, options) {
    const key = `${locale()} ${kind.name} ${JSON.stringify(options)}`;

    if (!formats.has(key)) {
        formats.set(key, new kind(locale(), options));
    }

    return formats.get(key);
}

export const NOTHING = '–';

export function number(n, digits = 0) {
    return n === null || n === undefined ? NOTHING
        : format(Intl.NumberFormat, { maximumFractionDigits: digits })
            .format(n);
}

// For where there is little room: 1.2M.
export const compact = (n) => format(Intl.NumberFormat,
    { notation: 'compact' }).format(n);

export function rate(n) {
    return n === null || n === undefined ? NOTHING
        : t('unit.perSecond', { n: number(n, n < 10 ? 1 : 0) });
}

export function bytes(n) {
    const units = ['B', 'kB', 'MB', 'GB', 'TB'];
    let i = 0;

    if (n === null || n === undefined) {
        return NOTHING;
    }

    while (n >= 1000 && i < units.length - 1) {
        n /= 1000;
        i++;
    }

    return `${number(n, i > 0 && n < 100 ? 1 : 0)} ${units[i]}`;
}

// Seconds as the two largest units that they have.
export function duration(seconds) {
    const units = [['day', 86400], ['hour', 3600], ['minute', 60],
        ['second', 1]];
    const parts = [];
    let left = Math.max(0, Math.round(seconds));

    for (const [unit, size] of units) {
        const n = Math.floor(left / size);

        if (n > 0 || (unit === 'second' && parts.length === 0)) {
            parts.push(t(`unit.${unit}`, { n: number(n) }));
            left -= n * size;
        } else if (parts.length > 0) {
            break;
        }

        if (parts.length === 2) {
            break;
        }
    }

    return parts.join(' ');
}

function dateFormat(options) {
    return (seconds) => (seconds ? format(Intl.DateTimeFormat, options)
        .format(new Date(seconds * 1000)) : NOTHING);
}

export const time = dateFormat({
    hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});
export const minute = dateFormat({
    hour: '2-digit', minute: '2-digit', hourCycle: 'h23',
});
export const day = dateFormat({ weekday: 'short', day: 'numeric' });
export const fullDay = dateFormat({ dateStyle: 'full' });
export const fullTime = dateFormat({
    year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit',
    minute: '2-digit', second: '2-digit', hourCycle: 'h23',
    timeZoneName: 'short',
});
const sameYear = dateFormat({
    month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit',
    second: '2-digit', hourCycle: 'h23',
});
const otherYear = dateFormat({
    year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit',
    minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});

const two = (n) => String(Math.floor(n)).padStart(2, '0');

// All of it, in the viewer's zone: 2026-11-23T10:55:32+08:00.
export function iso(seconds) {
    const east = -new Date(seconds * 1000).getTimezoneOffset();
    const there = new Date((seconds + east * 60) * 1000);
    const zone = Math.abs(east);

    return there.toISOString().slice(0, 19) + (east < 0 ? '-' : '+')
        + `${two(zone / 60)}:${two(zone % 60)}`;
}

// As short as it can be: the time of today, else the date, too.
export function when(seconds, now = Date.now() / 1000) {
    if (!seconds) {
        return NOTHING;
    }

    const [a, b] = [seconds, now].map((s) => new Date(s * 1000));

    if (a.toDateString() === b.toDateString()) {
        return time(seconds);
    }

    return a.getFullYear() === b.getFullYear()
        ? sameYear(seconds) : otherYear(seconds);
}

// Seconds, which may be text, as a value of <input type="datetime-local">.
export const toInput = (seconds) => (Number(seconds) > 0
    ? iso(Number(seconds)).slice(0, 16) : '');

// A value from <input type="datetime-local">, in seconds.
export function fromInput(value) {
    const ms = new Date(value).getTime();

    return value && Number.isFinite(ms) ? Math.floor(ms / 1000) : undefined;
}
