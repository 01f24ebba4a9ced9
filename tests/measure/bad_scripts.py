#!/usr/bin/env python3
"""Measures how long other clients wait while a bad script runs.

Starts a server, lets one client run scripts that loop, recurse, allocate without end, match a
hopeless pattern or return what cannot be replied, and has another client ask PING all the time.
Prints for each script the longest wait for an answer (BUSY counts as one), and what became of the
script, which is killed after a second if it has not ended by itself.

  tests/measure/bad_scripts.py target/release/orrery-server
  tests/measure/bad_scripts.py --json target/release/orrery-server
  tests/measure/bad_scripts.py redis-server

`busy-reply-threshold` is set to 20 ms: until then others wait, as in Redis (which waits 5 s).
"""

import argparse
import json
import socket
import subprocess
import sys
import time

SCRIPTS = {
    "loops": "while true do end",
    "loops in pcall": "while true do pcall(function() while true do end end) end",
    "loops in coroutines": "while true do coroutine.wrap(function() while true do end end)() end",
    "calls commands without end": "while true do redis.call('INCR', 'n') end",
    "writes new keys without end": "local i = 0 while true do i = i + 1 redis.call('SET', 'k' .. i, i) end",
    "recurses": "local function f() return 1 + f() end return f()",
    "recurses in pcall": "local function f() return pcall(f) end return f()",
    "allocates tables": "local t = {} while true do t[#t + 1] = {} end",
    "allocates strings": "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
    "doubles a string": "local s = 'x' while true do s = s .. s end",
    "repeats a string": "return ('x'):rep(2^31)",
    "concatenates": "local t = {} for i = 1, 1e6 do t[i] = ('x'):rep(1000) end return table.concat(t)",
    "returns itself": "local t = {} t[1] = t return t",
    "returns a deep table": "local t = {} for i = 1, 1e5 do t = {t} end return t",
    "encodes itself": "local t = {} t.a = t return cjson.encode(t)",
    "packs itself": "local t = {} t[1] = t return cmsgpack.pack(t)",
    "decodes deep JSON": "return cjson.decode(('['):rep(1e6))",
    "unpacks too much": "local t = {} for i = 1, 1e6 do t[i] = i end return {unpack(t)}",
    "matches a hopeless pattern": "return string.find(('a'):rep(4000), ('a?'):rep(2000) .. 'b')",
    "matches a slow pattern": "return string.find(('a'):rep(1e5), ('.-'):rep(20) .. 'b')",
    "sorts with a bad order": "local t = {} for i = 1, 1e6 do t[i] = i end "
    "table.sort(t, function() return true end)",
    "is killed in a transaction": "while true do end",
}


def encode(*words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word.encode() if isinstance(word, str) else word
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(120)

    def call(self, *words):
        self.socket.sendall(encode(*words))
        return self.read()

    def read(self):
        return self.socket.recv(1 << 16)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(program):
    port = free_port()
    options = ["--port", str(port), "--save", "", "--busy-reply-threshold", "20"]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server, port
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{program} did not start")


def measure(port, name, script):
    """The longest wait of another client in milliseconds, and how the script ended."""
    bad, other = Client(port), Client(port)
    other.call("FLUSHALL")
    if name.endswith("transaction"):
        bad.call("MULTI")
        bad.call("EVAL", script, "0")
        bad.socket.sendall(encode("EXEC"))
    else:
        bad.socket.sendall(encode("EVAL", script, "0"))
    begin, longest, killed = time.monotonic(), 0.0, ""
    bad.socket.setblocking(False)
    while True:
        asked = time.monotonic()
        other.call("PING")
        longest = max(longest, time.monotonic() - asked)
        try:
            reply = bad.read()
            break
        except BlockingIOError:
            pass
        if time.monotonic() - begin > 1 and not killed:
            answer = other.call("SCRIPT", "KILL").decode().strip()
            killed = f"SCRIPT KILL: {answer.split(' ')[0]}, "
            if answer.startswith("-UNKILLABLE"):
                return longest * 1000, killed + "left running", False
        time.sleep(0.002)
    text = reply.decode(errors="replace").split("\r\n")[0][:60]
    return longest * 1000, killed + text, True


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", help="the server to start")
    parser.add_argument("--json", action="store_true", help="print an object for each script")
    options = parser.parse_args()
    server, port = start(options.program)
    try:
        for name, script in SCRIPTS.items():
            wait_ms, end, usable = measure(port, name, script)
            if options.json:
                print(json.dumps({"script": name, "longest_wait_ms": wait_ms, "end": end}))
            else:
                print(f"{name:30} {wait_ms:8.1f} ms  {end}", flush=True)
            if not usable:
                server.kill()
                server.wait()
                server, port = start(options.program)
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
