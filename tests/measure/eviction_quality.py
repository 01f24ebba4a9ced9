#!/usr/bin/env python3
"""Compares how good evictions are: the hit rates of a cache in front of something slow.

Both servers get the same requests: keys drawn by Zipf's law, whose popularity shifts now and then;
a miss is followed by a SET. Memory is limited so that a part of the keys fits. The share of hits is
counted after a warm-up, for each policy, next to that of a perfect cache that holds as many keys.

As servers account for memory differently, the limit is set for each so that the same number of keys
fits: it is measured by filling the server before the run.

    tests/measure/eviction_quality.py                            a release build and redis-server
    tests/measure/eviction_quality.py --server PATH --json FILE  another build; figures as JSON too
    tests/measure/eviction_quality.py --keys 200000 --requests 1000000 --policies allkeys-lru

The clock that both look at is real time in seconds, so requests are spread over --seconds.
"""

import argparse
import bisect
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
POLICIES = ["allkeys-random", "allkeys-lru", "allkeys-lfu", "volatile-lru", "volatile-lfu",
            "volatile-random", "volatile-ttl"]
# Requests that are sent before their replies are read.
BATCH = 200


class Client:
    """A connection that sends many commands at once."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 10
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.reader = self.socket.makefile("rb")

    def send(self, commands):
        parts = []
        for words in commands:
            parts.append(b"*%d\r\n" % len(words))
            for word in words:
                parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.socket.sendall(b"".join(parts))

    def reply(self):
        line = self.reader.readline()
        kind, text = line[:1], line[1:-2]
        if kind == b"$":
            length = int(text)
            if length < 0:
                return None
            return self.reader.read(length + 2)[:-2]
        if kind == b"-":
            raise RuntimeError(text.decode())
        return text

    def call(self, *words):
        self.send([[word if isinstance(word, bytes) else str(word).encode() for word in words]])
        return self.reply()

    def used_memory(self):
        for line in self.call("INFO", "memory").decode().splitlines():
            if line.startswith("used_memory:"):
                return int(line.split(":")[1])
        raise RuntimeError("INFO tells no used_memory")


class Server:
    """A server of its own on a unix socket, ended with the block."""

    def __init__(self, program):
        self.folder = tempfile.mkdtemp(prefix="quality")
        self.path = os.path.join(self.folder, "s")
        command = [program, "--port", "0", "--unixsocket", self.path, "--save", ""]
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def __enter__(self):
        self.client = Client(self.path)
        return self.client

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def requests_of(arguments):
    """The numbers of the keys that are asked for, the same for every server and policy."""
    draw = random.Random(arguments.seed)
    sums, total = [], 0.0
    for index in range(1, arguments.keys + 1):
        total += 1 / index ** arguments.skew
        sums.append(total)
    names = list(range(arguments.keys))
    draw.shuffle(names)
    shift_every = max(1, arguments.requests // (arguments.shifts + 1))
    wanted = []
    for number in range(arguments.requests):
        if number and number % shift_every == 0:
            # A tenth of the keys changes its popularity.
            for _ in range(arguments.keys // 20):
                one, other = draw.randrange(arguments.keys), draw.randrange(arguments.keys)
                names[one], names[other] = names[other], names[one]
        wanted.append(names[bisect.bisect_left(sums, draw.random() * total)])
    return wanted


def set_command(policy, key, value):
    words = [b"SET", b"key:%d" % key, value]
    if policy == "volatile-ttl":
        # How soon a key expires has nothing to do with how often it is asked for.
        words += [b"EX", b"%d" % (1000 + (key * 7919) % 1000)]
    elif policy.startswith("volatile"):
        words += [b"EX", b"100000"]
    return words


def limit_for(client, policy, arguments, value):
    """The limit with which so many keys fit."""
    before = client.used_memory()
    client.send([set_command(policy, key, value) for key in range(arguments.fit)])
    for _ in range(arguments.fit):
        client.reply()
    limit = client.used_memory()
    client.call("FLUSHALL")
    # What a server counts beside the keys changes with them: what stays is counted, too.
    client.call("CONFIG", "SET", "maxmemory-policy", policy)
    for _ in range(4):
        client.call("CONFIG", "SET", "maxmemory", limit)
        for start in range(0, 3 * arguments.fit, BATCH):
            client.send([set_command(policy, key, value) for key in range(start, start + BATCH)])
            for _ in range(BATCH):
                client.reply()
        stay = int(client.call("DBSIZE"))
        client.call("CONFIG", "SET", "maxmemory", "0")
        client.call("FLUSHALL")
        limit = before + (limit - before) * arguments.fit // stay
    return limit, (limit - before) / arguments.fit


def hit_rate(program, policy, wanted, arguments):
    value = b"v" * arguments.value_bytes
    with Server(program) as client:
        limit, per_key = limit_for(client, policy, arguments, value)
        client.call("CONFIG", "SET", "maxmemory-samples", arguments.samples)
        client.call("CONFIG", "SET", "maxmemory", limit)
        hits, counted = 0, 0
        warm = len(wanted) // 2
        start = time.monotonic()
        for at in range(0, len(wanted), BATCH):
            batch = wanted[at:at + BATCH]
            client.send([[b"GET", b"key:%d" % key] for key in batch])
            missed = [key for key in batch if client.reply() is None]
            client.send([set_command(policy, key, value) for key in missed])
            for _ in missed:
                client.reply()
            if at >= warm:
                hits += len(batch) - len(missed)
                counted += len(batch)
            due = start + arguments.seconds * (at + len(batch)) / len(wanted)
            time.sleep(max(0, due - time.monotonic()))
        return {"hit_rate": hits / counted, "keys": int(client.call("DBSIZE")),
                "bytes_per_key": per_key}


def best_possible(wanted, fit):
    """The share of hits of a cache that always holds the keys that are asked for most."""
    later = wanted[len(wanted) // 2:]
    counts = {}
    for key in later:
        counts[key] = counts.get(key, 0) + 1
    return sum(sorted(counts.values(), reverse=True)[:fit]) / len(later)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=str(ROOT / "target/release/orrery-server"))
    parser.add_argument("--redis", default=shutil.which("redis-server"))
    parser.add_argument("--policies", nargs="+", default=POLICIES)
    parser.add_argument("--keys", type=int, default=100_000, help="keys that are asked for")
    parser.add_argument("--fit", type=int, default=20_000, help="keys that fit")
    parser.add_argument("--requests", type=int, default=400_000)
    parser.add_argument("--seconds", type=float, default=20, help="time of one run")
    parser.add_argument("--skew", type=float, default=1.0, help="the exponent of Zipf's law")
    parser.add_argument("--shifts", type=int, default=4, help="how often popularity changes")
    parser.add_argument("--samples", type=int, default=5, help="maxmemory-samples")
    parser.add_argument("--value-bytes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path, help="where the figures are written too")
    arguments = parser.parse_args()
    wanted = requests_of(arguments)
    servers = {"orrery": arguments.server}
    if arguments.redis:
        servers["redis"] = arguments.redis
    best = best_possible(wanted, arguments.fit)
    print(f"most popular {arguments.fit} keys known beforehand: {best:.4f}")
    print("policy".ljust(18) + "".join(name.rjust(10) for name in servers) + "   keys")
    figures = {}
    for policy in arguments.policies:
        rows = {name: hit_rate(program, policy, wanted, arguments)
                for name, program in servers.items()}
        figures[policy] = rows
        print(policy.ljust(18) + "".join(f"{row['hit_rate']:10.4f}" for row in rows.values())
              + "   " + " ".join(str(row["keys"]) for row in rows.values()), flush=True)
    if arguments.json:
        options = {key: value for key, value in vars(arguments).items() if key != "json"}
        arguments.json.write_text(
            json.dumps({"options": options, "best": best, "policies": figures}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
