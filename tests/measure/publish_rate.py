#!/usr/bin/env python3
"""PUBLISH to many subscribers: messages delivered per second of the server's CPU time.

    publish_rate.py [--ours 'target/release/orrery-server --port {port}']
                    [--peer 'redis-server --port {port} --save ""'] [--subscribers 100]
                    [--messages 20000] [--pipeline 1,16] [--data 16] [--rounds 5] [--json out.json]

One client publishes `pipeline` messages at a time and goes on when every subscriber has them, so
that nobody's output grows and both servers do the same work. Every byte that a subscriber gets is
counted, and the last message is compared. 'ratio' is ours to the other's: of messages per CPU
second above 1 is better. Redis's target is a ratio of at least 1 for 100 subscribers.
"""

import argparse
import json
import os
import selectors
import time

from pair import add_options, frame, in_turn, summary


class Crowd:
    """Subscribers of one channel, read together."""

    def __init__(self, server, count):
        self.streams = [server.connect() for _ in range(count)]
        self.selector = selectors.DefaultSelector()
        self.owed = {}
        for stream in self.streams:
            stream.sendall(frame("SUBSCRIBE", "channel"))
            reply = b""
            while not reply.endswith(b":1\r\n"):
                reply += stream.recv(100)
            stream.setblocking(False)
            self.selector.register(stream, selectors.EVENT_READ)
            self.owed[stream] = 0
        self.last = {}

    def receive(self, expected):
        """Reads until every subscriber has got so many bytes more."""
        for stream in self.streams:
            self.owed[stream] += expected
        waiting = len(self.streams)
        while waiting:
            for key, _ in self.selector.select():
                got = key.fileobj.recv(1 << 18)
                assert got, "a subscriber was cut off"
                self.last[key.fileobj] = got
                self.owed[key.fileobj] -= len(got)
                assert self.owed[key.fileobj] >= 0, "more than was published"
                waiting -= self.owed[key.fileobj] == 0

    def close(self):
        self.selector.close()
        for stream in self.streams:
            stream.close()


def measure(server, options, pipeline):
    crowd, publisher = Crowd(server, options.subscribers), server.connect()
    payload = b"x" * options.data
    message = b"*3\r\n$7\r\nmessage\r\n$7\r\nchannel\r\n$%d\r\n%s\r\n" % (len(payload), payload)
    request = frame("PUBLISH", "channel", payload) * pipeline
    reply = b":%d\r\n" % options.subscribers * pipeline
    turns = options.messages // pipeline
    cpu, wall = server.cpu_seconds(), time.monotonic()
    for _ in range(turns):
        publisher.sendall(request)
        got = b""
        while len(got) < len(reply):
            got += publisher.recv(len(reply) - len(got))
        assert got == reply, got[:100]
        crowd.receive(len(message) * pipeline)
    cpu, wall = server.cpu_seconds() - cpu, time.monotonic() - wall
    assert all(message.endswith(got[-len(message):]) or got.endswith(message)
               for got in crowd.last.values()), "the last message is damaged"
    publisher.close()
    crowd.close()
    delivered = turns * pipeline * options.subscribers
    return {"per_cpu_second": delivered / cpu, "per_second": delivered / wall}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--subscribers", type=int, default=100)
    parser.add_argument("--messages", type=int, default=20_000, help="published in each round")
    parser.add_argument("--pipeline", default="1,16", help="messages at a time")
    parser.add_argument("--data", type=int, default=16, help="bytes of a message")
    options = parser.parse_args()
    os.sched_setaffinity(0, {int(options.client_cpu)})
    rows = []
    print(f"{'pipeline':>8} | messages per CPU second: {'ours':>11} {'peer':>11} {'ratio':>6}"
          f"  rounds from to | per second: {'ours':>10} {'peer':>10}")
    for pipeline in map(int, options.pipeline.split(",")):
        found = in_turn(options, lambda server: measure(server, options, pipeline))
        cpu, wall = summary(found, "per_cpu_second"), summary(found, "per_second")
        rows.append({"pipeline": pipeline, "subscribers": options.subscribers,
                     "per_cpu_second": cpu, "per_second": wall})
        print(f"{pipeline:8} | {'':24} {cpu['ours']:11.0f} {cpu['peer']:11.0f} {cpu['ratio']:6.2f}"
              f"  {cpu['least']:.2f} {cpu['most']:.2f}      | {'':11} {wall['ours']:10.0f}"
              f" {wall['peer']:10.0f}", flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
