// The page's texts in the chosen language.

import en from './en.js';
import zh from './zh.js';

const LANGUAGES = { en, zh };
const STORED = 'kapokmq.language';

function preferred() {
    const stored = localStorage.getItem(STORED);

    if (stored in LANGUAGES) {
        return stored;
    }

    const first = navigator.languages?.[0] ?? navigator.language ?? 'en';

    return first.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

let current = preferred();

export const language = () => current;

// For Intl: the browser's own variant of the language, if it has one.
export function locale() {
    const own = (navigator.languages ?? []).find(
        (name) => name.toLowerCase().startsWith(current));

    return own ?? (current === 'zh' ? 'zh-CN' : 'en-GB');
}

export function setLanguage(name) {
    current = name;
    localStorage.setItem(STORED, name);
}

// {name} is a value, {name|one|many} a word that goes with a number.
const PLACE = /\{(\w+)(?:\|(.*?)\|(.*?))?\}/g;

// The text of a key, with values for its {places}.
export function t(key, values = {}) {
    const text = LANGUAGES[current][key] ?? key;

    return text.replace(PLACE, (place, name, one, many) => {
        const value = values[name] ?? place;

        if (one === undefined) {
            return value;
        }

        return value === '1' ? one : many;
    });
}

export const has = (key) => key in LANGUAGES[current];
