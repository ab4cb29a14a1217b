// Data as it is best read, whatever is in it.

const DEEPEST = 64;                // levels of JSON that are indented
const STEP = '  ';
const CHUNK = 8000;                // characters that are drawn together

// What a string, or a number, ends with.
const isEscaped = (text, at) => {
    let before = at;

    while (text[before - 1] === '\\') {
        before--;
    }

    return (at - before) % 2 === 1;
};

// The place behind its closing quote.
function stringEnd(text, start) {
    let end = start;

    do {
        end = text.indexOf('"', end + 1);
    } while (isEscaped(text, end));

    return end + 1;
}

function closesAtOnce(text, from) {
    const next = /\S/g;

    next.lastIndex = from;

    const [brace] = next.exec(text);

    return '}]'.includes(brace) ? next.lastIndex : 0;
}

/*
 * JSON with line breaks.  Its tokens stay what they are: a number of twenty
 * digits, once parsed, is another one.
 */
function indented(text) {
    const token = /[^\s{}[\],:"]+|\S/g;
    const parts = [];
    let depth = 0;
    let found;

    const line = () => depth <= DEEPEST
        && parts.push('\n', STEP.repeat(depth));

    function open(brace) {
        const end = closesAtOnce(text, token.lastIndex);

        parts.push(brace);

        if (end) {
            parts.push(text[end - 1]);
            token.lastIndex = end;
        } else {
            depth++;
            line();
        }
    }

    function close(brace) {
        depth--;
        depth < DEEPEST && line();
        parts.push(brace);
    }

    function string(start) {
        token.lastIndex = stringEnd(text, start);
        parts.push(text.slice(start, token.lastIndex));
    }

    while ((found = token.exec(text))) {
        const [one] = found;

        switch (one) {
        case '{':
        case '[':
            open(one);
            break;
        case '}':
        case ']':
            close(one);
            break;
        case ',':
            parts.push(one);
            line();
            break;
        case ':':
            parts.push(': ');
            break;
        case '"':
            string(found.index);
            break;
        default:
            parts.push(one);
        }
    }

    return parts.join('');
}

// Data that is an object or an array of JSON with line breaks, else as it is.
export function pretty(text) {
    if (!/^\s*[[{]/.test(text)) {
        return text;
    }

    try {
        JSON.parse(text);
    } catch {
        return text;
    }

    return indented(text);
}

/*
 * Characters that are not seen, or that move others: controls but for line
 * breaks and tabs, marks of direction, joiners and spaces without a width where
 * no script and no emoji has them, tags.
 */
const JOINED = '\\p{M}\\p{Extended_Pictographic}\\p{Emoji_Modifier}'
    + ['Arab', 'Syrc', 'Deva', 'Beng', 'Guru', 'Gujr', 'Orya', 'Taml', 'Telu',
        'Knda', 'Mlym', 'Sinh', 'Khmr', 'Mong'].map((name) =>
        `\\p{Script=${name}}`).join('');
const UNSEEN = new RegExp('([\\0-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u034f\\u061c'
    + '\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b\\u200e\\u200f'
    + '\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb'
    + `\\u{e0000}-\\u{e007f}]|(?<![${JOINED}])[\\u200c\\u200d])`, 'u');

export const codePoint = (character) => `U+${character.codePointAt(0)
    .toString(16).toUpperCase().padStart(4, '0')}`;

// Texts and such characters by turns; it begins with a text.
export const parts = (text) => text.split(UNSEEN);

// The same in one text, for names.
export const visible = (text) => parts(text).map((part, i) => (i % 2 === 0
    ? part : `‹${codePoint(part)}›`)).join('');

// Pieces to be drawn one by one; each ends with a line where it can.
export function chunks(text) {
    const all = [];
    let from = 0;

    while (from < text.length) {
        const most = from + CHUNK;
        const line = text.lastIndexOf('\n', most - 1) + 1;
        let to = most < text.length && line > from ? line : most;

        // a pair of surrogates is one character
        if (/[\ud800-\udbff]/.test(text[to - 1] ?? '')) {
            to++;
        }

        all.push(text.slice(from, to));
        from = to;
    }

    return all;
}

// The beginning of a text, of whole characters.
export const beginning = (text, length) => (
    /[\ud800-\udbff]/.test(text[length - 1] ?? '')
        ? text.slice(0, length - 1) : text.slice(0, length));
