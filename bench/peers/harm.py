#!/usr/bin/env python3
"""Stands between kmq-peer and a server and harms what consumers get, once.

Usage: harm.py SERVER-PORT FAULT

Prints the port that it listens on; ends with its standard input.  Faults:

    none     nothing
    repeat   a message has the stamp of the one before: one is lost, and one
             comes twice
    swap     two messages have each other's stamps
    damage   a message has another letter
    lose     a whole message is taken out (NATS, MQTT with QoS 0)

A message is found by its data, whatever the protocol says around it.
"""

import asyncio
import os
import re
import sys

SIZE = 100
STAMP = 32
AT = 1000           # which message is harmed, or a later one

TEXT = bytes(ord("a") + i % 26 for i in range(STAMP, SIZE))
MESSAGE = re.compile(b"([a-p]{%d})%s" % (STAMP, TEXT))
WHOLE = re.compile(rb"(?:MSG q 1 100\r\n|\x30\x67\x00\x01q)([a-p]{32})"
                   + TEXT + rb"(?:\r\n)?")


class Harm:
    """What a connection carries to its client."""

    def __init__(self, fault):
        self.fault = fault
        self.seen = 0
        self.held = b""
        self.done = fault == "none"

    def apply(self, data):
        """What the client is to get instead of data."""
        if self.done:
            return data
        data = self.held + data
        self.held = b""
        pattern = WHOLE if self.fault == "lose" else MESSAGE
        found = list(pattern.finditer(data))
        if self.seen + len(found) < AT:
            self.seen += len(found)
            return data
        if len(found) < 2:
            self.held = data        # the next one is needed, too
            return b""
        self.done = True
        return self.harm(data, *found[:2])

    def harm(self, data, first, second):
        if self.fault == "lose":
            return data[:first.start()] + data[first.end():]
        out = bytearray(data)
        if self.fault == "damage":
            out[second.end(1)] ^= 1
        else:
            out[second.start(1):second.end(1)] = first[1]
        if self.fault == "swap":
            out[first.start(1):first.end(1)] = second[1]
        return bytes(out)


async def copy(reader, writer, change):
    try:
        while data := await reader.read(1 << 16):
            writer.write(change(data))
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


async def main(port, fault):
    async def connected(reader, writer):
        from_server, to_server = await asyncio.open_connection(
            "127.0.0.1", port)
        await asyncio.gather(copy(reader, to_server, lambda data: data),
                             copy(from_server, writer, Harm(fault).apply))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)     # whatever is still open


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
