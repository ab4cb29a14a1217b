// A consumer over WebSocket.

import { currentKey } from './session.js';

const PROMPT = 'Please enter the secret key';
const RIGHT = 'Secret key matching succeeded';
const WRONG = 'Secret key matching error';
const ERROR = 'error: ';

const POLICY = 1008;               // it is not wanted any more
const SOONEST = 250;               // ms until it comes again, doubled each time
const LATEST = 8000;

// A name is one segment of a path, in which a slash, encoded or not, divides
// names, and which dots of their own resolve.
export const hasAddress = (topic) => !topic.includes('/')
    && topic !== '.' && topic !== '..';

// Beside the page, wherever that is.
export function address(topic, id, parameters) {
    const path = ['Consumers', 'Conn', topic, id].map(encodeURIComponent)
        .join('/');
    const url = new URL(path, location.href);

    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.search = new URLSearchParams(parameters);

    return url.href;
}

// One connection; on is as below.
function connect(url, on) {
    const socket = new WebSocket(url);
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

    socket.onclose = ({ code, reason }) => on.close(code, reason);

    return socket;
}

/*
 * Listens at an address.  on.open(), on.message(message), on.error(text): what
 * the queue says of a confirmation that came to nothing, on.lost(): the
 * connection was lost, by a reload of nginx for instance, and it comes again,
 * on.end(code, reason): it does not; code is 0 when that was asked for.
 * Returns {send(text), close()}; what is sent while there is no connection is
 * of no use to anybody.
 */
export function listen(url, on) {
    let socket;
    let timer;
    let ended = false;
    let was = false;               // it has been connected
    let wait = SOONEST;

    function end(code, reason) {
        ended = true;
        clearTimeout(timer);
        on.end(code, reason);
    }

    function start() {
        socket = connect(url, {
            ...on,
            open() {
                was = true;
                wait = SOONEST;
                on.open();
            },
            close(code, reason) {
                if (ended) {
                    return;
                }

                if (!was || code === POLICY) {
                    end(code, reason);
                    return;
                }

                on.lost();
                timer = setTimeout(start, wait);
                wait = Math.min(2 * wait, LATEST);
            },
        });
    }

    start();

    return {
        send(text) {
            if (socket.readyState === WebSocket.OPEN) {
                socket.send(text);
            }
        },
        close() {
            if (!ended) {
                end(0, '');
                socket.close();
            }
        },
    };
}
