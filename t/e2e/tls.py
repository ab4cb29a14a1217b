"""python3-websockets over TLS: tls.py PORT KEY; prints what was seen as JSON,
and leaves at the end of its input."""

import asyncio
import json
import ssl
import sys

import websockets

PORT, KEY = sys.argv[1:3]
PATIENCE = 120
SIZES = [n * 7919 % 80000 for n in range(200)]


async def connect(role):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    socket = await websockets.connect(
        "wss://127.0.0.1:%s/%s/Conn/tls/1" % (PORT, role), ssl=context,
        extra_headers={"secretKey": KEY})
    await socket.recv()
    return socket


async def main():
    sent = ["%d %s" % (n, "x" * size) for n, size in enumerate(SIZES)]
    producer = await connect("Producers")
    for data in sent:
        await producer.send(data)
    oks = [await asyncio.wait_for(producer.recv(), PATIENCE) for _ in sent]

    # they wait, so that many are pushed at once
    consumer = await connect("Consumers")
    got = [json.loads(await asyncio.wait_for(consumer.recv(), PATIENCE))
           for _ in sent]
    print(json.dumps({
        "oks": oks.count("ok"),
        "got": [message["MessageData"] for message in got] == sent,
    }), flush=True)

    # it stays until all are consumed: who goes at once may go before its pong
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await consumer.close()
    await producer.close()

asyncio.run(main())
