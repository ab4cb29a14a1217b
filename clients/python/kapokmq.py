"""Producers and consumers of KapokMQ for nginx, on asyncio and websockets.

    async with kapokmq.Producer(URL, "orders", "p1", key="test") as producer:
        await producer.send("hello")

    async def work(message):
        print(message.data)

    async with kapokmq.Consumer(URL, "orders", "c1", work, key="test") as consumer:
        await consumer.wait()

Both connect again when their connection breaks; the logger "kapokmq" tells of
it.
"""

import asyncio
import inspect
import json
import logging
import random
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.legacy.client import WebSocketClientProtocol, connect
from websockets.uri import parse_uri

__all__ = ["Consumer", "Error", "Message", "Producer", "Retry"]

log = logging.getLogger("kapokmq")

DONE = 1000     # codes that a consumer remembers when it has confirmed them


class Error(Exception):
    """The key or a message was refused, or the client has been closed."""


class Retry(Exception):
    """For a handler to raise: the message comes again in so many seconds."""

    def __init__(self, seconds):
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


@dataclass(frozen=True)
class Message:
    """What the server pushed; created is in Unix seconds."""

    code: str
    data: str
    topic: str
    created: int
    delay: int
    attempts: int


class _Again(Exception):
    """No connection this time."""


class _Protocol(WebSocketClientProtocol):
    """Knows when something has come last, be it a ping."""

    heard = 0.0

    def data_received(self, data):
        self.heard = self.loop.time()
        super().data_received(data)


class _Client:
    """A connection that is made again when it breaks, until the client is
    closed or its key is refused.

    key: the secret key, one of mq.keys, or a token; or a function, async if it
    likes, that is asked before each connection: what it gives may be refused,
    and it is asked again.
    heartbeat: seconds of silence after which the server pings.
    retry: seconds until the first try to connect again; each further one takes
    twice as long, up to retry_max.
    """

    def __init__(self, base, kind, topic, id, query, *, key, heartbeat=20,
                 retry=0.5, retry_max=30):
        self._url = "%s/%s/Conn/%s/%s?%s" % (
            base.rstrip("/"), kind, quote(topic, ""), quote(id, ""),
            urlencode({"heartbeat": heartbeat, **query}))
        parse_uri(self._url)
        self._key = key
        self._patience = 2 * heartbeat + 5
        self._retry = retry
        self._retry_max = retry_max
        self._socket = None     # when it is logged in
        self._opened = False    # whether the last connection was
        self._ended = None      # an Error, then
        self._task = None

    async def __aenter__(self):
        self._task = asyncio.ensure_future(self._run())
        return self

    async def wait(self):
        """Returns when the client is closed; raises when its key is refused."""
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    # What the two have of their own: _serve(socket) is the life of a connection,
    # and _down() its end.

    async def _run(self):
        tries = 0
        try:
            while not self._ended:
                why = await self._connect()
                if self._opened:
                    tries = 0
                if not self._ended:
                    delay = min(self._retry_max, self._retry * 2 ** tries)
                    delay *= random.uniform(0.5, 1)
                    tries = min(tries + 1, 30)
                    log.warning("%s: %s; again in %.1f s", self._url, why, delay)
                    await asyncio.sleep(delay)
        except Error as error:
            self._ended = error
            raise
        finally:
            self._ended = self._ended or Error("closed")
            self._down()

    async def _connect(self):
        """One connection, from its begin to its end, and why it ended."""
        self._opened = False
        try:
            # Pings of our own would find a server dead that does not read since
            # it is full. A message may be larger than 1 MiB, the library's limit.
            key = await self._secret()
            async with connect(self._url, create_protocol=_Protocol,
                               ping_interval=None, max_size=None) as socket:
                watch = asyncio.ensure_future(self._watch(socket))
                try:
                    await self._login(socket, key)
                    log.info("%s: connected", self._url)
                    self._opened = True
                    self._socket = socket
                    await self._serve(socket)
                finally:
                    watch.cancel()
            return "%s %s" % (socket.close_code, socket.close_reason)
        except (_Again, OSError, EOFError, asyncio.TimeoutError,
                WebSocketException) as error:
            return error
        finally:
            self._socket = None
            self._down()

    async def _secret(self):
        if not callable(self._key):
            return self._key
        try:
            key = self._key()
            return await key if inspect.isawaitable(key) else key
        except Exception as error:
            raise _Again(f"no key: {error}") from error

    async def _login(self, socket, key):
        try:
            text = await socket.recv()
            if text.startswith("Please"):
                await socket.send(key)
                text = await socket.recv()
            if text.endswith("error"):
                self._refused("wrong secret key")
        except ConnectionClosed:
            if socket.close_code != 1008:
                raise
            self._refused(socket.close_reason)

    def _refused(self, why):
        # a key that does not change will not be right the next time
        raise _Again(why) if callable(self._key) else Error(why)

    async def _watch(self, socket):
        """Cuts a connection on which not even pings come."""
        loop = asyncio.get_running_loop()
        while True:
            left = socket.heard + self._patience - loop.time()
            if left <= 0:
                log.warning("%s: silent", self._url)
                socket.transport.abort()
                return
            await asyncio.sleep(left)

    async def _end(self):
        """Closes the connection, or the attempts to get one."""
        self._ended = self._ended or Error("closed")
        if self._socket:
            await self._socket.close()
        else:
            self._task.cancel()
        await self.wait()


class _Sent:
    """A message that has no answer yet."""

    __slots__ = ("data", "due", "answer")

    def __init__(self, data, delay):
        self.data = data
        self.due = time.monotonic() + delay if delay else 0
        self.answer = asyncio.get_running_loop().create_future()

    def frame(self):
        # a delayed message is not later for being sent again
        delay = max(0, self.due - time.monotonic()) if self.due else 0
        return json.dumps({"MessageData": self.data, "DelayTime": delay})


class Producer(_Client):
    """Keeps what has not been answered, and sends it again when it has to."""

    def __init__(self, base, topic, id, **options):
        super().__init__(base, "Producers", topic, id, {}, **options)
        self._unsent = deque()
        self._sent = deque()
        self._wake = asyncio.Event()
        self._idle = None       # an event, when it is being closed

    async def __aexit__(self, kind, *_):
        if kind is None:
            await self.close()
        else:
            await self._end()

    @property
    def pending(self):
        """How many messages have no answer yet."""
        return len(self._sent) + len(self._unsent)

    def send(self, data, delay=0):
        """Returns a future that is done when the message is accepted, and has
        an Error when it is not.  delay is in seconds.
        """
        if self._ended or self._idle:
            raise self._ended or Error("closed")
        message = _Sent(data, delay)
        self._unsent.append(message)
        self._wake.set()
        return message.answer

    async def close(self):
        """Returns when all is answered and the connection closed."""
        self._idle = self._idle or asyncio.Event()
        if self.pending:
            await self._idle.wait()
        await self._end()

    async def _serve(self, socket):
        writer = asyncio.ensure_future(self._write(socket))
        try:
            async for text in socket:
                message = self._sent.popleft()
                if not message.answer.done():
                    if text == "ok":
                        message.answer.set_result(None)
                    else:
                        message.answer.set_exception(Error(text))
                if self._idle and not self.pending:
                    self._idle.set()
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _write(self, socket):
        while True:
            while self._unsent:
                message = self._unsent.popleft()
                self._sent.append(message)
                await socket.send(message.frame())
            self._wake.clear()
            await self._wake.wait()

    def _down(self):
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()
        if self._ended:
            for message in self._unsent:
                if not message.answer.done():
                    message.answer.set_exception(self._ended)
            self._unsent.clear()
            if self._idle:
                self._idle.set()


class Consumer(_Client):
    """Calls handler(message), confirms when that has returned, and gives back
    what it raises at.

    handler: a function, async if it likes; one that blocks belongs into
    asyncio.to_thread().
    prefetch: how many messages it may have; the server's own setting otherwise.
    parallel: how many of them it works on at a time.
    """

    def __init__(self, base, topic, id, handler, *, prefetch=None, parallel=1,
                 **options):
        query = {"confirm": "ack"}
        if prefetch:
            query["prefetch"] = prefetch
        super().__init__(base, "Consumers", topic, id, query, **options)
        self._handler = handler
        self._parallel = parallel
        self._waiting = deque()     # messages that are not begun
        self._active = {}           # tasks of those that are, by their codes
        self._done = OrderedDict()  # codes that are confirmed,
        self._owed = {}             # of those, what could not be told yet
        self._idle = None           # an event, when it is being closed

    async def __aexit__(self, *_):
        await self.close()

    async def extend(self, message):
        """For a message that takes longer than pushRetryTime: its time begins
        anew.
        """
        await self._tell("+" + message.code)

    async def renew(self, token):
        """Another token of the same subject, with which the connection goes on
        when its own expires; with a key that is a string, those to come as
        well.
        """
        if not callable(self._key):
            self._key = token
        await self._tell("Bearer " + token)

    async def close(self):
        """Returns when what was begun is done and confirmed, and the rest is
        given back.
        """
        self._idle = self._idle or asyncio.Event()
        rest = list(self._waiting)
        self._waiting.clear()
        for message in rest:
            await self._tell(f"-{message.code} 0")
        if self._active or self._owed:
            await self._idle.wait()
        await self._end()

    async def _serve(self, socket):
        for code in list(self._owed):
            await socket.send(code)
            self._owed.pop(code, None)
        self._next()
        async for text in socket:
            if text.startswith("{"):    # an error: somebody else has it by now
                await self._got(json.loads(text))

    async def _got(self, pushed):
        # what was done on a connection that broke comes again, and is not done
        # twice
        code = pushed["MessageCode"]
        if code in self._done:
            await self._tell(code)
        elif self._idle:
            await self._tell(f"-{code} 0")
        elif code not in self._active:
            self._waiting.append(Message(
                code, pushed["MessageData"], pushed["Topic"],
                pushed["CreateTime"], pushed["DelayTime"],
                pushed.get("Attempts", 1)))
            self._next()

    def _next(self):
        while self._waiting and len(self._active) < self._parallel:
            message = self._waiting.popleft()
            self._active[message.code] = asyncio.ensure_future(
                self._work(message, self._socket))
        if self._idle and not self._active and not self._owed:
            self._idle.set()

    async def _work(self, message, socket):
        code = message.code
        if self._socket is not socket:
            # the connection broke before this began: somebody else has it
            del self._active[code]
            self._next()
            return
        try:
            result = self._handler(message)
            if inspect.isawaitable(result):
                await result
        except Retry as again:
            answer = f"-{code} {again.seconds}"
        except Exception:
            log.exception("%s: the handler fails at %s", self._url, code)
            answer = "-" + code
        else:
            answer = code
            self._done[code] = self._owed[code] = None
            if len(self._done) > DONE:
                self._done.popitem(last=False)
        # what is given back may come again at once
        del self._active[code]
        if await self._tell(answer):
            self._owed.pop(code, None)
        self._next()

    async def _tell(self, frame):
        """Whether it was sent."""
        try:
            if self._socket:
                await self._socket.send(frame)
                return True
        except ConnectionClosed:
            pass
        return False

    def _down(self):
        self._waiting.clear()
        if self._ended and self._idle:
            self._idle.set()
