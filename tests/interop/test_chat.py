"""Two Python clients chat through the server, over WebTransport, over WebSocket, and one over each.
`python test_chat.py http://localhost:PORT` (the server's page)."""

import asyncio
import sys

from anoncam import BLOCK, ENDED, FIND, HELLO, LEAVE, NOTICE, PEER, SIGNAL, TEXT, Closed, Session, SocketSession


async def pair(one, other, mode="text"):
    for number, client in enumerate((one, other)):
        await client.hello()
        await client.find(7 + number, mode=mode, interests=["Python ", "aioquic"], langs=["en"])
    first, second = await one.matched(7), await other.matched(8)
    assert first["chat"] == second["chat"] and first["chat"] > 0
    assert {first["role"], second["role"]} == {"offerer", "answerer"}
    # Interests compare after trimming and case folding; each is told what both gave.
    assert sorted(word.strip().lower() for word in first["shared"]) == ["aioquic", "python"], first
    await asyncio.gather(one.chat.exchange_keys(), other.chat.exchange_keys())
    assert one.chat.code == other.chat.code, "both see the same safety code"


async def two_people_chat_in_sealed_frames(site, One, Other):
    async with One(site) as one, Other(site) as other:
        await pair(one, other)
        for number, text in enumerate(["hello", "größer", "🙂" * 900]):
            one.chat.seal(TEXT, kind="message", id=number, text=text)
            assert await other.chat.open(TEXT) == {"kind": "message", "id": number, "text": text}
            other.chat.seal(TEXT, kind="ack", id=number)
            assert await one.chat.open(TEXT) == {"kind": "ack", "id": number}
        one.say(LEAVE)
        ended = await other.expect(ENDED)
        assert ended == {"chat": other.chat.number, "why": "left"}, ended


async def a_description_crosses_in_a_video_chat(site, One, Other):
    async with One(site) as one, Other(site) as other:
        await pair(one, other, mode="video")
        offer = {"type": "offer", "sdp": "v=0\r\n" * 1_200}
        one.chat.seal(SIGNAL, kind="description", description=offer)
        assert (await other.chat.open(SIGNAL))["description"] == offer


async def next_is_one_frame(site, One, Other):
    async with One(site) as one, Other(site) as other:
        await pair(one, other)
        await one.find(9, mode="text", interests=["somebody else"], strict=True)
        assert (await other.expect(ENDED))["why"] == "left"
        other.say(BLOCK)


async def a_session_is_resumed_with_its_token(site, One, Other):
    async with One(site) as one:
        async with Other(site) as other:
            await pair(one, other)
            token = other.welcome["session"]
        # `other` closed its connection: it is away at once.
        away = await one.expect(PEER)
        assert away == {"chat": one.chat.number, "state": "away"}, away
        # From the transport of one to that of the other.
        async with One(site) as again:
            welcome = await again.hello(resume=token)
            assert welcome["resumed"] and welcome["session"] != token, welcome
            back = await one.expect(PEER)
            assert back["state"] == "back" and back["new_chat"] == welcome["chat"]["chat"], (back, welcome)


async def what_is_wrong_is_answered_as_the_protocol_says(site, One, _):
    async with One(site) as client:
        await client.hello()
        client.say(FIND, n=1, mode="nothing")
        assert (await client.expect(NOTICE))["code"] == "bad_request"
        await closes_with(client, 1, lambda: client.protocol.send(HELLO, b"{}"))
    async with One(site) as client:
        await closes_with(client, 1, lambda: client.protocol.send(FIND, b"{}"))
    async with One(site) as client:
        await client.hello()
        await closes_with(client, 2, lambda: client.protocol.send(FIND, b" " * 4_097))
    async with One(site) as client:
        await client.hello()
        await closes_with(client, 1, lambda: client.protocol.send(TEXT, b"abc"))
    async with One(site, path="/v2") as client:
        assert client.status == 404
    async with One(site, origin="https://elsewhere.example") as client:
        assert client.status == 403


async def closes_with(client, code, act):
    act()
    try:
        while True:
            await client.next()
    except Closed as closed:
        assert closed.code == code and closed.reason, closed


async def main(site):
    for story in (
        two_people_chat_in_sealed_frames,
        a_description_crosses_in_a_video_chat,
        next_is_one_frame,
        a_session_is_resumed_with_its_token,
        what_is_wrong_is_answered_as_the_protocol_says,
    ):
        for One, Other in ((Session, Session), (SocketSession, SocketSession), (Session, SocketSession)):
            await asyncio.wait_for(story(site, One, Other), 60)
            print(f"ok  {story.__name__}: {One.__name__}, {Other.__name__}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1].rstrip("/")))
