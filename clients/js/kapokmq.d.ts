/** What the server pushes. */
export interface Message {
    MessageCode: string;
    MessageData: string;
    Topic: string;
    /** Unix seconds, as ConsumedTime. */
    CreateTime: number;
    ConsumedTime: number;
    DelayTime: number;
    Status: number;
    /** From the second push on. */
    Attempts?: number;
}

export interface Options {
    /**
     * The secret key, one of mq.keys, or a token. A function is asked before
     * each connection; what it gives may be refused and is asked for again.
     */
    key: string | (() => string | Promise<string>);
    /** Seconds of silence after which the server pings: 20. */
    heartbeat?: number;
    /** Seconds until the first try to connect again: 0.5. */
    retry?: number;
    /** The longest time between two tries: 30. */
    retryMax?: number;
    /** Told of each connection, and of each end of one with its reason. */
    onstate?: (connected: boolean, why?: string) => void;
    /** Told of a key that is refused, and of what a handler throws. */
    onerror?: (error: Error, message?: Message) => void;
    /** A class with the browsers' interface. */
    WebSocket?: unknown;
}

export interface ConsumerOptions extends Options {
    /** How many messages it may have; the server's own setting otherwise. */
    prefetch?: number;
    /** How many of them it works on at a time: 1. */
    parallel?: number;
}

/** For all that come after. */
export const defaults: Partial<ConsumerOptions>;

/** For a handler to throw: the message comes again in so many seconds. */
export class Retry extends Error {
    constructor(seconds: number);
    seconds: number;
}

/** Keeps what has not been answered, and sends it again when it has to. */
export class Producer {
    /** base: `ws://host:port` or `wss://host`. */
    constructor(base: string, topic: string, id: string, options: Options);
    /** How many messages have no answer yet. */
    readonly pending: number;
    /** Resolves when the producer is closed, rejects when its key is refused. */
    readonly closed: Promise<void>;
    /** Resolves when the message is accepted; delay in seconds. */
    send(data: string, options?: { delay?: number }): Promise<void>;
    /** Resolves when all is answered and the connection closed. */
    close(): Promise<void>;
}

/**
 * Calls the handler, confirms when that has resolved, and gives back what it
 * throws at.
 */
export class Consumer {
    constructor(base: string, topic: string, id: string,
        handler: (message: Message, consumer: Consumer) => unknown,
        options: ConsumerOptions);
    /** Resolves when the consumer is closed, rejects when its key is refused. */
    readonly closed: Promise<void>;
    /** Gives a message pushRetryTime from now. */
    extend(message: Message): void;
    /**
     * Another token of the same subject, with which the connection goes on when
     * its own expires; with a key that is a string, those to come as well.
     */
    renew(token: string): void;
    /**
     * Resolves when what was begun is done and confirmed, and the rest is given
     * back.
     */
    close(): Promise<void>;
}
