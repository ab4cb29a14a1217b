// The secret key, kept for this tab alone.

const STORED = 'kapokmq.key';
const listeners = new Set();

let key = sessionStorage.getItem(STORED);
let rejected = false;              // it was right once and is not any more

export const currentKey = () => key;
export const wasRejected = () => rejected;

function changed() {
    listeners.forEach((listener) => listener());
}

export function signIn(name) {
    key = name;
    rejected = false;
    sessionStorage.setItem(STORED, name);
    changed();
}

export function signOut(because = '') {
    key = null;
    rejected = because === 'rejected';
    sessionStorage.removeItem(STORED);
    changed();
}

export function onSession(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
}
