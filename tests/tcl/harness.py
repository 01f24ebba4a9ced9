"""Runs test files of Redis's suite: stands in for the suite's own test server.

The suite has two halves: a server that hands out files and prints what becomes of the tests, and
clients (tclsh) that run a file and report each test over a socket. This is another server half,
because it must know which test hangs, get past it, and write down every result.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time

# Longest that one test may take before it counts as hanging, in seconds.
TEST_TIMEOUT = 100
# Most times that a file is begun again after a test hung or broke the client.
ATTEMPTS_MAX = 8
# Ports that a file may use which starts servers of its own.
PORTS_PER_FILE = 100
# What separates the elements of a Tcl list.
SPACES = " \t\n\v\f\r"


class Lost(Exception):
    """The client or the server under test is gone, or says nothing."""


def words(text):
    """The elements of a Tcl list."""
    found, at, escapes = [], 0, {"n": "\n", "t": "\t", "r": "\r"}
    while True:
        while at < len(text) and text[at] in SPACES:
            at += 1
        if at >= len(text):
            return found
        if text[at] == "{":
            start, depth = at + 1, 0
            while True:
                if text[at] == "\\":
                    at += 1
                elif text[at] == "{":
                    depth += 1
                elif text[at] == "}":
                    depth -= 1
                at += 1
                if depth == 0:
                    break
            found.append(text[start:at - 1])
            continue
        quoted = text[at] == '"'
        at += quoted
        word = []
        while at < len(text) and (text[at] != '"' if quoted else text[at] not in SPACES):
            if text[at] == "\\":
                at += 1
                word.append(escapes.get(text[at], text[at]))
            else:
                word.append(text[at])
            at += 1
        at += quoted
        found.append("".join(word))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A server under test, in a folder of its own; `tls` is what it needs to speak nothing else."""

    def __init__(self, command, folder, tls=()):
        self.port = free_port()
        self.log = pathlib.Path(folder) / "server.log"
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            ports = ["--port", str(self.port)]
            if tls:
                ports = ["--port", "0", "--tls-port", str(self.port), *tls]
            self.process = subprocess.Popen(
                [*command, *ports, "--dir", str(folder)],
                stdout=log, stderr=log, cwd=folder)
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.stop()
        raise Lost(f"the server does not answer, see {self.log}")

    def is_alive(self):
        return self.process.poll() is None

    def stop(self):
        if self.is_alive():
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Client:
    """One tclsh that runs files against a server."""

    def __init__(self, tree, tclsh, where, options, log, server):
        listener = socket.create_server(("127.0.0.1", 0))
        command = [tclsh, "tests/test_helper.tcl", *where,
                   "--durable", *options, "--client", str(listener.getsockname()[1])]
        is_redis = pathlib.Path(server[0]).name == "redis-server"
        checker = "redis-check-aof" if is_redis else f"{server[0]} --check-aof"
        environment = {**os.environ, "TEST_SERVER": server[0], "TEST_CHECK_AOF": checker,
                       "TEST_OPTIONS": " ".join(server[1:])}
        with log.open("ab") as out:
            self.process = subprocess.Popen(command, cwd=tree, stdout=out, stderr=out,
                                            stdin=subprocess.DEVNULL, start_new_session=True,
                                            env=environment)
        listener.settimeout(30)
        self.socket, _ = listener.accept()
        listener.close()
        self.socket.settimeout(TEST_TIMEOUT)
        self.pending, self.half_line_end = b"", b""
        assert self.message()[0] == "ready"

    def _more(self):
        try:
            got = self.socket.recv(65536)
        except TimeoutError as error:
            raise Lost(f"nothing for {TEST_TIMEOUT} seconds") from error
        except OSError as error:
            raise Lost(str(error)) from error
        if not got:
            raise Lost("the test client ended")
        # tclsh writes a line end as two bytes, which its lengths do not count.
        got = self.half_line_end + got
        self.half_line_end = got[-1:] if got.endswith(b"\r") else b""
        self.pending += got.removesuffix(b"\r").replace(b"\r\n", b"\n")

    def message(self):
        """The next message: its kind, what it says, the milliseconds that it took."""
        while b"\n" not in self.pending:
            self._more()
        length, self.pending = self.pending.split(b"\n", 1)
        while len(self.pending) < int(length):
            self._more()
        payload, self.pending = self.pending[:int(length)], self.pending[int(length):]
        kind, data, elapsed = words(payload.decode("latin-1"))
        return kind, data, int(elapsed)

    def run(self, file):
        payload = f"run {file}".encode()
        self.socket.sendall(b"%d\n%s" % (len(payload), payload))

    def close(self):
        self.socket.close()
        # Its group: a test may have children of its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Results:
    """What became of the tests of a file; a repeated name is told apart by its number."""

    def __init__(self, file):
        self.file = file
        self.tests = {}
        self.counts = {}
        self.notes = []

    def begin(self, name):
        self.counts[name] = self.counts.get(name, 0) + 1
        count = self.counts[name]
        return name if count == 1 else f"{name} #{count}"

    def end(self, name, outcome, millis=0, detail=""):
        self.tests[name] = {"file": self.file, "test": name, "outcome": outcome,
                            "millis": millis, "detail": detail}


def attempt(client, server, file, results):
    """Runs the file once. Returns the name of the test that hung or broke the client, if any."""
    client.run(file)
    current, name = None, None
    try:
        while True:
            kind, data, millis = client.message()
            if kind == "testing":
                name, current = data, results.begin(data)
            elif kind == "ok" and current is not None:
                results.end(current, "ok", millis)
                current = None
            elif kind == "err" and current is not None:
                results.end(current, "err", detail=data)
                current = None
            elif kind == "err":
                results.notes.append(f"outside any test: {data}")
            elif kind == "skip":
                results.begin(data)
            elif kind == "exception":
                raise Lost(data)
            elif kind == "done":
                return None
            if server is not None and not server.is_alive():
                raise Lost("the server under test ended")
    except Lost as lost:
        if current is None:
            results.notes.append(f"outside any test: {lost}")
            return None
        results.end(current, "err", detail=f"{name}: {lost}")
        return name


def run_file(tree, tclsh, command, file, options, skip, folder, tls=(), base_port=None):
    """Runs a file on a fresh server, and again without each test that breaks the run. With
    `base_port` the file starts its servers itself, with `command`, on ports from there on."""
    broken = []
    kept = {}
    for number in range(ATTEMPTS_MAX):
        results = Results(file)
        server = None if base_port else Server(command, folder / str(number), tls)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            skips = [word for name in [*skip, *broken] for word in ("--skiptest", name)]
            where = (["--host", "127.0.0.1", "--port", str(server.port)] if server else
                     ["--baseport", str(base_port), "--portcount", str(PORTS_PER_FILE)])
            client = Client(tree, tclsh, where, [*options, *skips], folder / "tclsh.log", command)
            try:
                breaking = attempt(client, server, file, results)
            finally:
                client.close()
        finally:
            if server:
                server.stop()
        for name in broken:
            results.tests.setdefault(name, kept[name])
        if breaking is None:
            return results
        kept[breaking] = results.tests[breaking]
        broken.append(breaking)
    results.notes.append(f"given up after {ATTEMPTS_MAX} attempts: {broken}")
    return results
