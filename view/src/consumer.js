// A consumer over WebSocket.

import { currentKey } from './session.js';

const PROMPT = 'Please enter the secret key';
const RIGHT = 'Secret key matching succeeded';
const WRONG = 'Secret key matching error';
const ERROR = 'error: ';

// A name is one segment of a path, in which a slash, encoded or not, divides
// names, and which dots of their own resolve.
export const hasAddress = (topic) => !topic.includes('/')
    && topic !== '.' && topic !== '..';

export function address(topic, id, confirm) {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const path = ['Consumers', 'Conn', topic, id].map(encodeURIComponent)
        .join('/');

    return `${scheme}://${location.host}/${path}?confirm=${confirm}`;
}

/*
 * Listens to a topic.  on.open(), on.message(message), on.error(text): what the
 * queue says of a confirmation that came to nothing, on.close(reason): the
 * reason is '' when it was asked for.  Returns {confirm(code), close()}.
 */
export function listen(topic, id, confirm, on) {
    const socket = new WebSocket(address(topic, id, confirm));
    let asked = false;
    let ready = false;

    function before(text) {
        if (text === PROMPT) {
            socket.send(currentKey());
        } else if (text === RIGHT) {
            ready = true;
            on.open();
        } else if (text === WRONG) {
            socket.close();
        }
    }

    socket.onmessage = ({ data }) => {
        if (!ready) {
            before(data);
        } else if (data.startsWith(ERROR)) {
            on.error(data.slice(ERROR.length));
        } else {
            on.message(JSON.parse(data));
        }
    };

    socket.onclose = ({ code, reason }) => {
        on.close(asked ? '' : `${code} ${reason}`.trim());
    };

    return {
        confirm: (code) => socket.send(code),
        close() {
            asked = true;
            socket.close();
        },
    };
}
