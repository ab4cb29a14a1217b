"""states.py BASE WHAT: a producer or consumer of clients/python in a certain
state, which tells of it line by line.
"""

import asyncio
import logging
import signal
import sys

sys.path.insert(0, "clients/python")
sys.dont_write_bytecode = True

import kapokmq  # noqa: E402

BASE, WHAT = sys.argv[1:3]
OPTIONS = {"key": "sesame", "heartbeat": 0.5, "retry": 0.1}


def say(*words):
    print(*words, flush=True)


class States(logging.Handler):
    def emit(self, record):
        text = record.getMessage()
        say("up" if text.endswith(": connected") else "down " + text)


async def read():
    return await asyncio.get_running_loop().run_in_executor(
        None, sys.stdin.readline)


async def refused():
    """With a wrong key."""
    wrong = {**OPTIONS, "key": "wrong"}
    try:
        async with kapokmq.Producer(BASE, "refused", "p", **wrong) as producer:
            try:
                await producer.send("before")
            except kapokmq.Error as error:
                say("refused", error)
            try:
                await producer.send("behind")
            except kapokmq.Error as error:
                say("refused", error)
    except kapokmq.Error:
        pass
    try:
        async with kapokmq.Consumer(BASE, "refused", "c", print,
                                    **wrong) as consumer:
            await consumer.wait()
    except kapokmq.Error as error:
        say("refused", error)


async def asked():
    """With one that is right the second time."""
    keys = ["wrong", "sesame"]

    async def key():
        return keys.pop(0)

    async with kapokmq.Producer(BASE, "asked", "p",
                                **{**OPTIONS, "key": key}) as producer:
        await producer.send("hello")
        try:
            await producer.send("x" * 2000000)
        except kapokmq.Error as error:
            say("refused", error)
    try:
        await producer.send("too late")
    except kapokmq.Error as error:
        say("refused", error)
    say("keys left:", len(keys))


async def sends():
    """Sends lines, for a long time."""
    async def send(line):
        await producer.send(line)
        say("stored", line)

    async with kapokmq.Producer(BASE, "sends-python", "p", **OPTIONS) as producer:
        tasks = []
        while line := await read():
            tasks.append(asyncio.ensure_future(send(line.rstrip("\n"))))
        await asyncio.gather(*tasks)


async def renews():
    """With a token, and, when it is told, another one."""
    async def work(message):
        say("got", message.data)

    key = (await read()).strip()
    async with kapokmq.Consumer(BASE, "renews-python", "c", work,
                                **{**OPTIONS, "key": key}) as consumer:
        await consumer.renew((await read()).strip())
        await read()


async def holds():
    """Has messages, works on the first of them, and ends."""
    async def work(message):
        say("begin", message.data)
        await read()
        say("done", message.data)

    async with kapokmq.Consumer(BASE, "holds-python", "c", work, prefetch=10,
                                **OPTIONS) as consumer:
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGTERM,
            lambda: asyncio.ensure_future(consumer.close()))
        await consumer.wait()


logging.getLogger("kapokmq").setLevel(logging.INFO)
logging.getLogger("kapokmq").addHandler(States())
asyncio.run({"refused": refused, "asked": asked, "sends": sends,
             "renews": renews, "holds": holds}[WHAT]())
