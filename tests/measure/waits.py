#!/usr/bin/env python3
"""How long 50 clients wait for the replies to SET of random keys: `waits.py PORT KEYS SECONDS`.

All clients are sockets of one thread, each with one command on its way. Prints JSON with the number
of commands, p50, p99, p99.9 and the longest wait in milliseconds.
"""

import json
import random
import select
import socket
import sys
import time

from pair import frame


def main():
    port, keys, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    draw = random.Random(1)
    poll = select.epoll()
    streams, sent, waits = {}, {}, []

    def send(number):
        streams[number].sendall(frame("SET", f"key:{draw.randrange(keys)}", "abcdefghijklmnop"))
        sent[number] = time.perf_counter()

    for _ in range(50):
        stream = socket.create_connection(("127.0.0.1", port))
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        streams[stream.fileno()] = stream
        poll.register(stream.fileno(), select.EPOLLIN)
        send(stream.fileno())
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for number, _ in poll.poll(1):
            streams[number].recv(4096)
            waits.append(time.perf_counter() - sent[number])
            send(number)
    waits.sort()

    def at(share):
        return round(1000 * waits[min(len(waits) - 1, int(share * len(waits)))], 3)

    print(json.dumps({"commands": len(waits), "p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999),
                      "max": at(1)}))


if __name__ == "__main__":
    main()
