"""redis-cli and redis-benchmark from Debian over TLS, with certificates made by openssl."""

import shutil
import socket
import subprocess
import time

import pytest

from conftest import SERVER, free_port

CERTIFIED = """
openssl ecparam -name prime256v1 -genkey -noout -out ca.key
openssl req -x509 -new -sha256 -key ca.key -days 2 -subj /CN=authority -out ca.crt
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' > names
openssl genrsa -out peer.key 2048
openssl req -new -sha256 -key peer.key -subj /CN=peer |
    openssl x509 -req -sha256 -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \\
        -extfile names -out peer.crt
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the certificates and the port of a server that asks clients for theirs."""
    assert shutil.which("openssl"), "openssl is not installed"
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["sh", "-ec", CERTIFIED], cwd=folder, check=True, capture_output=True)
    port = free_port()
    process = subprocess.Popen(
        [SERVER, "--port", "0", "--tls-port", str(port), "--tls-cert-file", "peer.crt",
         "--tls-key-file", "peer.key", "--tls-ca-cert-file", "ca.crt"],
        cwd=folder, stdout=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert process.poll() is None, "the server ended at once"
            time.sleep(0.05)
    yield folder, port
    process.terminate()
    assert process.wait(20) == 0, "SIGTERM must end the server cleanly"


def run(site, tool, *args, identity=("--cert", "peer.crt", "--key", "peer.key"), stdin=""):
    folder, port = site
    return subprocess.run(
        [tool, "-p", str(port), "--tls", "--cacert", "ca.crt", *identity, *args],
        cwd=folder, input=stdin, capture_output=True, text=True, timeout=120)


def test_redis_cli_talks(site):
    assert run(site, "redis-cli", "SET", "k", "v").stdout == "OK\n"
    assert run(site, "redis-cli", "-3", "GET", "k").stdout == "v\n"
    lines = "".join(f"SET key:{i} {i}\r\n" for i in range(1000))
    assert "errors: 0, replies: 1000" in run(site, "redis-cli", "--pipe", stdin=lines).stdout
    assert len(run(site, "redis-cli", "--scan", "--pattern", "key:*").stdout.split()) == 1000


def test_redis_cli_without_a_certificate_is_turned_away(site):
    done = run(site, "redis-cli", "PING", identity=())
    assert "PONG" not in done.stdout


def test_redis_cli_with_older_and_newer_suites(site):
    for option, suite in [("--tls-ciphers", "ECDHE-RSA-AES128-GCM-SHA256"),
                          ("--tls-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256")]:
        assert run(site, "redis-cli", option, suite, "PING").stdout == "PONG\n"


@pytest.mark.parametrize("pipeline", [1, 16])
def test_redis_benchmark(site, pipeline):
    done = run(site, "redis-benchmark", "-t", "set,get", "-n", "5000", "-c", "20",
               "-P", str(pipeline), "-d", "1000", "--csv")
    assert done.returncode == 0, done.stderr
    assert '"SET"' in done.stdout and '"GET"' in done.stdout
