"""One orrery-server for all tests of this folder, on a free port, started from ORRERY_SERVER."""

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


@pytest.fixture(scope="session")
def port():
    number = free_port()
    process = subprocess.Popen([SERVER, "--port", str(number)], stdout=subprocess.DEVNULL)
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


@pytest.fixture(autouse=True)
def empty_server(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        s.sendall(b"FLUSHALL\r\n")
        assert s.recv(100) == b"+OK\r\n"
