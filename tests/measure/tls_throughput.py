#!/usr/bin/env python3
"""TLS: the server's CPU time per command and per handshake, ours against redis-server's.

    tls_throughput.py [--ours 'target/release/orrery-server --port {port}']
                      [--peer 'redis-server --port {port} --save ""'] [--pipeline 1,16]
                      [--data 16,16384] [--requests 200000] [--rounds 5] [--json out.json]

redis-benchmark --tls sets and gets values over TLS 1.3 (or 1.2 with --protocol TLSv1.2) with
certificates that are made anew (a P-256 key for each side; clients show theirs). The row
'handshake' is one connection for each command, which redis-benchmark makes with -k 0, with
session tickets as its library uses them. 'ratio' is ours to the other's CPU time per operation:
below 1 is better. Redis's target is a ratio of at most 1.
"""

import argparse
import json
import re
import subprocess
import tempfile

from pair import add_options, free_port, in_turn, summary

CERTIFIED = """
key() { openssl ecparam -name prime256v1 -genkey -noout -out $1; }
key ca.key; key server.key; key client.key
openssl req -x509 -new -sha256 -key ca.key -days 2 -subj /CN=authority -out ca.crt
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' > names
for name in server client; do
    openssl req -new -sha256 -key $name.key -subj /CN=$name |
        openssl x509 -req -sha256 -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \\
            -extfile names -out $name.crt
done
"""


def measure(server, options, folder, tls_port, test):
    name, pipeline, size = test
    requests = options.requests // (20 if name == "handshake" else 8 if size > 1024 else 1)
    command = [
        "taskset", "-c", options.client_cpu, "redis-benchmark", "-p", str(tls_port), "--tls",
        "--cacert", f"{folder}/ca.crt", "--cert", f"{folder}/client.crt",
        "--key", f"{folder}/client.key", "-n", str(requests), "-c", str(options.clients),
        "-P", str(pipeline), "-d", str(size), "-r", "1000", "--csv"]
    command += ["-k", "0", "PING"] if name == "handshake" else ["-t", name]
    if name == "get":
        # So that there is something to get.
        fill = [*command[:-1], "set"]
        fill[fill.index("-n") + 1] = "5000"
        subprocess.run(fill, check=True, capture_output=True, timeout=600)
    before = server.cpu_seconds()
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600)
    cpu = server.cpu_seconds() - before
    rows = [line for line in ran.stdout.splitlines() if line.startswith('"')]
    assert len(rows) == 2 and "rror" not in ran.stderr, ran.stdout + ran.stderr
    cells = re.findall(r'"([^"]*)"', rows[-1])
    return {"cpu_us": cpu * 1e6 / requests, "per_second": float(cells[1])}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--pipeline", default="1,16")
    parser.add_argument("--data", default="16,16384", help="bytes of a value")
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--protocol", default="TLSv1.3", choices=["TLSv1.2", "TLSv1.3"])
    options = parser.parse_args()
    tests = [(name, int(pipeline), int(size)) for size in options.data.split(",")
             for name in ("set", "get") for pipeline in options.pipeline.split(",")]
    tests.append(("handshake", 1, 16))
    rows = []
    print(f"{'test':9} {'P':>3} {'bytes':>6} | us of CPU per command: {'ours':>8} {'peer':>8}"
          f" {'ratio':>6}  rounds from to | per second: {'ours':>8} {'peer':>8}")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["sh", "-ec", CERTIFIED], cwd=folder, check=True, capture_output=True)
        for test in tests:
            tls_port = free_port()
            more = ["--tls-port", str(tls_port), "--tls-cert-file", f"{folder}/server.crt",
                    "--tls-key-file", f"{folder}/server.key",
                    "--tls-ca-cert-file", f"{folder}/ca.crt", "--tls-protocols", options.protocol]
            found = in_turn(
                options, lambda server: measure(server, options, folder, tls_port, test), more)
            cpu, rate = summary(found, "cpu_us"), summary(found, "per_second")
            name, pipeline, size = test
            rows.append({"test": name, "pipeline": pipeline, "bytes": size, "cpu_us": cpu,
                         "per_second": rate})
            print(f"{name:9} {pipeline:3} {size:6} | {'':22} {cpu['ours']:8.2f} {cpu['peer']:8.2f}"
                  f" {cpu['ratio']:6.2f}  {cpu['least']:.2f} {cpu['most']:.2f}      |"
                  f" {'':11} {rate['ours']:8.0f} {rate['peer']:8.0f}", flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
