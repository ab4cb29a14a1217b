// The key, or token, and what it may do, kept for this tab alone.

const KEY = 'kapokmq.key';
const ACCESS = 'kapokmq.access';
const listeners = new Set();

let access = JSON.parse(sessionStorage.getItem(ACCESS));
let key = access && sessionStorage.getItem(KEY);
let ended = '';                    // why it is not good any more

export const currentKey = () => key;
export const currentAccess = () => access;
export const whyEnded = () => ended;

function changed() {
    listeners.forEach((listener) => listener());
}

// Others hear of it when it has changed.
export function setAccess(news) {
    const text = JSON.stringify(news);

    if (text !== JSON.stringify(access)) {
        access = news;
        sessionStorage.setItem(ACCESS, text);
        changed();
    }
}

export function signIn(name, news) {
    key = name;
    ended = '';
    sessionStorage.setItem(KEY, name);
    access = null;
    setAccess(news);
}

// because: '', rejected, or forbidden: it has no right to the console any more
export function signOut(because = '') {
    key = null;
    access = null;
    ended = because;
    sessionStorage.removeItem(KEY);
    sessionStorage.removeItem(ACCESS);
    changed();
}

export function onSession(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
}
