// What the page's modules take from a browser; imported before them.

process.env.TZ = 'Europe/Berlin';

const kept = new Map();
const storage = {
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => kept.set(name, value),
};

for (const [name, value] of Object.entries({
    localStorage: storage,
    navigator: { languages: ['en-GB'] },
})) {
    Object.defineProperty(globalThis, name, { value, configurable: true });
}
