import './browser.mjs';

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { beforeEach, test } from 'node:test';
import { differences } from '../src/i18n/check.js';
import en from '../src/i18n/en.js';
import { setLanguage, t } from '../src/i18n/index.js';

const SOURCES = new URL('../src/', import.meta.url);

beforeEach(() => setLanguage('en'));

function sources(folder = SOURCES) {
    return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
        const url = new URL(entry.name + (entry.isDirectory() ? '/' : ''),
            folder);

        if (entry.isDirectory()) {
            return entry.name === 'i18n' ? [] : sources(url);
        }

        return entry.name.endsWith('.js') ? [readFileSync(url, 'utf8')] : [];
    });
}

test('both languages have the same texts', () => {
    assert.deepEqual(differences(), []);
});

test('a text that one language lacks is noticed', () => {
    assert.deepEqual(differences({ a: '', b: '' }, { b: '', c: '' }),
        ['a', 'c']);
});

test('a place that one language lacks is noticed', () => {
    assert.deepEqual(differences({ a: '{n} of {all}' }, { a: '{n}' }), ['a']);
    assert.deepEqual(differences({ a: '{n|x|y} {n}' }, { a: '{n}' }), []);
});

test('every text that is asked for by its name is there', () => {
    const asked = sources().flatMap((source) => [
        ...source.matchAll(/\bt\('([^']+)'/g)].map(([, key]) => key));

    assert.ok(asked.length > 100);
    assert.deepEqual(asked.filter((key) => !(key in en)), []);
});

test('every text is asked for', () => {
    const source = sources().join();
    const asked = (key) => source.includes(`'${key}'`)
        || source.includes(`\`${key.replace(/[^.]+$/, '')}$`)
        || source.includes(`\`${key.replace(/\d$/, '')}$`)
        || key.startsWith('setting.');

    assert.deepEqual(Object.keys(en).filter((key) => !asked(key)), []);
});

test('places get their values, and words their number', () => {
    assert.equal(t('topic.purged', { n: '1' }), '1 message deleted');
    assert.equal(t('topic.purged', { n: '2' }), '2 messages deleted');
    assert.equal(t('health.disk', { error: '{n} $& <b>' }),
        'Nothing can be written to disk: {n} $& <b>');
});

test('the language is remembered', () => {
    setLanguage('zh');
    assert.equal(t('page.Topics'), '主题');
    assert.equal(localStorage.getItem('kapokmq.language'), 'zh');
});
