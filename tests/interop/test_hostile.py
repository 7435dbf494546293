"""A client that breaks RFC 9114, the WebTransport draft and docs/PROTOCOL.md on purpose, and looks at how it is answered.
`python test_hostile.py http://localhost:PORT` (the server's page)."""

import asyncio
import json
import ssl
import sys
import urllib.request
from urllib.parse import urlsplit

import pylsqpack
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, StreamReset

from anoncam import (
    ENDED, FIND, HELLO, NOTICE, PATIENCE_S, REPORT, TEXT, WAITING, WELCOME, Closed, Session,
)
from test_chat import closes_with, pair

STREAM_CREATION, CLOSED_CRITICAL, FRAME_UNEXPECTED, FRAME, ID = 0x103, 0x104, 0x105, 0x106, 0x108
SETTINGS, MISSING_SETTINGS, REJECTED, MESSAGE, QPACK, ENCODER, DECODER = 0x109, 0x10A, 0x10B, 0x10E, 0x200, 0x201, 0x202
# Application error 1 as an error of HTTP/3 (the WebTransport draft, section 4.3).
REFUSED_STREAM = 0x52E4A40FA8DB + 1


def varint(value):
    for prefix, length in enumerate((1, 2, 4, 8)):
        if value < 1 << (8 * length - 2):
            return (prefix << (8 * length - 2) | value).to_bytes(length, "big")
    raise ValueError(value)


def frame(kind, payload=b""):
    return varint(kind) + varint(len(payload)) + payload


# What browsers say: extended CONNECT, datagrams, WebTransport.
CONTROL = b"\x00" + frame(0x04, varint(0x08) + b"\x01" + varint(0x33) + b"\x01" + varint(0x2B603742) + b"\x01")


class Raw(QuicConnectionProtocol):
    """A QUIC connection without any HTTP/3 of its own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        loop = asyncio.get_running_loop()
        self.ready, self.ended, self.resets = loop.create_future(), loop.create_future(), {}
        self.changed = asyncio.Event()

    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            self.ready.set_result(None)
        elif isinstance(event, ConnectionTerminated) and not self.ended.done():
            self.ended.set_result(event.error_code)
        elif isinstance(event, StreamReset):
            self.resets[event.stream_id] = event.error_code
            self.changed.set()

    def write(self, stream, data, fin=False):
        self._quic.send_stream_data(stream, data, fin)
        self.transmit()

    def uni(self, data, fin=False):
        stream = self._quic.get_next_available_stream_id(is_unidirectional=True)
        self.write(stream, data, fin)
        return stream

    def bidi(self, data, fin=False):
        stream = self._quic.get_next_available_stream_id()
        self.write(stream, data, fin)
        return stream

    async def error(self):
        return await asyncio.wait_for(self.ended, PATIENCE_S)

    async def reset_of(self, stream):
        async def wait():
            while stream not in self.resets:
                self.changed.clear()
                await self.changed.wait()
            return self.resets[stream]

        return await asyncio.wait_for(wait(), PATIENCE_S)


class Broken:
    """`async with Broken(site) as raw`; with `control` it says SETTINGS first, as it should."""

    def __init__(self, site, control=True):
        with urllib.request.urlopen(f"{site}/client-config.json") as answer:
            self.url = urlsplit(json.load(answer)["webtransport"]["url"])
        self.site, self.control = site, control

    async def __aenter__(self):
        quic = QuicConfiguration(alpn_protocols=H3_ALPN, max_datagram_frame_size=65_536, verify_mode=ssl.CERT_NONE)
        self.context = connect(self.url.hostname, self.url.port, configuration=quic, create_protocol=Raw)
        raw = await self.context.__aenter__()
        await asyncio.wait_for(raw.ready, PATIENCE_S)
        raw.authority, raw.site = self.url.netloc, self.site
        if self.control:
            raw.uni(CONTROL)
        return raw

    async def __aexit__(self, *failure):
        return await self.context.__aexit__(*failure)


def headers(raw, *changes, without=()):
    """HEADERS of the CONNECT that opens a session, with fields added and left out."""
    fields = [
        (b":method", b"CONNECT"),
        (b":protocol", b"webtransport"),
        (b":scheme", b"https"),
        (b":authority", raw.authority.encode()),
        (b":path", b"/v1"),
        (b"origin", raw.site.encode()),
    ]
    encoder = pylsqpack.Encoder()
    _, section = encoder.encode(0, [field for field in fields if field[0] not in without] + list(changes))
    return frame(0x01, section)


async def broken_streams_close_the_connection(site):
    uni = {
        "a second control stream": ([CONTROL, CONTROL], STREAM_CREATION),
        "a push stream": ([CONTROL, b"\x01\x00"], STREAM_CREATION),
        "a second encoder stream": ([CONTROL, b"\x02", b"\x02"], STREAM_CREATION),
        "no SETTINGS": ([b"\x00" + frame(0x07, b"\x00")], MISSING_SETTINGS),
        "SETTINGS twice": ([CONTROL + frame(0x04)], FRAME_UNEXPECTED),
        "DATA on the control stream": ([CONTROL + frame(0x00, b"x")], FRAME_UNEXPECTED),
        "HEADERS on the control stream": ([CONTROL + frame(0x01, b"x")], FRAME_UNEXPECTED),
        "a frame of HTTP/2": ([CONTROL + frame(0x06, bytes(8))], FRAME_UNEXPECTED),
        "a setting of HTTP/2": ([b"\x00" + frame(0x04, b"\x02\x00")], SETTINGS),
        "a setting twice": ([b"\x00" + frame(0x04, b"\x08\x01\x08\x01")], SETTINGS),
        "a setting cut short": ([b"\x00" + frame(0x04, b"\x08")], FRAME),
        "a GOAWAY with more than its number": ([CONTROL + frame(0x07, b"\x00\x00")], FRAME),
        "MAX_PUSH_ID that goes back": ([CONTROL + frame(0x0D, b"\x05") + frame(0x0D, b"\x01")], ID),
        "an insertion into the dynamic table": ([CONTROL, b"\x02\xc0\x00"], ENCODER),
        "an acknowledgement of nothing": ([CONTROL, b"\x03\x81"], DECODER),
    }
    for story, (streams, expected) in uni.items():
        async with Broken(site, control=False) as raw:
            for data in streams:
                raw.uni(data)
            assert (found := await raw.error()) == expected, f"{story}: {found:#x}"
    async with Broken(site, control=False) as raw:
        raw.uni(CONTROL, fin=True)
        assert await raw.error() == CLOSED_CRITICAL
    bidi = {
        "DATA before HEADERS": (frame(0x00, b"x"), FRAME_UNEXPECTED),
        "SETTINGS on a request": (frame(0x04), FRAME_UNEXPECTED),
        "PUSH_PROMISE": (frame(0x05, b"\x00\x00\x00"), FRAME_UNEXPECTED),
        "a dynamic reference": (frame(0x01, b"\x00\x00\x80"), QPACK),
        "a required insert count": (frame(0x01, b"\x02\x00\xc0"), QPACK),
        "a channel of a session that cannot be": (varint(0x41) + varint(2), ID),
    }
    for story, (data, expected) in bidi.items():
        async with Broken(site) as raw:
            raw.bidi(data)
            assert (found := await raw.error()) == expected, f"{story}: {found:#x}"
    async with Broken(site) as raw:
        raw.bidi(b"\x01\x20\x00\x00\xd1", fin=True)
        assert await raw.error() == FRAME, "a frame that ends before its length"


async def malformed_requests_end_their_stream(site):
    async with Broken(site) as raw:
        wrong = [
            headers(raw, (b"Upper", b"case")),
            headers(raw, (b"connection", b"close")),
            headers(raw, (b":status", b"200")),
            headers(raw, (b":path", b"/v1")),
            headers(raw, without=[b":path"]),
            headers(raw, without=[b":scheme"]),
        ]
        for data in wrong:
            assert await raw.reset_of(raw.bidi(data)) == MESSAGE, data
        assert not raw.ended.done(), "the connection goes on"


async def one_session_one_channel(site):
    async with Broken(site) as raw:
        session = raw.bidi(headers(raw))
        channel = raw.bidi(varint(0x41) + varint(session))
        for data, fin, error in [
            (headers(raw), False, REJECTED),
            (varint(0x41) + varint(session), False, REFUSED_STREAM),
        ]:
            assert await raw.reset_of(raw.bidi(data, fin)) == error, data
        raw.write(channel, b"\x01\x00\x00\x07" + b'{"v":1}')
        raw.write(session, frame(0x00, varint(0x2843) + varint(7) + b"\0\0\0\1bye") + frame(0x00, b"more"))
        assert await raw.reset_of(session) == MESSAGE, "bytes after the close capsule"


async def forged_origins_open_nothing(site):
    port = urlsplit(site).port
    for origin in (
        "null", "", "https://elsewhere.example", f"http://localhost:{port}.elsewhere.example",
        f"http://localhost:{port}@elsewhere.example", f"https://localhost:{port}", "http://localhost:1", f"{site}/",
    ):
        async with Session(site, origin=origin or " ") as client:
            assert client.status in (400, 403), (origin, client.status)


async def tokens_are_neither_guessed_nor_stolen(site):
    async with Session(site) as one, Session(site) as other:
        await pair(one, other)
        token = one.welcome["session"]
        for at in range(0, len(token), 7):
            changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
            async with Session(site) as thief:
                assert not (await thief.hello(resume=changed))["resumed"], at
        for strange in ("", "A" * 4_000, token[:-1], token + "A", "\u202e" + token, "\0"):
            async with Session(site) as thief:
                assert not (await thief.hello(resume=strange))["resumed"], strange
        # The session goes to whoever has its token; the one who had it is told, and the token is used up with the next frame.
        async with Session(site) as again:
            assert (await again.hello(resume=token))["resumed"]
            await closes_with_nothing_said(one)
            again.say(FIND, n=9, mode="text", interests=["nobody else"], strict=True)
            await again.expect(WAITING)
            async with Session(site) as thief:
                assert not (await thief.hello(resume=token))["resumed"], "a token used twice"


async def closes_with_nothing_said(client):
    try:
        while True:
            await client.next()
    except Closed as closed:
        assert closed.code == 0, closed


async def nothing_gets_into_another_chat(site):
    async with Session(site) as one, Session(site) as other, Session(site) as outsider:
        await pair(one, other)
        await outsider.hello()
        number = one.chat.number
        for chat in (number, 0, number ^ 1, 0xFFFFFFFF):
            outsider.protocol.send(TEXT, chat.to_bytes(4, "big") + b"injected")
            if chat != number:
                one.protocol.send(TEXT, chat.to_bytes(4, "big") + b"injected")
        outsider.say(REPORT, reason="spam")
        assert (await outsider.expect(NOTICE))["code"] == "bad_request", "there is nobody to report"
        one.protocol.send(TEXT, number.to_bytes(4, "big") + b"real")
        assert await other.chat.relayed(TEXT) == b"real", "and nothing before it"


async def json_that_means_harm(site):
    def find(**fields):
        return json.dumps({"n": 1, "mode": "text"} | fields).encode()

    noticed = [
        find(interests=["a\0b"]), find(interests=["\u0085"]), find(interests=["x" * 33]), find(interests=["x"] * 1 + [str(n) for n in range(10)]),
        find(interests=[""]), find(langs=["\u202een"]), find(mode="\0"), find(n=2**53), find(n=-1), find(n=1.5),
    ]
    async with Session(site) as client:
        await client.hello()
        for payload in noticed:
            client.protocol.send(FIND, payload)
            assert (await client.expect(NOTICE))["code"] == "bad_request", payload
        # A right-to-left override is a letter like others here; who shows it keeps it apart.
        client.protocol.send(FIND, find(interests=["\u202egpj.exe"], strict=True))
        await client.expect(WAITING)
        deep = b'{"n":2,"mode":"text","interests":["deep"],"strict":true,"x":' + b"[" * 2_000 + b"]" * 2_000 + b"}"
        client.protocol.send(FIND, deep)
        assert (await client.expect(WAITING))["n"] == 2, "what is not known is passed over, however deep"
    fatal = [b"[" * 4_000, b'{"n":1,"mode":"\xff"}', b'{"n":1,"mode":"text","x":"\xc0\xaf"}', b'{"n":1,"mode":"text"}\0', b"\xef\xbb\xbf{}", b"null"]
    for payload in fatal:
        async with Session(site) as client:
            await client.hello()
            await closes_with(client, 1, lambda: client.protocol.send(FIND, payload))
    for size in (4_097, 0xFFFFFF):
        async with Session(site) as client:
            await client.hello()
            header = bytes([FIND]) + size.to_bytes(3, "big")
            await closes_with(client, 2, lambda: client.protocol._quic.send_stream_data(client.protocol.channel, header) or client.protocol.transmit())


async def main(site):
    for story in (
        broken_streams_close_the_connection,
        malformed_requests_end_their_stream,
        one_session_one_channel,
        forged_origins_open_nothing,
        tokens_are_neither_guessed_nor_stolen,
        nothing_gets_into_another_chat,
        json_that_means_harm,
    ):
        await asyncio.wait_for(story(site), 120)
        print(f"ok  {story.__name__}", flush=True)
    async with Session(site) as one, Session(site) as other:
        await pair(one, other)
    print("ok  and people chat as before", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1].rstrip("/")))
