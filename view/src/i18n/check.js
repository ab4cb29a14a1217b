// Both languages must have the same keys, with the same places in them.

import en from './en.js';
import zh from './zh.js';

const places = (text) => [...new Set(text.match(/\{\w+/g))].sort().join();

export function differences(a = en, b = zh) {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);

    return [...keys].filter((key) => !(key in a) || !(key in b)
        || places(a[key]) !== places(b[key]));
}
