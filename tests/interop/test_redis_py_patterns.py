"""What applications build from redis-py: transactions, optimistic loops, locks, scripts, messages."""

import threading
import time

import pytest
import redis
from redis.exceptions import LockError, LockNotOwnedError, WatchError

PROTOCOLS = pytest.mark.parametrize("protocol", [2, 3])
# Longer than anything takes on a busy machine.
PATIENCE_S = 60


def connect(port, protocol=2, **options):
    return redis.Redis(port=port, protocol=protocol, decode_responses=True, **options)


def run_all(threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "a thread hangs"


@PROTOCOLS
def test_a_transaction_is_all_or_nothing(port, protocol):
    r = connect(port, protocol)
    with r.pipeline() as pipe:
        pipe.set("a", 1).incr("a").lpush("l", "x", "y").lrange("l", 0, -1)
        pipe.hset("h", mapping={"f": "v"}).hgetall("h").zadd("z", {"m": 1.5}).zscore("z", "m")
        assert pipe.execute() == [True, 2, 2, ["y", "x"], 1, {"f": "v"}, 1, 1.5]
    with r.pipeline() as pipe:
        pipe.set("before", 1).execute_command("NO-SUCH-COMMAND").set("after", 1)
        with pytest.raises(redis.ResponseError, match="Command # 2 .* unknown command"):
            pipe.execute()
    assert r.exists("before", "after") == 0
    with r.pipeline() as pipe:
        pipe.set("before", 1).lpush("a", "wrong").set("after", 1)
        replies = pipe.execute(raise_on_error=False)
    assert replies[0] is True and replies[2] is True
    assert isinstance(replies[1], redis.ResponseError) and "WRONGTYPE" in str(replies[1])
    assert r.mget("before", "after") == ["1", "1"]
    with pytest.raises(redis.ResponseError, match=r"Command # 2 \(LPUSH a wrong\)"):
        r.pipeline().set("x", 1).lpush("a", "wrong").execute()


@PROTOCOLS
def test_watch_sees_every_change_by_others(port, protocol):
    r, other = connect(port, protocol), connect(port, protocol)
    for change in (
        lambda: other.set("k", 2),
        lambda: other.delete("k"),
        lambda: other.expire("k", 100),
        lambda: other.flushall(),
        lambda: other.swapdb(0, 1),
        lambda: other.eval("redis.call('append', KEYS[1], 'x')", 1, "k"),
    ):
        r.set("k", 1)
        with r.pipeline() as pipe:
            pipe.watch("k")
            assert pipe.get("k") == "1"
            change()
            pipe.multi()
            pipe.set("done", 1)
            with pytest.raises(WatchError):
                pipe.execute()
        assert not r.exists("done")
    with r.pipeline() as pipe:
        pipe.watch("k")
        other.get("k")
        pipe.multi()
        pipe.set("done", 1)
        assert pipe.execute() == [True]


@PROTOCOLS
def test_optimistic_transfers_keep_the_sum(port, protocol):
    r = connect(port, protocol)
    accounts = [f"account:{i}" for i in range(4)]
    r.mset(dict.fromkeys(accounts, 100))
    done = []

    def transfer(source, target):
        mine = connect(port, protocol)

        def move(pipe):
            have, other = int(pipe.get(source)), int(pipe.get(target))
            pipe.multi()
            pipe.set(source, have - 1)
            pipe.set(target, other + 1)

        for _ in range(50):
            done.append(mine.transaction(move, source, target))

    run_all([
        threading.Thread(target=transfer, args=(accounts[i], accounts[(i + 1) % 4]))
        for i in range(4)
    ])
    assert done == [[True, True]] * 200
    assert r.mget(accounts) == ["100"] * 4


@PROTOCOLS
def test_a_lock_excludes_and_belongs_to_its_token(port, protocol):
    r = connect(port, protocol)
    first = r.lock("lock", timeout=100)
    assert first.acquire(blocking=False) is True
    second = connect(port, protocol).lock("lock", timeout=100)
    assert second.acquire(blocking=False) is False
    assert second.acquire(blocking=True, blocking_timeout=0.2) is False
    assert first.locked() and first.owned() and not second.owned()
    assert 90_000 < r.pttl("lock") <= 100_000
    first.extend(100)
    assert 190_000 < r.pttl("lock") <= 200_000
    first.extend(50, replace_ttl=True)
    assert r.pttl("lock") <= 50_000
    first.reacquire()
    assert 90_000 < r.pttl("lock") <= 100_000
    with pytest.raises(LockError):
        second.release()
    first.release()
    assert not r.exists("lock")
    assert second.acquire(blocking=False) is True
    r.set("lock", "somebody else")
    for wrong in (second.release, second.reacquire, lambda: second.extend(1)):
        second.local.token = b"stale"
        with pytest.raises(LockNotOwnedError):
            wrong()
    assert r.get("lock") == "somebody else"


@PROTOCOLS
def test_a_lock_that_is_not_extended_passes_to_the_next(port, protocol):
    r = connect(port, protocol)
    lost = r.lock("lock", timeout=0.3)
    assert lost.acquire(blocking=False)
    next_owner = connect(port, protocol).lock("lock", timeout=100)
    assert next_owner.acquire(blocking_timeout=PATIENCE_S)
    with pytest.raises(LockNotOwnedError):
        lost.release()
    next_owner.release()


def test_a_lock_guards_what_is_not_atomic(port):
    r = connect(port)
    r.set("counter", 0)

    def work():
        mine = connect(port)
        for _ in range(25):
            with mine.lock("lock", timeout=PATIENCE_S, sleep=0.001):
                value = int(mine.get("counter"))
                time.sleep(0.0005)
                mine.set("counter", value + 1)

    run_all([threading.Thread(target=work) for _ in range(4)])
    assert r.get("counter") == "100"


@PROTOCOLS
def test_registered_scripts_survive_a_flush_of_scripts(port, protocol):
    r = connect(port, protocol)
    limited = r.register_script("""
        local count = tonumber(redis.call('GET', KEYS[1]) or '0')
        if count >= tonumber(ARGV[1]) then return {0, count, 'full'} end
        return {1, redis.call('INCR', KEYS[1]), 'more'}
    """)
    assert limited(keys=["n"], args=[2]) == [1, 1, "more"]
    assert limited(keys=["n"], args=[2]) == [1, 2, "more"]
    assert limited(keys=["n"], args=[2]) == [0, 2, "full"]
    assert r.script_exists(limited.sha, "0" * 40) == [True, False]
    assert r.script_flush() is True
    assert limited(keys=["n"], args=[2]) == [0, 2, "full"]
    with r.pipeline() as pipe:
        r.script_flush()
        limited(keys=["m"], args=[1], client=pipe)
        pipe.get("m")
        assert pipe.execute() == [[1, 1, "more"], "1"]
    with pytest.raises(redis.exceptions.NoScriptError):
        r.evalsha("0" * 40, 0)
    with pytest.raises(redis.ResponseError, match="boom"):
        r.eval("return redis.error_reply('MY boom')", 0)


@PROTOCOLS
def test_subscribers_read_all_messages_in_order(port, protocol):
    r = connect(port, protocol)
    subscriber = connect(port, protocol).pubsub()
    subscriber.subscribe("news", "other")
    subscriber.psubscribe("n*")
    kinds = [subscriber.get_message(timeout=PATIENCE_S)["type"] for _ in range(3)]
    assert kinds == ["subscribe", "subscribe", "psubscribe"]
    assert r.pubsub_numsub("news", "none") == [("news", 1), ("none", 0)]
    assert r.pubsub_numpat() == 1
    assert sorted(r.pubsub_channels()) == ["news", "other"]
    for i in range(200):
        assert r.publish("news", i) == 2
    assert r.publish("nobody:listens", 1) == 1
    got = [subscriber.get_message(timeout=PATIENCE_S) for _ in range(401)]
    assert [m["data"] for m in got if m["type"] == "message"] == [str(i) for i in range(200)]
    by_pattern = [(m["pattern"], m["data"]) for m in got if m["type"] == "pmessage"]
    assert by_pattern == [("n*", str(i)) for i in range(200)] + [("n*", "1")]
    subscriber.unsubscribe()
    subscriber.punsubscribe()
    left = [subscriber.get_message(timeout=PATIENCE_S) for _ in range(3)]
    assert sorted(m["type"] for m in left) == ["punsubscribe", "unsubscribe", "unsubscribe"]
    assert left[-1]["data"] == 0
    assert r.publish("news", "late") == 0
    subscriber.close()


def test_handlers_in_a_thread_and_keyspace_events(port):
    r = connect(port)
    before = r.config_get("notify-keyspace-events")["notify-keyspace-events"]
    r.config_set("notify-keyspace-events", "KEA")
    events, enough = [], threading.Event()

    def note(message):
        events.append((message["channel"].split(":", 1)[1], message["data"]))
        if message["data"] == "del":
            enough.set()

    subscriber = connect(port).pubsub(ignore_subscribe_messages=True)
    subscriber.psubscribe(**{"__keyspace@0__:*": note})
    thread = subscriber.run_in_thread(sleep_time=0.05, daemon=True)
    try:
        while r.pubsub_numpat() == 0:
            time.sleep(0.01)
        r.set("a", 1)
        r.expire("a", 100)
        r.rpush("l", 1)
        r.lpop("l")
        r.delete("a")
        assert enough.wait(PATIENCE_S)
    finally:
        thread.stop()
        thread.join(PATIENCE_S)
        r.config_set("notify-keyspace-events", before)
    # The list is deleted by the pop that empties it, before the key that is deleted by name.
    assert events[:5] == [("a", "set"), ("a", "expire"), ("l", "rpush"), ("l", "lpop"), ("l", "del")]


def test_sharded_channels(port):
    r = connect(port)
    subscriber = connect(port).pubsub()
    subscriber.ssubscribe("shard")
    assert subscriber.get_sharded_message(timeout=PATIENCE_S)["type"] == "ssubscribe"
    assert r.execute_command("SPUBLISH", "shard", "hello") == 1
    assert r.publish("shard", "not this") == 0
    message = subscriber.get_sharded_message(timeout=PATIENCE_S)
    assert (message["type"], message["channel"], message["data"]) == ("smessage", "shard", "hello")
    subscriber.close()


def test_a_queue_of_streams_is_shared_by_a_group(port):
    r = connect(port)
    r.xgroup_create("jobs", "workers", id="0", mkstream=True)
    sent = [r.xadd("jobs", {"n": i}) for i in range(300)]
    taken = {}

    def work(name):
        mine = connect(port)
        taken[name] = []
        while True:
            read = mine.xreadgroup("workers", name, {"jobs": ">"}, count=7, block=500)
            if not read:
                return
            entries = read[0][1] if isinstance(read, list) else read["jobs"]
            for entry_id, fields in entries:
                taken[name].append((entry_id, fields["n"]))
                assert mine.xack("jobs", "workers", entry_id) == 1

    run_all([threading.Thread(target=work, args=(f"w{i}",)) for i in range(3)])
    everything = sorted(sum(taken.values(), []), key=lambda entry: int(entry[1]))
    assert everything == [(entry_id, str(i)) for i, entry_id in enumerate(sent)]
    assert r.xpending("jobs", "workers")["pending"] == 0
