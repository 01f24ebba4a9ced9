"""Two servers measured in turn: ours and redis-server, each pinned to one processor.

What is compared is the CPU time of the server for the same work, because on a busy machine the rate
says more of the neighbours than of the server. Rounds alternate (A B A B ...), every round has fresh
servers, and ratios are of medians; the spread of the rounds is shown beside them.
"""

import os
import pathlib
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
OURS = f"{ROOT}/target/release/orrery-server --port {{port}}"
PEER = 'redis-server --port {port} --save "" --appendonly no'


def cpu_seconds(process_id):
    """Time on the processor of all threads of a process, to the nanosecond."""
    total = 0
    for task in os.listdir(f"/proc/{process_id}/task"):
        with open(f"/proc/{process_id}/task/{task}/schedstat") as figures:
            total += int(figures.read().split()[0])
    return total / 1e9


def frame(*words):
    """A command in the form that clients send."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server that runs for one round."""

    def __init__(self, command, processor, more=()):
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory()
        words = shlex.split(command.format(port=self.port))
        self.process = subprocess.Popen(
            ["taskset", "-c", str(processor), *words, *more], cwd=self.folder.name,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.connect().close()
                return
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f"ended at once: {words}")
                time.sleep(0.05)
        self.stop()
        sys.exit(f"does not answer: {words}")

    def connect(self):
        stream = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


def in_turn(options, measure, more=()):
    """What `measure(server)` gives in each round, by "ours" and "peer"."""
    found = {"ours": [], "peer": []}
    for _ in range(options.rounds):
        for label, command in (("ours", options.ours), ("peer", options.peer)):
            server = Server(command, options.server_cpu, more)
            try:
                found[label].append(measure(server))
            finally:
                server.stop()
    return found


def summary(found, key):
    """Medians of a figure, their ratio, and the ratios of the single rounds, least and most."""
    values = {label: [each[key] for each in rounds] for label, rounds in found.items()}
    ours, peer = (statistics.median(values[label]) for label in ("ours", "peer"))
    singles = [a / b for a, b in zip(values["ours"], values["peer"])]
    return {"ours": ours, "peer": peer, "ratio": ours / peer,
            "least": min(singles), "most": max(singles)}


def add_options(parser):
    parser.add_argument("--ours", default=OURS, help="command with {port}; default: the release build")
    parser.add_argument("--peer", default=PEER, help="command with {port} of the other server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--server-cpu", default="0")
    parser.add_argument("--client-cpu", default="1")
    parser.add_argument("--json", help="also write the figures to this file")
