#!/usr/bin/env python3
"""How many messages a second come in as batches over HTTP.

Usage: batches.py PORT SECONDS [MESSAGES [BYTES [CONNECTIONS]]]

Each connection sends a batch of MESSAGES (100) with BYTES (100) of data each to
the topic bench, reads the answer, and sends the next.  Prints the rate, which is
0 where an answer is not 200.
"""

import selectors
import socket
import sys
import time


def request(messages, size):
    element = '{"topic":"bench","messageData":"%s"}' % ("x" * size)
    body = "[" + ",".join([element] * messages) + "]"
    return ("POST /Producer/Send HTTP/1.1\r\nHost: x\r\nsecretKey: test\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    more = [int(value) for value in sys.argv[3:]] + [100, 100, 4][
        len(sys.argv) - 3:]
    messages, size, connections = more
    text = request(messages, size)
    # each answer is as long as any other
    length = 0
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(text)
        selector.register(sock, selectors.EVENT_READ, [0])
    done, end = 0, time.monotonic() + seconds
    start = time.monotonic()
    while time.monotonic() < end:
        for key, _ in selector.select(1):
            part = key.fileobj.recv(1 << 18)
            if not length:
                if not part.startswith(b"HTTP/1.1 200"):
                    sys.exit(f"0 {part[:200]}")
                head = part.index(b"\r\n\r\n") + 4
                body = part[:head].lower().split(b"content-length: ")[1]
                length = head + int(body.split(b"\r")[0])
            key.data[0] += len(part)
            if key.data[0] >= length:
                key.data[0] -= length
                done += messages
                key.fileobj.sendall(text)
    print(round(done / (time.monotonic() - start)))


main()
