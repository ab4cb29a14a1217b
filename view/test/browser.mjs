// What the page's modules take from a browser; imported before them.

process.env.TZ = 'Europe/Berlin';

function storage() {
    const kept = new Map();

    return {
        getItem: (name) => kept.get(name) ?? null,
        setItem: (name, value) => kept.set(name, value),
        removeItem: (name) => kept.delete(name),
    };
}

for (const [name, value] of Object.entries({
    localStorage: storage(),
    sessionStorage: storage(),
    navigator: { languages: ['en-GB'] },
})) {
    Object.defineProperty(globalThis, name, { value, configurable: true });
}
