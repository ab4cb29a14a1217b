"""python3 example.py produce ws://127.0.0.1:8011 KEY TOPIC [DELAY]
    each line of the standard input is a message, delayed by DELAY seconds
python3 example.py consume ws://127.0.0.1:8011 KEY TOPIC

With clients/python, which does all that is to be done:
PYTHONPATH=../clients/python
"""

import asyncio
import signal
import sys

import kapokmq

WHAT, BASE, KEY, TOPIC, DELAY = (sys.argv[1:] + ["0"])[:5]


async def store(producer, line):
    try:
        await producer.send(line, delay=float(DELAY))
        print("stored", line, flush=True)
    except kapokmq.Error as error:
        print(error, file=sys.stderr)


async def produce():
    loop = asyncio.get_running_loop()
    tasks = set()

    async with kapokmq.Producer(BASE, TOPIC, "example", key=KEY) as producer:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            task = asyncio.ensure_future(store(producer, line.rstrip("\n")))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)


async def work(message):
    print("got", message.data, flush=True)


async def consume():
    loop = asyncio.get_running_loop()

    async with kapokmq.Consumer(BASE, TOPIC, "example", work,
                                key=KEY) as consumer:
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(
                name, lambda: asyncio.ensure_future(consumer.close()))
        await consumer.wait()


asyncio.run(produce() if WHAT == "produce" else consume())
