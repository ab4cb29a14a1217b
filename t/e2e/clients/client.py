"""client.py BASE KEY TOPIC: producers and consumers of clients/python, which
tell of all that they see, as work.mjs does; reads "stop", then "close".
"""

import asyncio
import logging
import sys
import time

sys.path.insert(0, "clients/python")
sys.dont_write_bytecode = True

import kapokmq  # noqa: E402

BASE, KEY, TOPIC = sys.argv[1:4]
producing = True


def say(line):
    print(line, flush=True)


class States(logging.Handler):
    """Connections, and what handlers raise, as the logger tells of them."""

    def emit(self, record):
        text = record.getMessage()
        id = text.split("?")[0].rpartition("/")[2]
        if text.endswith(": connected"):
            say(f"up {id}")
        elif "again in" in text:
            say(f"down {id} {text}")
        elif not (record.exc_info
                  and str(record.exc_info[1]) == "not this time"):
            say(f"fault {id} {text} {record.exc_info}")


def options():
    return {"key": lambda: KEY, "retry": 0.05, "retry_max": 1}


async def produce(id):
    tasks = set()

    async def send(data, delay):
        try:
            await producer.send(data, delay)
            say(f"ok {id} {data}")
        except kapokmq.Error as error:
            say(f"fault {id} {data} {error}")

    async with kapokmq.Producer(BASE, TOPIC, id, **options()) as producer:
        n = 0
        while producing:
            n += 1
            delay = 0.5 if n % 20 == 0 else 0
            due = int((time.time() + delay) * 1000) if delay else 0
            data = f'{id}-{n}-{due}-{{"木":"\x01"}}'
            say(f"sent {id} {data}")
            tasks.add(asyncio.ensure_future(send(data, delay)))
            await asyncio.sleep(0.004)
            while producing and producer.pending >= 50:
                await asyncio.sleep(0.004)
        await asyncio.gather(*tasks)


def consumer(id, parallel):
    tries = set()

    async def work(message):
        code, data = message.code, message.data
        say(f"begin {id} {code} {data}")
        if int(time.time() * 1000) < int(data.split("-")[2]):
            say(f"fault {id} {data} is early")
        await asyncio.sleep(0.002)
        if data.startswith("p1-") and data.split("-")[1].endswith("7") \
                and len(data.split("-")[1]) > 1 and code not in tries:
            tries.add(code)
            say(f"fail {id} {code} {data}")
            if data.split("-")[1].endswith("17"):
                raise kapokmq.Retry(0.1)
            raise ValueError("not this time")
        say(f"done {id} {code} {data}")

    return kapokmq.Consumer(BASE, TOPIC, id, work, parallel=parallel,
                            prefetch=20, **options())


async def main():
    global producing

    logging.getLogger("kapokmq").setLevel(logging.INFO)
    logging.getLogger("kapokmq").addHandler(States())
    loop = asyncio.get_running_loop()
    consumers = [consumer("c1", 1), consumer("c2", 1), consumer("c3", 4)]
    for each in consumers:
        await each.__aenter__()
    producers = [asyncio.ensure_future(produce(id)) for id in ("p1", "p2")]

    await loop.run_in_executor(None, sys.stdin.readline)
    producing = False
    await asyncio.gather(*producers)
    say("stopped")
    await loop.run_in_executor(None, sys.stdin.readline)
    await asyncio.gather(*(each.close() for each in consumers))
    say("closed")


asyncio.run(main())
