// Clients of KapokMQ for nginx: for browsers as it is, node.js has it for Node.

export const defaults = {
    WebSocket: globalThis.WebSocket,
    heartbeat: 20,      // seconds of silence after which the server pings
    retry: 0.5,         // seconds until the first try to connect again,
    retryMax: 30,       // twice as many until the next, and so on up to this
    parallel: 1,        // messages that a consumer works on at a time
    onstate: () => {},
    onerror: console.error,
};

// Codes that a consumer remembers when it has confirmed them.
const DONE = 1000;

// For a handler to throw: the message comes again in so many seconds.
export class Retry extends Error {
    constructor(seconds) {
        super(`again in ${seconds} s`);
        this.seconds = seconds;
    }
}

// A connection that is made again when it breaks, until it is ended or the key
// is refused.  Calls on.open, on.text(text), on.down, and on.fail(error) then.
function connect(url, options, on) {
    const { WebSocket, heartbeat, retry, retryMax, onstate } = options;
    let { key } = options, socket, timer, finish, fail, ready, ended, tries = 0;

    // What has not said a word, not even a ping, for two heartbeats is gone.
    // Browsers do not tell of pings; they look after connections themselves.
    const alive = () => {
        clearTimeout(timer);
        if (!ready || socket.on)
            timer = setTimeout(lost, heartbeat * 2000 + 5000, 'silent');
    };

    const drop = () => {
        clearTimeout(timer);
        if (socket) {
            socket.onmessage = socket.onclose = null;
            socket.terminate ? socket.terminate() : socket.close();
            socket = null;
        }
    };

    function lost(why) {
        drop();
        ready = false;
        on.down();
        if (ended) return finish();
        onstate(false, why);
        timer = setTimeout(open, 1000 * (1 - Math.random() / 2)
                           * Math.min(retryMax, retry * 2 ** tries++));
    }

    function giveUp(error) {
        ended = error;
        drop();
        fail(error);
        on.fail(error);
        options.onerror(error);
    }

    // A key that does not change will not be right the next time.
    const refused = (why) => typeof key == 'function'
        ? lost(why) : giveUp(new Error(`KapokMQ: ${why}`));

    async function open() {
        let secret, why;

        try {
            secret = typeof key == 'function' ? await key() : key;
        } catch (error) {
            return lost(error.message);
        }
        if (ended) return;
        try {
            socket = new WebSocket(url);
        } catch (error) {
            return giveUp(error);      // no such URL
        }
        alive();
        socket.on?.('ping', alive);
        socket.onerror = (event) => { why = event.message; };
        socket.onclose = ({ code, reason }) => {
            if (code == 1008 && !ready) refused(reason);
            else lost(why || `${code} ${reason}`);
        };
        socket.onmessage = ({ data }) => {
            alive();
            if (ready) return on.text(data);
            if (data.endsWith('error')) return refused('wrong secret key');
            if (data.startsWith('Please')) return socket.send(secret);
            ready = true;
            tries = 0;
            alive();
            onstate(true);
            on.open();
        };
    }

    const closed = new Promise((resolve, reject) => {
        finish = resolve;
        fail = reject;
    });

    closed.catch(() => {});
    open();
    return {
        closed,
        ended: () => ended,
        // whether it was sent
        send: (text) => ready && socket.readyState == 1
            && (socket.send(text), true),
        // on this connection, and on those to come
        renew(token) {
            if (typeof key != 'function') key = token;
            this.send(`Bearer ${token}`);
        },
        end() {
            if (ended) return;
            ended = new Error('KapokMQ: closed');
            if (ready) socket.close(1000);
            else lost();
        },
    };
}

const address = (base, kind, topic, id, query) =>
    `${base}/${kind}/Conn/${encodeURIComponent(topic)}/`
    + `${encodeURIComponent(id)}?${new URLSearchParams(query)}`;

// Keeps what has not been answered, and sends it again when it has to.
export class Producer {
    #link;
    #first;
    #last;
    #idle;
    pending = 0;

    constructor(base, topic, id, options) {
        const all = { ...defaults, ...options };
        const { heartbeat } = all;

        this.#link = connect(
            address(base, 'Producers', topic, id, { heartbeat }), all, {
                open: () => {
                    for (let m = this.#first; m; m = m.next) this.#push(m);
                },
                text: (text) => {
                    if (text == 'ok') this.#answer().resolve();
                    else this.#answer().reject(new Error(text));
                },
                down: () => {},
                fail: (error) => {
                    while (this.#first) this.#answer().reject(error);
                },
            });
        this.closed = this.#link.closed;
    }

    // A delayed message is not later for being sent again.
    #push({ data, due }) {
        this.#link.send(JSON.stringify({
            MessageData: data,
            DelayTime: due && Math.max(0, (due - Date.now()) / 1000),
        }));
    }

    #answer() {
        const message = this.#first;

        this.#first = message.next;
        if (!--this.pending) this.#idle?.();
        return message;
    }

    // Resolves when the message is accepted.
    send(data, { delay } = {}) {
        return new Promise((resolve, reject) => {
            const due = delay ? Date.now() + delay * 1000 : 0;
            const message = { data, due, resolve, reject };
            const error = this.#idle ? new Error('KapokMQ: closed')
                                     : this.#link.ended();

            if (error) return reject(error);
            if (this.#first) this.#last.next = message;
            else this.#first = message;
            this.#last = message;
            this.pending++;
            this.#push(message);
        });
    }

    // Resolves when all is answered and the connection closed.
    close() {
        this.#idle = this.#link.end;
        if (!this.pending) this.#idle();
        return this.closed;
    }
}

// Calls handler(message), confirms when that has resolved, and gives back what
// it throws at.
export class Consumer {
    #link;
    #all;
    #handler;
    #waiting = [];              // messages that are not begun
    #active = new Set();        // codes of those that are
    #done = new Set();          // codes that are confirmed,
    #owed = new Set();          // of those, what could not be told yet
    #closing;

    constructor(base, topic, id, handler, options) {
        const all = this.#all = { ...defaults, ...options };
        const query = { confirm: 'ack', heartbeat: all.heartbeat };

        if (all.prefetch) query.prefetch = all.prefetch;
        this.#handler = handler;
        this.#link = connect(address(base, 'Consumers', topic, id, query), all, {
            open: () => {
                for (const code of this.#owed)
                    if (this.#link.send(code)) this.#owed.delete(code);
                this.#next();
            },
            // an error is about what somebody else has by now
            text: (text) => { if (text[0] == '{') this.#got(JSON.parse(text)); },
            down: () => { this.#waiting = []; },
            fail: () => {},
        });
        this.closed = this.#link.closed;
    }

    // What was done on a connection that broke comes again: it is not done twice.
    #got(message) {
        const code = message.MessageCode;

        if (this.#done.has(code)) this.#link.send(code);
        else if (this.#closing) this.#link.send(`-${code} 0`);
        else if (!this.#active.has(code)) {
            this.#waiting.push(message);
            this.#next();
        }
    }

    #next() {
        while (this.#waiting.length && this.#active.size < this.#all.parallel)
            this.#work(this.#waiting.shift());
        if (this.#closing && !this.#active.size && !this.#owed.size)
            this.#link.end();
    }

    async #work(message) {
        const code = message.MessageCode;

        this.#active.add(code);
        try {
            await this.#handler(message, this);
            this.#done.add(code);
            if (this.#done.size > DONE) {
                const [oldest] = this.#done;
                this.#done.delete(oldest);
            }
            if (!this.#link.send(code)) this.#owed.add(code);
        } catch (error) {
            const again = error instanceof Retry;

            this.#link.send(`-${code}${again ? ` ${error.seconds}` : ''}`);
            if (!again) this.#all.onerror(error, message);
        }
        this.#active.delete(code);
        this.#next();
    }

    // For a message that takes longer than pushRetryTime: its time begins anew.
    extend(message) {
        this.#link.send(`+${message.MessageCode}`);
    }

    // The connection goes on with a token of the same subject.
    renew(token) {
        this.#link.renew(token);
    }

    // Resolves when what was begun is done and confirmed, and the rest is given
    // back.
    close() {
        this.#closing = true;
        for (const { MessageCode } of this.#waiting)
            this.#link.send(`-${MessageCode} 0`);
        this.#waiting = [];
        this.#next();
        return this.closed;
    }
}
