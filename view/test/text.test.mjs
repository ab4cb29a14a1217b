import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beginning, chunks, codePoint, parts, pretty, visible } from '../src/text.js';

test('JSON is broken into lines, all else stays as it is', () => {
    assert.equal(pretty('{"a":[1]}'), '{\n  "a": [\n    1\n  ]\n}');
    assert.equal(pretty(' {"a" : {}, "b":[ ],"c":-1.5e3 } '),
        '{\n  "a": {},\n  "b": [],\n  "c": -1.5e3\n}');

    for (const text of ['', 'hello', '{"a":', '1e400', '"x"', 'null',
        '<b>no</b>', ' 12']) {
        assert.equal(pretty(text), text);
    }
});

test('what is in JSON stays what it is', () => {
    for (const text of ['[12345678901234567890]', '[1.0]', '["\\u202e"]',
        '["a\\"]{,\\\\"]', '{"a":1,"a":2}', '["\\\\\\\\"]']) {
        assert.equal(pretty(text).replace(/\n\s*|(?<=:) /g, ''), text);
    }
});

test('broken into lines it says the same', () => {
    const value = { a: [1, [], {}, [[true, null]]], 'b "{': 'c: [1,2] \\',
        c: { d: { e: 'ü中' } } };

    assert.equal(pretty(JSON.stringify(value)),
        JSON.stringify(value, null, 2));
});

test('a megabyte is made ready in no time, however deep it is', () => {
    const many = JSON.stringify(Array.from({ length: 20000 }, (_, i) => (
        { id: i, name: 'x"\\y'.repeat(8) })));
    const long = JSON.stringify(['\\"'.repeat(300000)]);
    const deep = `${'['.repeat(3000)}${']'.repeat(3000)}`;

    for (const text of [many, long, deep]) {
        const began = performance.now();
        const shown = pretty(text);
        const pieces = chunks(shown);

        assert.ok(shown.length < 4 * text.length + 100000);
        assert.equal(pieces.join(''), shown);
        assert.ok(performance.now() - began < 10000);
    }
});

test('what cannot be seen is told apart', () => {
    for (const hidden of ['\0', '\u0007', '\u001b', '\u007f', '\u0085',
        '\u00ad', '\u200b', '\u200e', '\u202e', '\u2066', '\ufeff', '\r',
        '\u{e0041}']) {
        assert.deepEqual(parts(`a${hidden}b`), ['a', hidden, 'b'],
            codePoint(hidden));
    }

    assert.equal(visible('pay\u202epal'), 'pay‹U+202E›pal');
    assert.equal(visible('orders'), 'orders');
    assert.equal(codePoint('\u202e'), 'U+202E');
    assert.equal(codePoint('\0'), 'U+0000');
    assert.deepEqual(parts('pay\u200dpal'), ['pay', '\u200d', 'pal']);
});

test('what writing needs stays', () => {
    for (const text of ['', 'a\n\tb', '中文', '👩‍💻', '👩🏽‍💻', '❤️‍🔥', 'می‌خواهم',
        'क्‍ष', 'é', 'e\u0301', '\u3000']) {
        assert.deepEqual(parts(text), [text]);
    }
});

test('pieces end with lines where they can, and never in a character', () => {
    const lines = `${'x'.repeat(5000)}\n${'y'.repeat(5000)}\nz`;

    assert.deepEqual(chunks(lines).map((piece) => piece.length),
        [5001, 5002]);
    assert.deepEqual(chunks(''), []);

    const emoji = `x${'😀'.repeat(9000)}`;

    assert.equal(chunks(emoji).join(''), emoji);
    assert.ok(chunks(emoji).every((piece) => !/[\ud800-\udbff]$/.test(piece)));
    assert.equal(beginning('x😀', 2), 'x');
    assert.equal(beginning('x😀', 3), 'x😀');
    assert.equal(beginning('abc', 2), 'ab');
});
