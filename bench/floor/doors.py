#!/usr/bin/env python3
"""A relay with HTTP doors that keeps nothing but what waits: what check.t shows
by that the load generator finds what it must.

Usage: doors.py PORT KEY [lose|twice|late|damage|refuse|unsettled|end]

The fault happens once, to the 1,000th message: it is lost, comes twice, after
the next one, or damaged; its batch is refused; it is not confirmed; or the
stream that gets it ends.
"""

import json
import sys
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

HARMED = 1000


class Queue:
    """Messages that wait, of all topics."""

    def __init__(self, fault):
        self.fault = fault
        self.changed = threading.Condition()
        self.topics = {}
        self.unsettled = set()
        self.count = 0

    def harm(self, waiting, message):
        """Adds the message that the fault happens to."""
        if self.fault == "twice":
            waiting.append(message)
        if self.fault == "late":
            waiting.insert(max(len(waiting) - 1, 0), message)
            return
        if self.fault == "damage":
            code, data = message
            message = (code, data[:-1] + "#")
        if self.fault == "unsettled":
            self.unsettled.add(message[0])
        if self.fault == "end":
            message = (None, None)
        if self.fault != "lose":
            waiting.append(message)

    def publish(self, messages):
        """Their codes, or None: refused."""
        codes = []
        with self.changed:
            last = self.count + len(messages)
            if self.fault == "refuse" and self.count < HARMED <= last:
                self.count = last
                return None
            for message in messages:
                self.count += 1
                codes.append(f"{self.count:040x}")
                waiting = self.topics.setdefault(message["topic"], deque())
                entry = (codes[-1], message["messageData"])
                if self.count == HARMED:
                    self.harm(waiting, entry)
                else:
                    waiting.append(entry)
            self.changed.notify_all()
        return codes

    def take(self, topic, most, wait):
        with self.changed:
            waiting = self.topics.setdefault(topic, deque())
            self.changed.wait_for(lambda: waiting, wait)
            return [waiting.popleft() for _ in range(min(most, len(waiting)))]


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *_):
        pass

    def answer(self, value, status=200):
        body = json.dumps(value, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def fails(self):
        if self.headers["secretKey"] == self.server.key:
            return False
        self.answer({"code": -1, "msg": "key"}, 401)
        return True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.fails():
            return
        if self.path == "/Producer/Send":
            self.send(body)
        elif self.path == "/Consumers/Settle":
            self.settle(parse_qs(body)["confirm"][0].split(","))
        else:
            self.pull(parse_qs(body))

    def send(self, body):
        lines = "ndjson" in self.headers["Content-Type"]
        messages = ([json.loads(text) for text in body.splitlines()] if lines
                    else json.loads(body))
        codes = self.server.queue.publish(messages)
        if codes is None:
            self.answer({"code": -1, "msg": "refused"}, 503)
        else:
            self.answer({"code": 0, "data": codes})

    def settle(self, codes):
        missing = self.server.queue.unsettled.intersection(codes)
        self.answer({"code": 0, "data": {
            "confirmed": len(codes) - len(missing),
            "notInFlight": sorted(missing)}})

    def pull(self, asked):
        topic = self.path.split("/")[3]
        taken = self.server.queue.take(topic, int(asked["max"][0]),
                                       float(asked["wait"][0]))
        self.answer({"code": 0, "data": [
            {"MessageCode": code, "MessageData": data, "Topic": topic}
            for code, data in taken]})

    def chunk(self, text):
        self.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode())

    def do_GET(self):
        topic = urlsplit(self.path).path.split("/")[3]
        if self.fails():
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.chunk("retry: 1000\n\n")
        self.wfile.flush()
        while True:
            taken = self.server.queue.take(topic, 64, 1)
            if not taken:
                self.chunk(":\n\n")
            for code, data in taken:
                if code is None:
                    self.chunk("")
                    self.close_connection = True
                    return
                message = json.dumps({"MessageCode": code,
                                      "MessageData": data, "Topic": topic},
                                     separators=(",", ":"))
                self.chunk(f"id: {code}\ndata: {message}\n\n")
            self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        """Clients go as they like."""


def main():
    server = Server(("127.0.0.1", int(sys.argv[1])), Door)
    server.key = sys.argv[2]
    server.queue = Queue(sys.argv[3] if len(sys.argv) > 3 else None)
    server.serve_forever()


if __name__ == "__main__":
    main()
