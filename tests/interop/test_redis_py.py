"""redis-py against the server: sync and asyncio, RESP2 and RESP3."""

import asyncio

import pytest
import redis
import redis.asyncio

PROTOCOLS = pytest.mark.parametrize("protocol", [2, 3])


def connect(port, protocol, **options):
    return redis.Redis(port=port, protocol=protocol, decode_responses=True, **options)


@PROTOCOLS
def test_strings_and_expiry(port, protocol):
    r = connect(port, protocol)
    assert r.ping() is True
    assert r.set("k", "v", ex=100) is True
    assert r.get("k") == "v"
    assert 95 <= r.ttl("k") <= 100
    assert r.set("k", "w", nx=True) is None
    assert r.set("k", "w", xx=True, get=True) == "v"
    assert r.getdel("k") == "w"
    assert r.get("k") is None
    assert r.mset({"a": 1, "b": 2, "c": 3}) is True
    assert r.mget("a", "b", "missing") == ["1", "2", None]
    assert r.incrby("a", 41) == 42
    assert r.incrbyfloat("b", 0.5) == 2.5
    assert r.append("c", "xyz") == 4
    assert r.getrange("c", 1, -1) == "xyz"
    assert r.setrange("c", 6, "!") == 7
    assert r.strlen("c") == 7
    assert r.exists("a", "b", "nope") == 2
    assert r.delete("a", "b", "nope") == 2


@PROTOCOLS
def test_keyspace_commands(port, protocol):
    r = connect(port, protocol)
    pipe = r.pipeline(transaction=False)
    for i in range(2000):
        pipe.set(f"key:{i}", i)
    assert all(pipe.execute())
    assert r.dbsize() == 2000
    assert sorted(r.scan_iter(match="key:1*", count=100)) == sorted(
        f"key:{i}" for i in range(2000) if str(i).startswith("1")
    )
    assert r.type("key:1") == "string"
    assert r.rename("key:1", "renamed") is True
    assert r.copy("renamed", "copied") is True
    assert r.object("encoding", "renamed") == "int"
    assert r.randomkey() is not None
    assert r.flushdb() is True
    assert r.keys("*") == []


@PROTOCOLS
def test_server_and_client_commands(port, protocol):
    r = connect(port, protocol, client_name="interop")
    info = r.info()
    assert info["redis_mode"] == "standalone"
    assert info["tcp_port"] == port
    assert info["connected_clients"] >= 1
    assert r.client_getname() == "interop"
    assert any(c["name"] == "interop" for c in r.client_list())
    assert r.config_get("maxclients") == {"maxclients": "10000"}
    assert r.config_set("timeout", 0) is True
    assert len(r.time()) == 2
    assert r.command_count() > 50
    assert r.echo("hello") == "hello"
    assert r.memory_usage("missing") is None


@PROTOCOLS
def test_errors_are_raised_with_redis_texts(port, protocol):
    r = connect(port, protocol)
    r.set("k", "abc")
    with pytest.raises(redis.ResponseError, match="value is not an integer or out of range"):
        r.incr("k")
    with pytest.raises(redis.ResponseError, match="unknown command 'NOPE'"):
        r.execute_command("NOPE")
    with pytest.raises(redis.ResponseError, match="wrong number of arguments for 'get' command"):
        r.execute_command("GET")


@PROTOCOLS
def test_databases(port, protocol):
    first, second = connect(port, protocol, db=0), connect(port, protocol, db=1)
    first.set("k", "zero")
    assert second.get("k") is None
    assert first.move("k", 1) == 1
    assert second.get("k") == "zero"
    assert first.swapdb(0, 1) is True
    assert first.get("k") == "zero"


@PROTOCOLS
def test_big_values_and_binary(port, protocol):
    r = redis.Redis(port=port, protocol=protocol)
    value = bytes(range(256)) * 40_000
    r.set(b"\x00\r\n", value)
    assert r.get(b"\x00\r\n") == value


@PROTOCOLS
@pytest.mark.asyncio
async def test_asyncio(port, protocol):
    r = redis.asyncio.Redis(
        port=port, protocol=protocol, decode_responses=True, max_connections=500
    )
    await asyncio.gather(*(r.set(f"k{i}", i) for i in range(200)))
    values = await asyncio.gather(*(r.get(f"k{i}") for i in range(200)))
    assert values == [str(i) for i in range(200)]
    async with r.pipeline(transaction=False) as pipe:
        for _ in range(100):
            pipe.incr("n")
        assert await pipe.execute() == list(range(1, 101))
    await r.set("short", "v", px=30)
    await asyncio.sleep(0.06)
    assert await r.get("short") is None
    await r.aclose()


def messages(listener, count):
    """The next messages, as (type, pattern, channel, data)."""
    found = []
    for _ in range(50 * count):
        message = listener.get_message(timeout=0.1)
        if message is not None:
            found.append((message["type"], message["pattern"], message["channel"], message["data"]))
        if len(found) == count:
            break
    return found


@PROTOCOLS
def test_pubsub(port, protocol):
    r = connect(port, protocol)
    with r.pubsub() as listener:
        listener.subscribe("news", "sport")
        listener.psubscribe("n*")
        assert messages(listener, 3) == [
            ("subscribe", None, "news", 1),
            ("subscribe", None, "sport", 2),
            ("psubscribe", None, "n*", 3),
        ]
        assert r.publish("news", "today") == 2
        assert messages(listener, 2) == [
            ("message", None, "news", "today"),
            ("pmessage", "n*", "news", "today"),
        ]
        assert sorted(r.pubsub_channels()) == ["news", "sport"]
        assert r.pubsub_numsub("news", "none") == [("news", 1), ("none", 0)]
        assert r.pubsub_numpat() == 1
        listener.unsubscribe("sport")
        assert messages(listener, 1) == [("unsubscribe", None, "sport", 2)]
    assert r.publish("news", "nobody") == 0


@PROTOCOLS
def test_keyspace_events(port, protocol):
    r = connect(port, protocol)
    r.config_set("notify-keyspace-events", "Ex$")
    with r.pubsub() as listener:
        listener.psubscribe("__keyevent@0__:*")
        assert messages(listener, 1)[0][0] == "psubscribe"
        r.set("k", "v", px=50)
        assert [message[2:] for message in messages(listener, 2)] == [
            ("__keyevent@0__:set", "k"),
            ("__keyevent@0__:expired", "k"),
        ]
    r.config_set("notify-keyspace-events", "")
