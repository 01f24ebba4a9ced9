"""python-socketio: two servers whose clients reach each other through pub/sub, and a sender apart."""

import asyncio

import socketio
from aiohttp import web
from redis import Redis

PATIENCE_S = 60


class Place:
    """One web server of several behind the same application."""

    def __init__(self, url):
        self.server = socketio.AsyncServer(
            async_mode="aiohttp", client_manager=socketio.AsyncRedisManager(url))
        # Handlers run side by side; what is said must be published in its order.
        self.turn = asyncio.Lock()
        self.server.on("join", self.join)
        self.server.on("say", self.say)

    async def join(self, sid, room):
        await self.server.enter_room(sid, room)
        return sid

    async def say(self, sid, room, text):
        async with self.turn:
            await self.server.emit("said", {"text": text, "by": sid}, room=room, skip_sid=sid)

    async def open(self):
        application = web.Application()
        self.server.attach(application)
        self.runner = web.AppRunner(application)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        number = self.runner.addresses[0][1]
        return f"http://127.0.0.1:{number}"

    async def close(self):
        await self.server.shutdown()
        await self.runner.cleanup()


class Guest:
    """A client that keeps what it hears."""

    def __init__(self):
        self.client = socketio.AsyncClient()
        self.heard = asyncio.Queue()
        self.gone = asyncio.Event()
        self.client.on("said", self.heard.put)
        self.client.on("ask", self.answer)
        self.client.on("disconnect", lambda *_: self.gone.set())

    async def answer(self, number):
        return number * 2

    async def enter(self, address, room):
        await self.client.connect(address, transports=["websocket"])
        self.sid = await self.client.call("join", room, timeout=PATIENCE_S)

    async def hears(self):
        return await asyncio.wait_for(self.heard.get(), PATIENCE_S)


async def scenario(url, redis):
    places = [Place(url), Place(url)]
    addresses = [await place.open() for place in places]
    ann, bob, eve = Guest(), Guest(), Guest()
    await ann.enter(addresses[0], "tea")
    await bob.enter(addresses[1], "tea")
    await eve.enter(addresses[1], "coffee")
    # Both servers listen from here on; what was published before reached nobody.
    while redis.pubsub_numsub("socketio")[0][1] < 2:
        await asyncio.sleep(0.01)

    # From one server to clients of the other, in order.
    for i in range(50):
        await ann.client.emit("say", ("tea", i))
    assert [await bob.hears() for _ in range(50)] == [
        {"text": i, "by": ann.sid} for i in range(50)]
    # A process that only sends.
    sender = socketio.RedisManager(url, write_only=True)
    await asyncio.to_thread(sender.emit, "said", {"text": "all"})
    assert [await guest.hears() for guest in (ann, bob, eve)] == [{"text": "all"}] * 3
    await asyncio.to_thread(sender.emit, "said", {"bytes": b"\x00\xff"}, room="tea")
    assert [await guest.hears() for guest in (ann, bob)] == [{"bytes": b"\x00\xff"}] * 2
    # A question to a client of another server, and its answer back.
    answer = await places[0].server.call("ask", 21, to=bob.sid, timeout=PATIENCE_S)
    assert answer == 42
    # Rooms and connections are changed from afar.
    await places[0].server.enter_room(eve.sid, "tea")
    await places[0].server.emit("said", "you too", room="tea")
    assert [await guest.hears() for guest in (ann, bob, eve)] == ["you too"] * 3
    await places[0].server.disconnect(bob.sid)
    await asyncio.wait_for(bob.gone.wait(), PATIENCE_S)
    assert ann.heard.empty() and eve.heard.empty()

    for guest in (ann, eve):
        await guest.client.disconnect()
    for place in places:
        await place.close()


def test_servers_share_rooms_through_pubsub(port):
    with Redis(port=port) as redis:
        asyncio.run(asyncio.wait_for(scenario(f"redis://127.0.0.1:{port}/0", redis), PATIENCE_S))
