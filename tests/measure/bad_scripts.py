#!/usr/bin/env python3
"""Measures how long other clients wait while a bad script runs.

Starts a server, lets one client run scripts that loop, recurse, allocate without end, do much with
one instruction or return what cannot be replied, and has another client ask PING all the time.
Prints for each script the longest wait for an answer (BUSY counts as one), how much the server
used of a processor during the wait in which that was most (on a machine with other work it waits
for a processor, too), and what became of the script, which is killed after a second if it has not
ended by itself.

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
    "writes new keys without end": "local i = 0 while true do i = i + 1 redis.call('SET', 'k' "
    ".. i, i) end",
    "recurses": "local function f() return 1 + f() end return f()",
    "recurses in pcall": "local function f() return pcall(f) end return f()",
    "allocates tables": "local t = {} while true do t[#t + 1] = {} end",
    "allocates strings": "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
    "doubles a string": "local s = 'x' while true do s = s .. s end",
    "repeats a string": "return ('x'):rep(2^31)",
    "concatenates": "local t = {} for i = 1, 1e6 do t[i] = ('x'):rep(1000) end return "
    "table.concat(t)",
    "returns itself": "local t = {} t[1] = t return t",
    "returns a deep table": "local t = {} for i = 1, 1e5 do t = {t} end return t",
    "encodes itself": "local t = {} t.a = t return cjson.encode(t)",
    "packs itself": "local t = {} t[1] = t return cmsgpack.pack(t)",
    "decodes deep JSON": "return cjson.decode(('['):rep(1e6))",
    "unpacks too much": "local t = {} for i = 1, 1e6 do t[i] = i end return {unpack(t)}",
    "matches a hopeless pattern": "return string.find(('a'):rep(4000), ('a?'):rep(2000) .. 'b')",
    "matches a slow pattern": "return string.find(('a'):rep(1e5), ('.-'):rep(20) .. 'b')",
    "sorts with a bad order": "local t = {} for i = 1, 1e6 do t[i] = i end table.sort(t, "
    "function() return true end)",
    "joins a long string": "local s = ('x'):rep(2e7) while true do local t = s .. 'y' end",
    "joins many strings at once": "local s = ('x'):rep(1e5) local f = loadstring('local s = ... "
    "return ' .. ('s..'):rep(190) .. 's') while true do f(s) end",
    "strings that hash alike": "local x = ('x'):rep(1000) local t = {} for i = 1, 1e9 do t[i] = "
    "x .. i .. '0000' end",
    "long strings that hash alike": "local x = ('x'):rep(30000) local t = {} for i = 1, 1e9 do "
    "t[#t%1000+1] = x .. i .. '0000' end",
    "keys that hash alike": "local x = ('x'):rep(1000) local t = {} for i = 1, 1e9 do t[x .. i "
    ".. '0000'] = true end",
    "joins tables of strings that hash alike": "local x = ('x'):rep(1000) local t = {} for i = "
    "1, 1e9 do t[i] = table.concat{x, i, '0000'} end",
    "formats strings that hash alike": "local x = ('x'):rep(1000) local t = {} for i = 1, 1e9 "
    "do t[i] = string.format('%s%d0000', x, i) end",
    "replaces in strings that hash alike": "local x = ('x'):rep(1000) local t, i = {}, 0 "
    "(('a'):rep(1e6)):gsub('.', function() i = i + 1 t[i] = x .. i .. '0000' end)",
    "encodes strings that hash alike": "local x = ('x'):rep(1000) local t = {} for i = 1, 1e9 "
    "do t[i] = cjson.encode(x .. i .. '000000') end",
    "decodes strings that hash alike": "local x = ('x'):rep(1000) local t = {} for i = 1, 30000 "
    "do t[i] = '\"' .. x .. i .. '0000\"' end return #cjson.decode('[' .. table.concat(t, ',') .. "
    "']')",
    "compiles strings that hash alike": "local x = ('x'):rep(1000) local t = {} for i = 1, "
    "30000 do t[i] = 'local a = \"' .. x .. i .. '0000\"' end local s = 'do ' .. table.concat(t, "
    "' end do ') .. ' end' while true do loadstring(s) end",
    "reads strings that hash alike": "local x = ('x'):rep(1000) for i = 1, 20000 do "
    "redis.call('RPUSH', 'l', x .. i .. '0000') end collectgarbage() while true do "
    "redis.call('LRANGE', 'l', 0, -1) end",
    "reads a big value": "local v = ('x'):rep(1e7) redis.call('SET', 'k', v) while true do v = "
    "redis.call('GET', 'k') end",
    "reads a list of a million": "for i = 1, 200 do redis.call('RPUSH', 'l', "
    "unpack(cjson.decode('[' .. ('1,'):rep(4999) .. '1]'))) end while true do "
    "redis.call('LRANGE', 'l', 0, -1) end",
    "reads a hash of a million": "redis.setresp(3) for i = 1, 200 do local t = {} for j = 1, "
    "2500 do t[2*j-1] = i .. ':' .. j t[2*j] = j end redis.call('HSET', 'h', unpack(t)) end while "
    "true do redis.call('HGETALL', 'h') end",
    "rehashes a big table": "local t = {} for i = 1, 2^18 do t['k'..i]=1 end local i=0; while "
    "true do i=i+1; t['a'..i]=1; t['a'..i]=nil end",
    "inserts at the front": "local t = {} for i = 1, 1e6 do table.insert(t, 1, i) end",
    "inserts before the front": "local t = {} for i = 1, 1e6 do t[i] = i end table.insert(t, "
    "-2^31, 1)",
    "removes at the front": "local t = {} for i = 1, 1e6 do t[i] = i end for i = 1, 1e6 do "
    "table.remove(t, 1) end",
    "reverses a long string": "local s = ('x'):rep(2e7) while true do local t = s:reverse() end",
    "raises a long string": "local s = ('x'):rep(2e7) while true do local t = s:upper() end",
    "cuts a long string": "local s = ('x'):rep(2e7) while true do local t = s:sub(2) end",
    "bytes of a long string": "local s = ('x'):rep(2e7) while true do local t = s:byte(1, 7000) "
    "end",
    "compares long strings": "local s = ('x'):rep(2e7) local a, b = s .. 'a', s .. 'b' while "
    "true do local t = a < b end",
    "sorts long strings": "local s = ('x'):rep(2e6) local t = {} for i = 1, 10 do t[i] = s .. i "
    "end while true do table.sort(t) end",
    "looks for what is next in an emptied table": "local t = {} for i = 1, 2e6 do t[i] = 1 end "
    "for i = 1, 2e6 do t[i] = nil end while true do next(t) end",
    "empties a big table": "local t = {} for i = 1, 1e6 do t['a' .. i] = 1 end local k = "
    "next(t) while k do t[k] = nil k = next(t) end",
    "reads a number of many digits": "local s = ('1'):rep(2e7) while true do tonumber(s) end",
    "reads digits of another base": "local s = ('1'):rep(2e7) while true do tonumber(s, 36) end",
    "adds to a number of many digits": "local s = ('1'):rep(2e7) while true do local x = s + 0 end",
    "calls with many arguments": "local t = {} for i = 1, 7000 do t[i] = i end while true do "
    "(function(...) end)(unpack(t)) end",
    "selects of many arguments": "local t = {} for i = 1, 7000 do t[i] = i end local function "
    "f(...) while true do select(-1, ...) end end f(unpack(t))",
    "characters of many arguments": "local t = {} for i = 1, 7000 do t[i] = 65 end while true "
    "do string.char(unpack(t)) end",
    "ands of many arguments": "local t = {} for i = 1, 7000 do t[i] = i end while true do "
    "bit.band(unpack(t)) end",
    "long chain of __index": "local t = {} for i = 1, 1e5 do t = setmetatable({}, {__index = "
    "t}) end while true do local x = t.a end",
    "chain of coroutines": "local function f(n) if n == 0 then while true do end end return "
    "coroutine.wrap(f)(n - 1) end return f(1e6)",
    "keeps coroutines": "local t = {} while true do t[#t + 1] = coroutine.create(function() "
    "end) end",
    "compiles nested parentheses": "return loadstring('return ' .. ('('):rep(1e6) .. '1' .. "
    "(')'):rep(1e6))",
    "compiles nested tables": "return loadstring('return ' .. ('{'):rep(1e6) .. ('}'):rep(1e6))",
    "compiles a long text": "local s = ('local a = 1; do end '):rep(1e6) while true do "
    "loadstring(s) end",
    "compiles a long condition": "return loadstring('return ' .. ('a and '):rep(3e5) .. 'a')",
    "compiles many constants": "local t = {} for i = 1, 2e5 do t[i] = i + 0.5 end local s = "
    "'return {' .. table.concat(t, ',') .. '}' while true do loadstring(s) end",
    "formats numbers of many digits": "while true do string.format('%99.99f', 1e308) end",
    "quotes a long string": "local s = ('\\n'):rep(1e7) while true do string.format('%q', s) end",
    "largest index of a big table": "local t = {} for i = 1, 2e6 do t[i] = 1 end while true do "
    "table.maxn(t) end",
    "calls for each element": "local t = {} for i = 1, 1e6 do t[i] = 'a' end while true do "
    "table.foreach(t, tostring) end",
    "sorts with a comparison in C": "local t = {} for i = 1, 1e6 do t[i] = i * 7919 % 1000003 "
    "end while true do table.sort(t, rawequal) end",
    "collects without end": "local t = {} for i = 1, 1e6 do t[i] = {} end while true do "
    "collectgarbage() end",
    "collects in big steps": "local t = {} for i = 1, 1e6 do t[i] = {} end while true do "
    "collectgarbage('step', 1e9) end",
    "collects eagerly": "collectgarbage('setpause', 0) collectgarbage('setstepmul', 1e9) local "
    "t = {} for i = 1, 1e6 do t[i] = {} end while true do local x = {} end",
    "collects weak tables": "local t = setmetatable({}, {__mode='k'}) for i = 1, 1e6 do t[{}] = "
    "i end while true do collectgarbage('step', 1e6) end",
    "hashes a long string": "local s = ('x'):rep(2e7) while true do redis.sha1hex(s) end",
    "logs a long string": "local s = ('x'):rep(2e7) while true do redis.log(redis.LOG_DEBUG, s) "
    "end",
    "asks for rights with a long string": "local s = ('x'):rep(2e7) while true do "
    "redis.acl_check_cmd('SET', 'k', s) end",
    "writes a long string": "local s = ('x'):rep(2e7) while true do redis.pcall('SET', 'k', s) end",
    "raises a long error": "local s = ('x'):rep(2e7) while true do pcall(error, s) end",
    "handles errors without end": "while true do xpcall(function() error('a') end, function() "
    "while true do end end) end",
    "errors in handlers of errors": "while true do xpcall(function() error('a') end, function() "
    "error('b') end) end",
    "nested protected calls": "local function f(n) if n == 0 then error('a') end local ok = "
    "pcall(f, n - 1) error('b') end while true do pcall(f, 150) end",
    "packs a long string": "local s = ('x'):rep(2e7) while true do struct.pack('s', s) end",
    "packs and unpacks a long string": "local s = ('x'):rep(2e7) while true do "
    "cmsgpack.unpack(cmsgpack.pack(s)) end",
    "encodes a big table": "local t = {} for i = 1, 1e6 do t[i] = 1 end while true do "
    "cjson.encode(t) end",
    "encodes an emptied table": "local t = {} for i = 1, 1e6 do t[i] = 1 end for i = 1, 1e6 do "
    "t[i] = nil end while true do cjson.encode(t) end",
    "returns a million": "local t = {} for i = 1, 1e6 do t[i] = 1 end return t",
    "returns a string many times": "local s = ('x'):rep(1e5) local t = {} for i = 1, 1e4 do "
    "t[i] = s end return t",
    "returns a table in tables many times": "local t = {} for i = 1, 100 do t = {t, t} end "
    "return t",
    "returns a big map": "local t = {} for i = 1, 1e6 do t['a' .. i] = 1 end return {map = t}",
    "matches at every place": "local s = ('x'):rep(2e7) while true do for a in s:gmatch('.') do "
    "end end",
    "finds nothing": "local s = ('x'):rep(4e6) local p = ('x'):rep(2e6) .. 'y' while true do "
    "s:find(p, 1, true) end",
    "joins with a long separator": "local s = ('x'):rep(1e5) local t = {} for i = 1, 200 do "
    "t[i] = '' end while true do table.concat(t, s) end",
    "takes arguments that hash alike": "return #ARGV",
    "is long": "local t = {} " + "t[1] = 1 " * 200_000,
    "is a long condition": "return " + "a and " * 100_000 + "a",
    "is killed in a transaction": "while true do end",
}
# Of the bytes that tell them apart Lua's hash skips all.
ALIKE = ["x" * 1000 + f"{number}0000" for number in range(20_000)]
ARGUMENTS = {"takes arguments that hash alike": ALIKE}


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


def used_ms(server):
    """What the server has used of a processor, in milliseconds; 0 where the system does not say."""
    try:
        with open(f"/proc/{server.pid}/schedstat") as file:
            return int(file.read().split()[0]) / 1e6
    except OSError:
        return 0.0


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


def measure(server, port, name, script):
    """The longest wait of another client in milliseconds, the most that the server did during one,
    how the script ended, and whether the server can be used on."""
    bad, other = Client(port), Client(port)
    other.call("FLUSHALL")
    if name.endswith("transaction"):
        bad.call("MULTI")
        bad.call("EVAL", script, "0")
        bad.socket.sendall(encode("EXEC"))
    else:
        bad.socket.sendall(encode("EVAL", script, "0", *ARGUMENTS.get(name, [])))
    begin, longest, most, killed = time.monotonic(), 0.0, 0.0, ""
    bad.socket.setblocking(False)
    while True:
        used, asked = used_ms(server), time.monotonic()
        other.call("PING")
        longest = max(longest, time.monotonic() - asked)
        most = max(most, used_ms(server) - used)
        try:
            reply = bad.read()
            break
        except BlockingIOError:
            pass
        if time.monotonic() - begin > 1 and not killed:
            answer = other.call("SCRIPT", "KILL").decode().strip()
            killed = f"SCRIPT KILL: {answer.split(' ')[0]}, "
            if answer.startswith("-UNKILLABLE"):
                return longest * 1000, most, killed + "left running", False
        time.sleep(0.002)
    text = reply.decode(errors="replace").split("\r\n")[0][:60]
    return longest * 1000, most, killed + text, True


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", help="the server to start")
    parser.add_argument("--only", default="", help="those scripts whose names have this in them")
    parser.add_argument("--json", action="store_true", help="print an object for each script")
    options = parser.parse_args()
    server, port = start(options.program)
    try:
        for name, script in SCRIPTS.items():
            if options.only not in name:
                continue
            wait_ms, work_ms, end, usable = measure(server, port, name, script)
            if options.json:
                row = {"longest_wait_ms": wait_ms, "most_work_ms": work_ms, "end": end}
                print(json.dumps({"script": name, **row}))
            else:
                print(f"{name:43} {wait_ms:8.1f} {work_ms:8.1f} ms  {end}", flush=True)
            if not usable:
                server.kill()
                server.wait()
                server, port = start(options.program)
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
