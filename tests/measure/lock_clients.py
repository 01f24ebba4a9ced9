#!/usr/bin/env python3
"""Acquires and releases a lock that nobody else wants, with three libraries in one run: orrery-lock,
rslock and the Lock of redis-py (if it can be imported), on one local server and on five.

For each: CPU time of the client, latency, packets that a server read for each pair; and round
trips: how often a pair waits, from its time over a wire of 50 ms. Builds tests/measure/lock-clients
with cargo. Libraries take turns in every round. Of CPU time and p50 the least of the rounds is
printed, since other processes only ever make them more; of the others the median.

  lock_clients.py [--server 'redis-server --port {port}'] [--rounds 3] [--pairs 5000]
"""

import argparse
import json
import os
import pathlib
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
WIRE_SECONDS = 0.025
REDIS_PY = """
import json, sys, time, redis
pairs, host, port = int(sys.argv[1]), *sys.argv[2].removeprefix("redis://").split(":")
client = redis.Redis(host=host, port=int(port))
spans = []
for number in range(-(-pairs // 10) + pairs):
    if number == -(-pairs // 10):
        spans, cpu = [], time.process_time()
    began = time.perf_counter()
    lock = client.lock("measured", timeout=30)
    lock.acquire()
    lock.release()
    spans.append(time.perf_counter() - began)
cpu = time.process_time() - cpu
spans.sort()
print(json.dumps({"p50_us": 1e6 * spans[pairs // 2], "p99_us": 1e6 * spans[pairs * 99 // 100],
                  "cpu_us": 1e6 * cpu / pairs}))
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    def __init__(self, command, folder):
        self.port = free_port()
        words = shlex.split(command.format(port=self.port))
        words += ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--dir", folder]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        while True:
            try:
                if b"+PONG" in self.ask("PING"):
                    return
            except OSError:
                pass
            time.sleep(0.02)

    def ask(self, line):
        with socket.create_connection(("127.0.0.1", self.port), 5) as stream:
            stream.sendall(line.encode() + b"\r\n")
            time.sleep(0.02)
            return stream.recv(65536)

    def figures(self):
        """Packets that were read so far."""
        fields = dict(line.split(":", 1) for line in self.ask("INFO stats").decode().split("\r\n")
                      if ":" in line)
        return int(fields.get("total_reads_processed", 0))


def slow_wire(port):
    """A port in front of another, whose bytes take 25 ms each way."""
    listener = socket.create_server(("127.0.0.1", 0))

    def copy(source, target):
        # Each packet leaves 25 ms after it came, however many are under way.
        queue, ready = [], threading.Condition()

        def send():
            while True:
                with ready:
                    while not queue:
                        ready.wait()
                    at, data = queue.pop(0)
                time.sleep(max(0, at - time.monotonic()))
                try:
                    target.sendall(data)
                except OSError:
                    return

        threading.Thread(target=send, daemon=True).start()
        while data := source.recv(65536):
            with ready:
                queue.append((time.monotonic() + WIRE_SECONDS, data))
                ready.notify()

    def accept():
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", port))
            for stream in (near, far):
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for pair in ((near, far), (far, near)):
                threading.Thread(target=copy, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def addresses(ports):
    return [f"redis://127.0.0.1:{port}" for port in ports]


def run(program, library, pairs, ports):
    if library == "redis-py":
        words = [sys.executable, "-c", REDIS_PY, str(pairs), *addresses(ports)]
    else:
        words = [program, library, str(pairs), *addresses(ports)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def measure(program, library, pairs, servers):
    before = [server.figures() for server in servers]
    figures = run(program, library, pairs, [server.port for server in servers])
    after = [server.figures() for server in servers]
    # What connecting and asking for these figures costs is shared by all pairs.
    packets = sum(after) - sum(before)
    figures["packets"] = packets / len(servers) / (pairs + -(-pairs // 10))
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="redis-server --port {port}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=5000)
    options = parser.parse_args()
    manifest = HERE / "lock-clients" / "Cargo.toml"
    target = os.environ.get("CARGO_TARGET_DIR", str(HERE.parents[1] / "target" / "lock-clients"))
    subprocess.run(["cargo", "build", "--quiet", "--release", "--manifest-path", manifest],
                   check=True, env={**os.environ, "CARGO_TARGET_DIR": target})
    program = os.path.join(target, "release", "orrery-lock-clients")
    libraries = ["orrery-lock", "orrery-lock-drop", "rslock"]
    has_redis_py = subprocess.run([sys.executable, "-c", "import redis"], capture_output=True)
    print("| servers | library | round trips | packets | CPU us | p50 us | p99 us |")
    print("|--:|---|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        servers = [Server(options.server, folder) for _ in range(5)]
        wires = [slow_wire(server.port) for server in servers]
        try:
            for count in (1, 5):
                several = list(libraries)
                if count == 1 and has_redis_py.returncode == 0:
                    several.append("redis-py")
                found = {library: [] for library in several}
                for _ in range(options.rounds):
                    for library in several:
                        found[library].append(
                            measure(program, library, options.pairs, servers[:count]))
                for library in several:
                    slow = run(program, library, 20, wires[:count])["p50_us"]
                    trips = slow / (2e6 * WIRE_SECONDS)
                    all_of = {name: [figures[name] for figures in found[library]]
                              for name in found[library][0]}
                    print(f"| {count} | {library} | {trips:.1f} "
                          f"| {statistics.median(all_of['packets']):.2f} "
                          f"| {min(all_of['cpu_us']):.1f} | {min(all_of['p50_us']):.0f} "
                          f"| {statistics.median(all_of['p99_us']):.0f} |", flush=True)
        finally:
            for server in servers:
                server.process.kill()
                server.process.wait()


if __name__ == "__main__":
    main()
