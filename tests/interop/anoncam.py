"""An AnonCam client in Python, written from docs/PROTOCOL.md alone, on aioquic's HTTP/3.

It shares no code with the server or the browser library, so that the protocol's text is what is tested. The same client runs over
WebSocket, on the library of that name.
"""

import asyncio
import base64
import hashlib
import json
import os
import ssl
import struct
import urllib.request
from urllib.parse import urlsplit

import websockets
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamDataReceived, StreamReset
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HELLO, FIND, LEAVE, REPORT, BLOCK = 0x01, 0x02, 0x03, 0x04, 0x05
WELCOME, WAITING, MATCHED, ENDED, PEER, NOTICE, DRAIN, ICE = range(0x41, 0x49)
SIGNAL, TEXT = 0x81, 0x82
PATIENCE_S = 20


class Closed(Exception):
    """The server closed the session."""

    def __init__(self, code, reason):
        super().__init__(f"closed with {code}: {reason}")
        self.code, self.reason = code, reason


def read_varint(data):
    """The variable-length integer at the front (RFC 9000, section 16), and the rest."""
    length = 1 << (data[0] >> 6)
    value = int.from_bytes(data[:length], "big") & ((1 << (8 * length - 2)) - 1)
    return value, data[length:]


class Protocol(QuicConnectionProtocol):
    """One WebTransport session and its channel."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic, enable_webtransport=True)
        self.status = asyncio.get_running_loop().create_future()
        self.connect_stream = None
        self.channel = None
        self.capsules = b""
        self.buffer = b""
        self.inbox = asyncio.Queue()

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            self.inbox.put_nowait(Closed(None, event.reason_phrase))
        if isinstance(event, StreamReset) and event.stream_id == self.connect_stream:
            self.inbox.put_nowait(Closed(None, "the CONNECT stream was reset"))
        if isinstance(event, StreamDataReceived) and event.stream_id == self.channel:
            # aioquic does not know the way back of a stream that it opened for WebTransport, and would look for frames.
            self.buffer += event.data
            self.read_frames()
            return
        for http_event in self.http.handle_event(event):
            if isinstance(http_event, HeadersReceived) and http_event.stream_id == self.connect_stream:
                self.headers = dict(http_event.headers)
                self.status.set_result(int(self.headers[b":status"]))
            elif isinstance(http_event, DataReceived) and http_event.stream_id == self.connect_stream:
                self.capsules += http_event.data
                self.read_capsule()

    def read_capsule(self):
        """CLOSE_WEBTRANSPORT_SESSION: type, length, code (32 bits), reason."""
        if len(self.capsules) < 2:
            return
        capsule_type, rest = read_varint(self.capsules)
        length, rest = read_varint(rest)
        if capsule_type == 0x2843 and len(rest) >= length:
            self.inbox.put_nowait(Closed(int.from_bytes(rest[:4], "big"), rest[4:length].decode()))

    def read_frames(self):
        """type (1 byte) | length (3 bytes) | payload."""
        while len(self.buffer) >= 4:
            length = int.from_bytes(self.buffer[1:4], "big")
            if len(self.buffer) < 4 + length:
                return
            self.inbox.put_nowait((self.buffer[0], self.buffer[4 : 4 + length]))
            self.buffer = self.buffer[4 + length :]

    async def open_session(self, authority, path, origin):
        self.connect_stream = self._quic.get_next_available_stream_id()
        headers = [
            (b":method", b"CONNECT"),
            (b":protocol", b"webtransport"),
            (b":scheme", b"https"),
            (b":authority", authority.encode()),
            (b":path", path.encode()),
            (b"origin", origin.encode()),
            (b"sec-webtransport-http3-draft02", b"1"),
        ]
        self.http.send_headers(self.connect_stream, headers)
        self.transmit()
        return await asyncio.wait_for(self.status, PATIENCE_S)

    def open_channel(self):
        self.channel = self.http.create_webtransport_stream(self.connect_stream)

    def send(self, frame_type, payload=b""):
        self._quic.send_stream_data(self.channel, bytes([frame_type]) + len(payload).to_bytes(3, "big") + payload)
        self.transmit()


class Socket:
    """The same channel over a WebSocket (section 9). Messages are cut where no frame ends, on purpose."""

    def __init__(self, socket):
        self.socket, self.buffer, self.inbox, self.outbox = socket, b"", asyncio.Queue(), asyncio.Queue()
        self.tasks = [asyncio.create_task(self.read()), asyncio.create_task(self.write())]

    read_frames = Protocol.read_frames

    async def read(self):
        try:
            async for message in self.socket:
                assert isinstance(message, bytes)
                self.buffer += message
                self.read_frames()
        except websockets.ConnectionClosed:
            pass
        code = self.socket.close_code
        self.inbox.put_nowait(Closed(code - 4000 if code >= 4000 else code, self.socket.close_reason))

    async def write(self):
        while True:
            frame = await self.outbox.get()
            middle = len(frame) // 2
            try:
                await self.socket.send(frame[:middle])
                await self.socket.send(frame[middle:])
            except websockets.ConnectionClosed:
                return

    def send(self, frame_type, payload=b""):
        self.outbox.put_nowait(bytes([frame_type]) + len(payload).to_bytes(3, "big") + payload)

    async def close(self):
        await self.socket.close()
        for task in self.tasks:
            task.cancel()


class SocketSession:
    """`Session` over WebSocket."""

    def __init__(self, site, origin=None, path=None):
        self.site, self.origin, self.path, self.channel = site, origin or site, path, None

    async def __aenter__(self):
        with urllib.request.urlopen(f"{self.site}/client-config.json") as answer:
            url = json.load(answer)["websocket"]["url"]
        client = Client(None)
        try:
            socket = await websockets.connect(url.removesuffix("/v1") + (self.path or "/v1"), origin=self.origin)
        except websockets.InvalidStatus as refused:
            client.status = refused.response.status_code
            return client
        client.status, client.protocol = 200, Socket(socket)
        self.channel = client.protocol
        return client

    async def __aexit__(self, *failure):
        if self.channel:
            await self.channel.close()


class Client:
    """One person: session, search, chat."""

    def __init__(self, protocol):
        self.protocol = protocol
        self.chat = None

    def say(self, frame_type, **fields):
        self.protocol.send(frame_type, json.dumps(fields).encode() if fields else b"")

    async def next(self):
        """The next frame's type and payload; raises Closed."""
        item = await asyncio.wait_for(self.protocol.inbox.get(), PATIENCE_S)
        if isinstance(item, Closed):
            raise item
        return item

    async def expect(self, wanted):
        """The next frame of this type, as JSON; unknown and other server frames are passed over."""
        while True:
            frame_type, payload = await self.next()
            if frame_type == wanted:
                return json.loads(payload)

    async def hello(self, resume=None):
        fields = {"v": 1} | ({"resume": resume} if resume else {})
        self.say(HELLO, **fields)
        self.welcome = await self.expect(WELCOME)
        return self.welcome

    async def find(self, n, **fields):
        self.say(FIND, n=n, **fields)

    async def matched(self, n):
        while True:
            matched = await self.expect(MATCHED)
            if matched["n"] == n:
                self.chat = Chat(self, matched)
                return matched


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def hkdf(key, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


class Chat:
    """Keys first, then sealed frames (section 7)."""

    def __init__(self, client, matched):
        self.client, self.number = client, matched["chat"]
        self.offerer = matched["role"] == "offerer"
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.public = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.reveal = self.clear(kind="reveal", key=base64url(self.public), nonce=base64url(os.urandom(16)))
        self.sent = self.received = 0

    @staticmethod
    def clear(**fields):
        return json.dumps(fields).encode()

    def relay(self, frame_type, payload):
        self.client.protocol.send(frame_type, struct.pack(">I", self.number) + payload)

    async def relayed(self, wanted):
        while True:
            frame_type, payload = await self.client.next()
            if frame_type == wanted and int.from_bytes(payload[:4], "big") == self.number:
                return payload[4:]

    async def exchange_keys(self):
        if self.offerer:
            commit = self.clear(kind="commit", hash=base64url(hashlib.sha256(self.reveal).digest()))
            self.relay(SIGNAL, commit)
            theirs = await self.relayed(SIGNAL)
            self.relay(SIGNAL, self.reveal)
            transcript = commit + theirs + self.reveal
        else:
            commit = await self.relayed(SIGNAL)
            self.relay(SIGNAL, self.reveal)
            theirs = await self.relayed(SIGNAL)
            assert json.loads(commit)["hash"] == base64url(hashlib.sha256(theirs).digest()), "the offerer's commit"
            transcript = commit + self.reveal + theirs
        key = unbase64url(json.loads(theirs)["key"])
        assert key != self.public
        secret = self.private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key))
        transcript = hashlib.sha256(transcript).digest()
        root = hkdf(secret, transcript, b"anoncam v1 root")
        keys = [AESGCM(hkdf(root, b"", b"anoncam v1 " + role)) for role in (b"offerer", b"answerer")]
        self.seal_key, self.open_key = keys if self.offerer else reversed(keys)
        bits = int.from_bytes(hashlib.sha256(b"anoncam v1 code" + transcript).digest()[:4], "big") >> 2
        self.code = [bits >> shift & 63 for shift in (24, 18, 12, 6, 0)]

    def associated(self, frame_type, counter):
        return bytes([frame_type]) + struct.pack(">I", self.number) + b"\x01" + struct.pack(">Q", counter)

    def seal(self, frame_type, **fields):
        plain = json.dumps(fields, ensure_ascii=False).encode()
        plain += b" " * (-len(plain) % 256)
        counter, self.sent = self.sent, self.sent + 1
        nonce = b"\0\0\0\0" + struct.pack(">Q", counter)
        sealed = self.seal_key.encrypt(nonce, plain, self.associated(frame_type, counter))
        self.relay(frame_type, b"\x01" + struct.pack(">Q", counter) + sealed)

    async def open(self, frame_type):
        payload = await self.relayed(frame_type)
        counter = int.from_bytes(payload[1:9], "big")
        assert payload[0] == 0x01 and counter == self.received, "only the next counter"
        self.received += 1
        nonce = b"\0\0\0\0" + struct.pack(">Q", counter)
        return json.loads(self.open_key.decrypt(nonce, payload[9:], self.associated(frame_type, counter)))


class Session:
    """`async with Session(site) as client`: reads client-config.json, connects, opens the channel."""

    def __init__(self, site, origin=None, path=None, channel=True):
        self.site, self.origin, self.path, self.channel = site, origin or site, path, channel

    async def __aenter__(self):
        with urllib.request.urlopen(f"{self.site}/client-config.json") as answer:
            config = json.load(answer)
        url = urlsplit(config["webtransport"]["url"])
        # The certificate is made by the server itself; a browser would compare its hash.
        quic = QuicConfiguration(alpn_protocols=H3_ALPN, max_datagram_frame_size=65_536, verify_mode=ssl.CERT_NONE)
        self.context = connect(url.hostname, url.port, configuration=quic, create_protocol=Protocol)
        protocol = await self.context.__aenter__()
        client = Client(protocol)
        client.status = await protocol.open_session(url.netloc, self.path or url.path, self.origin)
        if client.status == 200 and self.channel:
            protocol.open_channel()
        return client

    async def __aexit__(self, *failure):
        return await self.context.__aexit__(*failure)
