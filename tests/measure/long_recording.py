#!/usr/bin/env python3
"""A long recording under a mixed load, and its replay: every byte of every reply must be the same.

    long_recording.py [--commands 10000000] [--server target/release/orrery-server]
                      [--replay target/release/orrery-sim] [--seed 1] [--json out.json]

redis-benchmark sends the bulk, in pipelines of 16 from 50 clients. Beside it clients do what has an
order, a time or a memory of its own: transactions that watch, scripts that loop and are killed,
blocked clients and time-outs, keys that expire, messages, tracked caches, eviction, half-sent and
malformed commands, connections that are cut. Exit code: that of `orrery-sim replay`.
"""

import argparse
import json
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time

from pair import ROOT, frame, free_port

BULK = [
    ["-t", "set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,mset"],
    ["eval", "redis.call('INCRBY', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])", "1",
     "n:__rand_int__", "3"],
    ["set", "e:__rand_int__", "xxxxxxxxxxxxxxxx", "px", "30"],
    ["lrange", "mylist", "0", "20"],
    ["xadd", "stream", "maxlen", "1000", "*", "field", "__rand_int__"],
]
# Requests of each of them, and of each built-in test, in one round.
BULK_REQUESTS = 100_000


class Odd:
    """A client that does unusual things, drawn from a seed."""

    def __init__(self, port, seed):
        self.port = port
        self.random = random.Random(seed)
        self.done = threading.Event()
        self.stream = None
        self.kinds = [self.transaction, self.expiring, self.blocked, self.scripted, self.looping,
                      self.messages, self.tracked, self.structures, self.malformed, self.cut,
                      self.memory, self.introspection, self.scans]

    def connect(self):
        stream = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream

    def send(self, *commands, stream=None, wait=0.02):
        """Sends commands in one go, and reads what comes within a moment: the replay compares."""
        stream = stream or self.stream
        stream.sendall(b"".join(frame(*words) for words in commands))
        stream.settimeout(wait)
        try:
            while stream.recv(1 << 20):
                stream.settimeout(0.002)
        except TimeoutError:
            pass

    def key(self, kind="k"):
        return f"{kind}:{self.random.randrange(200)}"

    def run(self):
        while not self.done.is_set():
            try:
                with self.connect() as self.stream:
                    while not self.done.is_set():
                        self.random.choice(self.kinds)()
                        time.sleep(0.01)
            except (ConnectionError, TimeoutError):
                pass

    def transaction(self):
        key = self.key("n")
        self.send(["WATCH", key])
        self.send(["MULTI"], ["INCR", key], ["LPUSH", self.key("l"), "a"], ["NOSUCH"],
                  ["EXEC"])
        self.send(["WATCH", key], ["MULTI"], ["INCR", key], ["EXEC"], ["UNWATCH"])

    def expiring(self):
        for _ in range(10):
            key = self.key("t")
            self.send(["SET", key, "v", "PX", self.random.randrange(1, 60)],
                      ["PTTL", key], ["GETEX", key, "PX", 5], ["TTL", key])

    def blocked(self):
        with self.connect() as other:
            self.send(["BLPOP", "b:1", "b:2", "0.05"], ["GET", "after"], stream=other)
            if self.random.random() < 0.5:
                self.send(["RPUSH", "b:2", "x", "y"])
            self.send(["BZPOPMIN", "z:1", "0.01"], ["XREAD", "BLOCK", 5, "STREAMS", "s", "$"],
                      stream=other)

    def scripted(self):
        self.send(["EVAL", "local t = {} for i = 1, ARGV[1] do t[i] = math.random(1000) "
                   "redis.call('HSET', KEYS[1], t[i], i) end return t", 1, self.key("h"),
                   self.random.randrange(1, 500)],
                  ["EVAL", "return cjson.encode({1, {a = 2}, redis.call('TIME')})", 0],
                  ["EVAL", "return redis.pcall('LPUSH', KEYS[1], 'x')", 1, self.key("h")],
                  ["EVAL", "local x = 0 for i = 1, 2e5 do x = x + i end return x", 0])

    def looping(self):
        if self.random.random() > 0.03:
            return
        with self.connect() as other:
            self.send(["EVAL", "redis.call('SET', 'loop', 1) while true do end", 0], stream=other)
            time.sleep(0.1)
            self.send(["GET", "loop"], ["SCRIPT", "KILL"], ["EXISTS", "loop"])
            self.send(["PING"], stream=other)

    def messages(self):
        with self.connect() as other:
            self.send(["SUBSCRIBE", "c:1", "c:2"], ["PSUBSCRIBE", "c:*"], stream=other)
            self.send(["PUBLISH", "c:2", "hello"], ["PUBSUB", "NUMSUB", "c:1"])
            self.send(["UNSUBSCRIBE"], stream=other)

    def tracked(self):
        with self.connect() as other:
            self.send(["HELLO", 3], ["CLIENT", "TRACKING", "ON"], ["GET", self.key()],
                      ["MGET", self.key(), self.key("n")], stream=other)
            self.send(["SET", self.key(), "v"], ["INCR", self.key("n")])
            self.send(["PING"], stream=other)

    def structures(self):
        number = self.random.randrange(1000)
        self.send(["ZADD", "z", number, f"m{number}"], ["ZRANGEBYSCORE", "z", 10, 50],
                  ["GEOADD", "g", number / 10, number / 20, f"p{number}"],
                  ["GEOSEARCH", "g", "FROMLONLAT", 15, 7, "BYRADIUS", 300, "km", "ASC"],
                  ["PFADD", "p", number], ["PFCOUNT", "p"], ["SETBIT", "bits", number, 1],
                  ["BITCOUNT", "bits"], ["XADD", "s", "*", "f", number],
                  ["SORT", "mylist", "LIMIT", 0, 5, "ALPHA"], ["DUMP", "z"],
                  ["COPY", "z", "z:copy", "REPLACE"], ["SPOP", "myset"], ["RANDOMKEY"],
                  ["HRANDFIELD", self.key("h"), 3], ["UNLINK", self.key("h")],
                  ["HPEXPIRE", self.key("h"), 20, "FIELDS", 1, number])

    def malformed(self):
        with self.connect() as other:
            other.sendall(self.random.choice(
                [b"*1\r\n$-5\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\n", b"GET 'open\r\n", b"\x00\xff\r\n",
                 b"*1000000000\r\n", b"PING\r\nSET a b\r\nGET a\r\n"]))
            time.sleep(0.002)

    def cut(self):
        with self.connect() as other:
            self.send(["CLIENT", "SETNAME", "victim"], stream=other)
            self.send(["CLIENT", "LIST"], ["CLIENT", "KILL", "TYPE", "pubsub"])
            other.sendall(b"*2\r\n$3\r\nGET\r\n$100\r\nabc")

    def memory(self):
        if self.random.random() > 0.1:
            return
        self.send(["CONFIG", "SET", "maxmemory-policy", "allkeys-lfu", "maxmemory", "3mb"])
        self.send(*([["SET", f"big:{i}", b"x" * 5000] for i in range(300)]))
        self.send(["CONFIG", "SET", "maxmemory", "0"], ["FLUSHDB", "ASYNC"])

    def introspection(self):
        self.send(["INFO"], ["SLOWLOG", "GET"], ["LATENCY", "HISTOGRAM", "get"], ["MEMORY", "STATS"],
                  ["OBJECT", "FREQ", self.key()], ["OBJECT", "IDLETIME", self.key()],
                  ["CLIENT", "LIST"], ["ACL", "LOG"], ["COMMAND", "COUNT"])

    def scans(self):
        self.send(["SCAN", self.random.randrange(1 << 40), "COUNT", 100], ["KEYS", "k:1*"],
                  ["HSCAN", self.key("h"), 0], ["OBJECT", "ENCODING", "mylist"])


def processed(port):
    """How many commands the server has run; asks again while a script keeps it busy."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as stream:
        text = b"-BUSY\r\n"
        while text.startswith(b"-BUSY"):
            time.sleep(0.05)
            stream.sendall(frame("INFO", "stats"))
            text = stream.recv(1 << 16)
            while not text.endswith(b"\r\n"):
                text += stream.recv(1 << 16)
    return int(text.split(b"total_commands_processed:")[1].split(b"\r\n")[0])


def bulk(port, commands):
    """Has redis-benchmark send until the server has run so many; it ends early at a BUSY or OOM."""
    while processed(port) < commands:
        for words in BULK:
            subprocess.run(["redis-benchmark", "-p", str(port), "-q", "-P", "16", "-r", "100000",
                            "-n", str(min(BULK_REQUESTS, commands)), *words], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        print(f"\r{processed(port):,} commands", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def record(arguments, folder):
    """Runs the load against a server that records; what was sent, and the path of the recording."""
    port = free_port()
    path = pathlib.Path(folder) / "flight"
    server = subprocess.Popen(
        [arguments.server, "--port", str(port), "--record-file", str(path), "--record-files-max",
         "1000", "--busy-reply-threshold", "50", "--enable-debug-command", "yes"],
        cwd=folder, stdout=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    odd = [Odd(port, arguments.seed * 1000 + index) for index in range(2)]
    threads = [threading.Thread(target=client.run) for client in odd]
    for thread in threads:
        thread.start()
    try:
        bulk(port, arguments.commands)
    finally:
        for client in odd:
            client.done.set()
        for thread in threads:
            thread.join()
    sent = processed(port)
    server.terminate()
    server.wait(120)
    return sent, path


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=10_000_000)
    parser.add_argument("--server", default=f"{ROOT}/target/release/orrery-server")
    parser.add_argument("--replay", default=f"{ROOT}/target/release/orrery-sim")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sent, path = record(arguments, folder)
        size = sum(part.stat().st_size for part in pathlib.Path(folder).glob("flight.*"))
        print(f"{sent:,} commands, {size / 1e6:,.0f} MB recorded")
        run = subprocess.run([arguments.replay, "replay", "--json", str(path)],
                             capture_output=True, text=True, check=False)
        print(run.stdout, run.stderr)
        if arguments.json:
            figures = {"commands": sent, "bytes": size, "replay": json.loads(run.stdout)}
            pathlib.Path(arguments.json).write_text(json.dumps(figures))
        return run.returncode


if __name__ == "__main__":
    sys.exit(main())
