"""One orrery-server for all tests of this folder, on a free port, started from ORRERY_SERVER."""

import contextlib
import os
import pathlib
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVER = os.environ.get("ORRERY_SERVER", str(ROOT / "target/release/orrery-server"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def running_server(folder, *arguments):
    """A server on a port that was free; the port."""
    number = free_port()
    process = subprocess.Popen(
        [SERVER, "--port", str(number), "--save", "", *arguments],
        cwd=folder, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", number), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, "the server ended at once"
                time.sleep(0.05)
        else:
            raise AssertionError("the server does not answer")
        yield number
        process.terminate()
        assert process.wait(20) == 0, "SIGTERM must end the server cleanly"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def port(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("server")) as number:
        yield number


@pytest.fixture(autouse=True)
def empty_server(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        s.sendall(b"FLUSHALL\r\n")
        assert s.recv(100) == b"+OK\r\n"
