"""python3-websockets: client.py PORT KEY; prints what was seen as JSON."""

import asyncio
import json
import re
import sys
import time
import urllib.request

import websockets

PORT, KEY = sys.argv[1:3]
BASE = "ws://127.0.0.1:" + PORT
TOPIC = "python"
PATIENCE = 120


def messages():
    for n in range(100):
        yield "plain %d" % n, "plain %d" % n
        yield json.dumps({"MessageData": "json %d" % n, "DelayTime": 0}), \
            "json %d" % n
        yield json.dumps({"messageData": "bin %d" % n}).encode(), "bin %d" % n
        yield ("größe 木棉 🌳 %d" % n).encode(), "größe 木棉 🌳 %d" % n
    yield "", ""
    yield "\"\\\n\t\0\x1f", "\"\\\n\t\0\x1f"
    yield "x" * 300000, "x" * 300000


def counts():
    request = urllib.request.Request(
        "http://127.0.0.1:%s/Console/CountMessage" % PORT, data=b"",
        headers={"secretKey": KEY})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)["data"]


async def settled():
    loop = asyncio.get_running_loop()
    deadline = time.time() + PATIENCE
    while time.time() < deadline:
        now = await loop.run_in_executor(None, counts)
        if now["unconsumed"] == 0:
            return now
        await asyncio.sleep(0.05)
    raise RuntimeError("messages stay unconsumed")


async def receive(socket, n):
    return [await asyncio.wait_for(socket.recv(), PATIENCE) for _ in range(n)]


def is_right(message, data):
    return (message["MessageData"] == data and message["Topic"] == TOPIC
            and message["Status"] == -1
            and re.fullmatch("[0-9a-f]{40}", message["MessageCode"])
            and abs(message["CreateTime"] - time.time()) < 120)


async def main():
    result = {}
    sent = list(messages())

    consumer = await websockets.connect(
        BASE + "/Consumers/Conn/" + TOPIC + "/c", max_size=None)
    login = await receive(consumer, 1)
    await consumer.send("not the key")
    login += await receive(consumer, 2)
    await consumer.send(KEY)
    login += await receive(consumer, 1)
    result["consumerLogin"] = login

    producer = await websockets.connect(
        BASE + "/Producers/Conn/" + TOPIC + "/p")
    await producer.send(KEY.encode())
    result["producerLogin"] = await receive(producer, 2)

    async def send():
        for frame, _ in sent:
            await producer.send(frame)

    sending = asyncio.ensure_future(send())
    answers = receive(producer, len(sent))
    pushed = receive(consumer, len(sent))
    answers, pushed = await asyncio.gather(answers, pushed)
    await sending
    got = [json.loads(text) for text in pushed]
    result["sent"] = len(sent)
    result["ok"] = answers.count("ok")
    result["got"] = len(got)
    result["same"] = all(is_right(message, data)
                         for message, (_, data) in zip(got, sent))
    result["codes"] = len({message["MessageCode"] for message in got})

    await producer.close(1000)
    result["producerClosed"] = producer.close_code
    result["counts"] = await settled()
    await consumer.close(1000)
    result["consumerClosed"] = consumer.close_code
    print(json.dumps(result))


asyncio.run(main())
