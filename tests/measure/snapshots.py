#!/usr/bin/env python3
"""Saving and loading, with and without clients that write, beside a redis-server.

    snapshots.py [--keys 10000000] [--server target/release/orrery-server] [--seconds 10]
                 [--server-cpus 0] [--load-cpus 1] [--rounds 1] [--no-peer] [--json out.json]

Each server gets so many keys (DEBUG POPULATE, values of 16 bytes). Then: how long BGSAVE takes
alone, how long 50 clients that SET random keys of these have to wait (p99.9) with and without a
BGSAVE beside them, the longest step with and without one (ours), how much more memory there was,
and how long loading the file takes. Servers run one after the other, pinned with their children and
threads to the processors of `--server-cpus`; the clients to those of `--load-cpus`.

With more `--rounds` the waits with and without a save are measured so often, in turn, and of each
figure the least is given beside all of them: what other programs on the machine do only adds. Also
given is how long the engine's thread waited for a processor meanwhile, in milliseconds a second:
where that is much without a save already, the figures are of the neighbours.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

from pair import ROOT, frame, free_port

PATIENCE_SECS = 600
# Between two looks at a server that saves. A look takes some time of a processor.
LOOK_SECS = 0.1


class Server:
    def __init__(self, command, folder, arguments):
        self.port = free_port()
        words = [word.replace("{port}", str(self.port)) for word in command]
        self.process = subprocess.Popen(["taskset", "-c", arguments.server_cpus, *words], cwd=folder,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stream = None
        self.loading_secs = self.wait()

    def wait(self):
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE_SECS:
            try:
                self.stream = socket.create_connection(("127.0.0.1", self.port))
                if not self.call("DBSIZE").startswith(b"-"):
                    return time.monotonic() - began
            except OSError:
                pass
            time.sleep(0.005)
        raise SystemExit("the server does not come up")

    def call(self, *words):
        self.stream.settimeout(PATIENCE_SECS)
        self.stream.sendall(frame(*words))
        reply = self.stream.recv(1 << 16)
        if reply.startswith(b"$") and not reply.startswith(b"$-1"):
            head, _, rest = reply.partition(b"\r\n")
            wanted = int(head[1:]) + 2
            while len(rest) < wanted:
                rest += self.stream.recv(1 << 16)
            return rest[:-2]
        return reply.strip()

    def info(self, section, name):
        match = re.search(rf"^{name}:(.*?)\r?$", self.call("INFO", section).decode(), re.MULTILINE)
        return match.group(1) if match else None

    def processes(self):
        own = str(self.process.pid)
        path = pathlib.Path(f"/proc/{own}/task/{own}/children")
        return [own, *path.read_text(encoding="ascii").split()]

    def memory_kib(self):
        """What the server and its child have for themselves together: shared pages count once."""
        total = 0
        for process in self.processes():
            try:
                text = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8")
                total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE).group(1))
            except (OSError, AttributeError):
                pass
        return total

    def delay_ns(self):
        """How long the first thread, which is the engine's, waited for a processor so far."""
        path = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/schedstat")
        return int(path.read_text(encoding="ascii").split()[1])

    def end(self):
        self.process.terminate()
        self.process.wait()


def begin_save(server):
    """Begins a save in the background."""
    assert b"started" in server.call("BGSAVE")


def background_save(server, weighs=False):
    """Seconds that a save takes, and with `weighs` the most memory meanwhile."""
    began, most = time.monotonic(), 0
    begin_save(server)
    while server.info("persistence", "rdb_bgsave_in_progress") != "0":
        most = max(most, server.memory_kib() if weighs else 0)
        time.sleep(LOOK_SECS)
    assert server.info("persistence", "rdb_last_bgsave_status") == "ok"
    return time.monotonic() - began, most


def save_under_load(server, arguments):
    """Waits while a save goes on. Nothing looks at the server meanwhile: who reads how much memory
    a process has holds a lock that it may wait for, and a clients' processor is there for them."""
    row, _ = waits_ms(server, arguments, lambda: begin_save(server))
    row["save_lasted"] = server.info("persistence", "rdb_bgsave_in_progress") != "0"
    while server.info("persistence", "rdb_bgsave_in_progress") != "0":
        time.sleep(LOOK_SECS)
    assert server.info("persistence", "rdb_last_bgsave_status") == "ok"
    return row


def waits_ms(server, arguments, between=None):
    """p99.9 and the longest wait of 50 clients that write for so long, and the longest step of ours;
    `between` runs meanwhile."""
    keys, seconds = arguments.keys, arguments.seconds
    server.call("CONFIG", "RESETSTAT")
    script = pathlib.Path(__file__).with_name("waits.py")
    delay, began = server.delay_ns(), time.monotonic()
    words = ["taskset", "-c", arguments.load_cpus, "python3", str(script), str(server.port),
             str(keys), str(seconds)]
    client = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    time.sleep(min(1.0, seconds / 10))
    result = between() if between else None
    out, _ = client.communicate()
    row = json.loads(out)
    delay_ms = (server.delay_ns() - delay) / 1e6
    row["delay_ms_per_sec"] = round(delay_ms / (time.monotonic() - began), 3)
    row["longest_step_us"] = int(server.info("stats", "orrery_longest_step_usec") or 0)
    return row, result


def least(rows):
    """The least of each figure."""
    return {key: min(row[key] for row in rows) for key in rows[0] if key != "commands"}


def measure(name, command, arguments):
    keys = arguments.keys
    folder = tempfile.mkdtemp(prefix="orrery-snapshots-")
    try:
        server = Server(command, folder, arguments)
        server.call("DEBUG", "POPULATE", str(keys), "key", "16")
        server.call("CONFIG", "RESETSTAT")
        rows = {"name": name, "memory_mib": server.memory_kib() / 1024}
        rows["save_secs"], _ = background_save(server)
        rows["file_mb"] = os.path.getsize(f"{folder}/dump.rdb") / 1e6
        rows["longest_step_alone_us"] = server.info("stats", "orrery_longest_step_usec")
        before = server.memory_kib()
        _, most = background_save(server, weighs=True)
        rows["extra_alone_percent"] = 100 * (most / before - 1)
        without, during = [], []
        for _ in range(arguments.rounds):
            without.append(waits_ms(server, arguments)[0])
            during.append(save_under_load(server, arguments))
        before = server.memory_kib()
        _, (rows["save_loaded_secs"], most) = waits_ms(
            server, arguments, lambda: background_save(server, weighs=True))
        rows["extra_percent"] = 100 * (most / before - 1)
        rows["without"], rows["with"] = least(without), least(during)
        rows["rounds"] = {"without": without, "with": during}
        server.call("SAVE")
        server.process.kill()
        server.process.wait()
        again = Server(command, folder, arguments)
        rows["load_secs"] = again.loading_secs
        assert again.call("DBSIZE") == f":{keys}".encode()
        again.end()
        return rows
    finally:
        shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--server", default=str(ROOT / "target/release/orrery-server"))
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--server-cpus", default="0", help="as taskset takes them, like 0,1")
    parser.add_argument("--load-cpus", default="1")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--no-peer", action="store_true", help="no redis-server beside it")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    # What looks at the servers must not take their processors from them.
    os.sched_setaffinity(0, {int(cpu) for cpu in arguments.load_cpus.split(",")})
    common = ["--port", "{port}", "--enable-debug-command", "yes"]
    server = str(pathlib.Path(arguments.server).resolve())
    rows = [measure("orrery", [server, *common], arguments)]
    if not arguments.no_peer:
        rows.append(measure("redis", ["redis-server", *common, "--save", ""], arguments))
    for row in rows:
        print(f"{row['name']}: {json.dumps(row)}")
        print(f"{row['name']}: p99.9 with {row['with']['p99.9']:.2f} ms, without "
              f"{row['without']['p99.9']:.2f}; longest step "
              f"{row['with']['longest_step_us'] / 1000:.2f} and "
              f"{row['without']['longest_step_us'] / 1000:.2f} ms; "
              f"memory {row['extra_percent']:.2f} % more")
    if len(rows) == 2:
        ours, theirs = rows
        print(f"save, MB/s: {ours['file_mb'] / ours['save_secs']:.0f} and "
              f"{theirs['file_mb'] / theirs['save_secs']:.0f}")
        print(f"load, seconds: {ours['load_secs']:.2f} and {theirs['load_secs']:.2f}, "
              f"ratio of speeds {theirs['load_secs'] / ours['load_secs']:.2f}")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
