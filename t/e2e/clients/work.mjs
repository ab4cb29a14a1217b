/*
 * Producers and consumers of clients/js, which tell of all that they see, line
 * by line: say(line).  Used by node.mjs, and by a page.
 */

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function work({ Producer, Consumer, Retry }, base, key, topic, say) {
    const options = (id) => ({
        key: () => key, retry: 0.05, retryMax: 1,
        onstate: (up, why) => say(up ? `up ${id}` : `down ${id} ${why}`),
        onerror: (error) => {
            if (error.message !== "not this time") {
                say(`fault ${id} ${error}`);
            }
        },
    });

    let producing = true;
    const producers = ["p1", "p2"].map(async (id) => {
        const producer = new Producer(base, topic, id, options(id));

        for (let n = 1; producing; n++) {
            const delay = n % 20 === 0 ? 0.5 : 0;
            const due = delay ? Date.now() + delay * 1000 : 0;
            const data = `${id}-${n}-${due}-{"木":"\u0001"}`;

            say(`sent ${id} ${data}`);
            producer.send(data, { delay }).then(
                () => say(`ok ${id} ${data}`),
                (error) => say(`fault ${id} ${data} ${error}`));
            do {
                await wait(4);
            } while (producing && producer.pending >= 50);
        }
        await producer.close();
    });

    const consumers = [["c1", 1], ["c2", 1], ["c3", 4]].map(([id, parallel]) => {
        const tries = new Map();

        return new Consumer(base, topic, id, async (message) => {
            const { MessageCode: code, MessageData: data } = message;
            const due = Number(data.split("-")[2]);
            const n = tries.get(code) || 0;

            say(`begin ${id} ${code} ${data}`);
            if (Date.now() < due) {
                say(`fault ${id} ${data} is early`);
            }
            await wait(2);
            if (/^p1-\d+7-/.test(data) && n === 0) {
                tries.set(code, 1);
                say(`fail ${id} ${code} ${data}`);
                throw /17-/.test(data) ? new Retry(0.1)
                                       : new Error("not this time");
            }
            say(`done ${id} ${code} ${data}`);
        }, { ...options(id), parallel, prefetch: 20 });
    });

    return {
        async stop() {
            producing = false;
            await Promise.all(producers);
            say("stopped");
        },
        async close() {
            await Promise.all(consumers.map((consumer) => consumer.close()));
            say("closed");
        },
    };
}
