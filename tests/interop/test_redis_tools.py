"""redis-cli and redis-benchmark from Debian against the server."""

import re
import shutil
import subprocess

import pytest


def run(port, tool, *args, stdin=""):
    assert shutil.which(tool), f"{tool} is not installed (package redis-tools)"
    done = subprocess.run(
        [tool, "-p", str(port), *args], input=stdin, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_redis_cli_runs_commands(port):
    assert run(port, "redis-cli", "SET", "k", "v") == "OK\n"
    assert run(port, "redis-cli", "GET", "k") == "v\n"
    assert run(port, "redis-cli", "-3", "GET", "missing") == "\n"
    assert "redis_version" in run(port, "redis-cli", "INFO", "server")
    out = run(port, "redis-cli", stdin="SET a 1\nINCR a\nGET a\n")
    assert out.split() == ["OK", "2", "2"]


def test_redis_cli_scans_and_loads_in_bulk(port):
    lines = "".join(f"SET key:{i} {i}\r\n" for i in range(1000))
    assert "errors: 0, replies: 1000" in run(port, "redis-cli", "--pipe", stdin=lines)
    assert len(run(port, "redis-cli", "--scan", "--pattern", "key:*").split()) == 1000
    assert "Biggest string" in run(port, "redis-cli", "--bigkeys")


def test_redis_cli_shows_help_and_docs(port):
    out = run(port, "redis-cli", "COMMAND", "DOCS", "get")
    assert "summary" in out


@pytest.mark.parametrize("pipeline", [1, 16])
def test_redis_benchmark(port, pipeline):
    out = run(
        port, "redis-benchmark", "-t", "ping,set,get,incr,mset", "-n", "20000", "-c", "20",
        "-P", str(pipeline), "-r", "10000", "--csv",
    )
    rows = re.findall(r'^"([^"]+)","([\d.]+)"', out, re.MULTILINE)
    assert [name.split(" ")[0] for name, _ in rows] == [
        "PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET",
    ]
    assert all(float(rate) > 0 for _, rate in rows)
