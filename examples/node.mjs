// node node.mjs produce ws://127.0.0.1:8011 KEY TOPIC [DELAY]
//     each line of the standard input is a message, delayed by DELAY seconds
// node node.mjs consume ws://127.0.0.1:8011 KEY TOPIC
//
// With clients/js, which does all that is to be done:
// npm install --install-links ../clients/js

import { createInterface } from 'node:readline';
import { Consumer, Producer } from 'kapokmq-client';

const [what, base, key, topic, delay = 0] = process.argv.slice(2);
const options = {
    key,
    onstate: (up, why) => console.error(up ? 'connected' : why),
};

if (what == 'produce') {
    const producer = new Producer(base, topic, 'example', options);

    for await (const line of createInterface({ input: process.stdin })) {
        producer.send(line, { delay: Number(delay) })
            .then(() => console.log(`stored ${line}`),
                  (error) => console.error(error.message));
    }
    await producer.close();
} else {
    const consumer = new Consumer(base, topic, 'example', async (message) => {
        console.log(`got ${message.MessageData}`);      // the work
    }, options);

    process.on('SIGTERM', () => consumer.close());
    process.on('SIGINT', () => consumer.close());
    await consumer.closed;
}
