// Light, dark, or as the system has it ("auto"); remembered.

const STORED = 'kapokmq.theme';
const system = matchMedia('(prefers-color-scheme: dark)');

export const THEMES = ['auto', 'light', 'dark'];

let current = localStorage.getItem(STORED);

if (!THEMES.includes(current)) {
    current = 'auto';
}

function apply() {
    const dark = current === 'dark' || (current === 'auto' && system.matches);

    document.documentElement.dataset.theme = dark ? 'dark' : 'light';
}

apply();
system.addEventListener('change', apply);

export const theme = () => current;

export function setTheme(name) {
    current = name;
    localStorage.setItem(STORED, name);
    apply();
}

// Calls listener when colours change, by choice or by the system.
export function onColours(listener) {
    const observer = new MutationObserver(listener);

    observer.observe(document.documentElement,
        { attributeFilter: ['data-theme'] });

    return () => observer.disconnect();
}

export const colour = (name) => getComputedStyle(document.documentElement)
    .getPropertyValue(`--${name}`).trim();
