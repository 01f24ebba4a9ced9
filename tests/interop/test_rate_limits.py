"""The package `limits`: its three strategies, which are scripts, in threads and in asyncio."""

import asyncio
import threading
import time

import pytest
from limits import parse
from limits.aio import storage as async_storages, strategies as async_strategies
from limits.storage import storage_from_string
from limits.strategies import (
    FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter)

STRATEGIES = pytest.mark.parametrize("strategy", [
    FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter])
PATIENCE_S = 60


@pytest.fixture
def storage(port):
    made = storage_from_string(f"redis://127.0.0.1:{port}")
    assert made.check()
    return made


@STRATEGIES
def test_a_limit_holds_for_each_name_and_is_told(storage, strategy):
    limiter, ten = strategy(storage), parse("10/hour")
    assert [limiter.hit(ten, "api", "ann") for _ in range(12)] == [True] * 10 + [False] * 2
    assert limiter.hit(ten, "api", "bob", cost=9)
    assert not limiter.test(ten, "api", "bob", cost=2)
    assert limiter.test(ten, "api", "bob") and not limiter.test(ten, "api", "ann")
    asked = time.time()
    reset, remaining = limiter.get_window_stats(ten, "api", "bob")
    assert remaining == 1
    # A window that slides may move on at once.
    assert asked <= reset <= time.time() + 7201
    assert limiter.get_window_stats(ten, "api", "ann").remaining == 0
    limiter.clear(ten, "api", "ann")
    assert limiter.hit(ten, "api", "ann")
    assert storage.reset() > 0
    assert limiter.get_window_stats(ten, "api", "bob").remaining == 10


@STRATEGIES
def test_a_limit_is_exact_among_threads(port, strategy):
    limit, granted = parse("50/hour"), []

    def ask():
        limiter = strategy(storage_from_string(f"redis://127.0.0.1:{port}"))
        for _ in range(25):
            granted.append(limiter.hit(limit, "shared"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(granted) == 100 and sum(granted) == 50


@STRATEGIES
def test_a_window_passes(storage, strategy):
    limiter, limit = strategy(storage), parse("2/second")
    assert limiter.hit(limit, "k", cost=2)
    end = time.monotonic() + PATIENCE_S
    while not limiter.hit(limit, "k"):
        assert time.monotonic() < end, "the window never passes"
        time.sleep(0.05)


def test_in_asyncio(port):
    async def scenario():
        storage = async_storages.RedisStorage(
            f"async+redis://127.0.0.1:{port}", implementation="redispy")
        limiter, limit = async_strategies.MovingWindowRateLimiter(storage), parse("20/hour")
        granted = await asyncio.gather(*(limiter.hit(limit, "k") for _ in range(60)))
        assert sum(granted) == 20
        assert (await limiter.get_window_stats(limit, "k")).remaining == 0
        await storage.reset()
        assert await limiter.hit(limit, "k")

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))
