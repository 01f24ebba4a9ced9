#!/usr/bin/env python3
"""Runs Redis's own tests of its data types against orrery-server, and judges what they say.

baseline.txt: the tests that pass on Debian's redis-server in the same mode, one `file<TAB>test` a
line. skip.txt: those of them that do not pass here yet, `file<TAB>test<TAB>reason`. The run fails
when a test of the baseline fails that is not listed, and when a listed one passes: the list only
shrinks. A reason that begins with `hangs:` keeps a test from being run at all; one that begins with
`sometimes:` says that it may pass.

Many of Redis's tests wait for so many milliseconds and expect what a machine with nothing else to do
would have done by then. Files in which an unlisted test failed are run once more when all others
have ended; a test that passes then counts as passed, and is named. More than RERUN_FILES_MAX of
them are no matter of time: they are not run again.

    tests/tcl/run.py                                 all files against target/release/orrery-server
    tests/tcl/run.py --files unit/type/list --show   one file, with what failed
    tests/tcl/run.py --server redis                  against redis-server, for comparison
    tests/tcl/run.py --server redis --write-baseline 3   what passes in 3 runs; with --files of these
                                                     files only
    tests/tcl/run.py --shrink                        removes what passes from skip.txt
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import sys
import time

import harness
import source

HERE = pathlib.Path(__file__).resolve().parent
FILES = [
    "unit/printver", "unit/dump", "unit/protocol", "unit/keyspace", "unit/scan",
    "unit/type/string", "unit/type/incr", "unit/type/list", "unit/type/list-2",
    "unit/type/list-3", "unit/type/set", "unit/type/zset", "unit/type/hash", "unit/type/stream",
    "unit/type/stream-cgroups", "unit/sort", "unit/expire", "unit/other", "unit/bitops",
    "unit/bitfield", "unit/geo", "unit/hyperloglog", "unit/pubsub", "unit/pubsubshard",
    "unit/tls", "unit/auth", "unit/acl", "unit/acl-v2", "unit/tracking",
    "unit/maxmemory", "unit/client-eviction", "unit/obuf-limits", "unit/querybuf", "unit/limits",
    "unit/replybufsize", "unit/scripting", "unit/functions",
    "unit/multi", "unit/introspection", "unit/introspection-2", "unit/info", "unit/latency-monitor",
    "unit/slowlog", "unit/networking", "unit/violations", "unit/oom-score-adj",
    "unit/aofrw", "unit/shutdown",
    "integration/aof", "integration/aof-multi-part", "integration/aof-race", "integration/rdb",
    "integration/corrupt-dump", "integration/corrupt-dump-fuzzer",
    "integration/convert-ziplist-hash-on-load", "integration/convert-ziplist-zset-on-load",
    "integration/convert-zipmap-hash-on-load",
]
# Files whose tests need servers of their own, each with its configuration; all others are run
# against one that is there. Their first ports.
OWN_SERVERS = {"unit/auth": 21000, "unit/acl": 21100, "unit/acl-v2": 21200,
               "unit/maxmemory": 22000, "unit/client-eviction": 22100, "unit/obuf-limits": 22200,
               "unit/limits": 22300, "unit/querybuf": 22400, "unit/replybufsize": 22500,
               "unit/introspection": 23000, "unit/info": 23100, "unit/latency-monitor": 23200,
               "unit/slowlog": 23300, "unit/networking": 23400, "unit/oom-score-adj": 23500,
               "unit/aofrw": 24000, "unit/shutdown": 24100,
               "integration/aof": 24200, "integration/aof-multi-part": 24300,
               "integration/aof-race": 24400, "integration/rdb": 24500,
               "integration/corrupt-dump": 24600, "integration/corrupt-dump-fuzzer": 24700,
               "integration/convert-ziplist-hash-on-load": 24800,
               "integration/convert-ziplist-zset-on-load": 24900,
               "integration/convert-zipmap-hash-on-load": 25000}
# Their configurations leave out what Redis has a default for that is not ours: where to listen and
# when to save.
OWN_OPTIONS = ["--encoding-names", "7.0", "--defaults", "redis"]
# The longest files first, so that two workers end at about the same time.
LONG_FIRST = ["unit/type/list", "unit/type/zset", "unit/type/list-3", "unit/type/set",
              "unit/type/hash", "unit/sort", "unit/expire", "unit/other", "unit/hyperloglog"]
# Most files that are run again because of a test that failed.
RERUN_FILES_MAX = 3
# What is tested over TLS.
OVER_TLS = ["unit/tls"]
REDIS = ["redis-server", "--save", "", "--appendonly", "no", "--daemonize", "no",
         "--enable-debug-command", "yes", "--enable-protected-configs", "yes"]
OURS = ["--enable-debug-command", "yes", "--enable-protected-configs", "yes",
        "--encoding-names", "7.0"]


def read_baseline():
    """Lines of baseline.txt as a set of (file, test)."""
    lines = (HERE / "baseline.txt").read_text().splitlines()
    return {tuple(line.split("\t")) for line in lines if line and not line.startswith("#")}


def read_skip():
    """Lines of skip.txt as {(file, test): reason}."""
    found = {}
    for number, line in enumerate((HERE / "skip.txt").read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        parts = line.split("\t")
        if len(parts) != 3 or not parts[2].strip():
            sys.exit(f"skip.txt:{number}: a file, a test and a reason, separated by tabs")
        found[parts[0], parts[1]] = parts[2]
    return found


def write_skip(skip):
    path = HERE / "skip.txt"
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    lines = ["\t".join((*key, reason)) for key, reason in sorted(skip.items())]
    path.write_text("\n".join([*head, *lines]) + "\n")


def one_round(arguments, command, skip):
    """Runs the files; gives their results in the files' order."""
    tree, found, _ = source.prepare()
    folder = source.WORK / "runs" / str(os.getpid())
    shutil.rmtree(folder, ignore_errors=True)
    options = ["--no-latency"]
    if arguments.accurate:
        options.append("--accurate")
    for tag in arguments.tags:
        options += ["--tags", tag]
    for pattern in arguments.only:
        options += ["--only", pattern]

    is_redis = arguments.server == "redis"
    baseline = set() if is_redis else read_baseline()

    def run(file):
        start = time.monotonic()
        base_port = OWN_SERVERS.get(file)
        options_of_server = [] if is_redis else OWN_OPTIONS
        server = [shutil.which(command[0]), *options_of_server] if base_port else command
        hanging = [test for (at, test), reason in skip.items()
                   if at == file and reason.startswith("hangs:")]
        over_tls = file in OVER_TLS
        tls = source.tls_parameters(tree) if over_tls else ()
        results = harness.run_file(tree, found["tclsh"], server, file,
                                   [*options, *(["--tls"] if over_tls else [])], hanging,
                                   folder / file.replace("/", "-"), tls, base_port)
        passed = sum(test["outcome"] == "ok" for test in results.tests.values())
        print(f"{file}: {passed} of {len(results.tests)} ok ({time.monotonic() - start:.0f} s)",
              *(f"    fails: {test}\n        {why[:300]}"
                for test, why in unexpected(results, baseline, skip).items()),
              sep="\n", flush=True)
        return results

    order = sorted(arguments.files, key=lambda file: (LONG_FIRST + [file]).index(file))
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        done = dict(zip(order, pool.map(run, order)))
    again = [file for file in order if unexpected(done[file], baseline, skip)]
    for file in again if len(again) <= RERUN_FILES_MAX else []:
        failed = unexpected(done[file], baseline, skip)
        print(f"{file}: once more, alone", flush=True)
        second = run(file)
        for test in failed:
            if second.tests.get(test, {}).get("outcome") == "ok":
                print(f"{file}: failed once, passed alone: {test}")
                done[file].tests[test] = second.tests[test]
    shutil.rmtree(folder, ignore_errors=True)
    return [done[file] for file in arguments.files]


def unexpected(results, baseline, skip):
    """The unlisted tests of the baseline that ran in a file and did not pass, each with why."""
    return {name: test["detail"].strip() for name, test in results.tests.items()
            if test["outcome"] != "ok" and (results.file, name) in baseline
            and (results.file, name) not in skip}


def outcomes(results):
    return {(test["file"], test["test"]): test for file in results for test in file.tests.values()}


def write_baseline(arguments, command):
    """What passes in every one of some runs on redis-server. Other files' tests stay as they are."""
    always, other = None, {}
    for _ in range(arguments.write_baseline):
        tests = outcomes(one_round(arguments, command, {}))
        passed = {key for key, test in tests.items() if test["outcome"] == "ok"}
        other |= {key: test["detail"] for key, test in tests.items() if key not in passed}
        always = passed if always is None else always & passed
    _, _, version = source.prepare()
    always |= {key for key in read_baseline() if key[0] not in arguments.files}
    lines = [
        f"# The tests that pass on redis-server {version} of Debian, as tests/tcl/run.py runs them.",
        "# Written by: tests/tcl/run.py --server redis --write-baseline "
        f"{arguments.write_baseline}",
        *("\t".join(key) for key in sorted(always)),
    ]
    (HERE / "baseline.txt").write_text("\n".join(lines) + "\n")
    for key, detail in sorted(other.items()):
        print(f"not in the baseline: {' '.join(key)}\n    {detail[:300]}")
    print(f"baseline.txt: {len(always)} tests")


def judge(arguments, results, skip):
    """Compares with the baseline and the list; returns the complaints."""
    tests = outcomes(results)
    whole = not arguments.only
    baseline = {key for key in read_baseline() if key[0] in arguments.files}
    listed = {key: reason for key, reason in skip.items() if key[0] in arguments.files}
    complaints = []
    passed = 0
    for key in sorted(baseline):
        test = tests.get(key)
        if test is None and not whole:
            continue
        name = " ".join(key)
        if test is not None and test["outcome"] == "ok":
            passed += 1
            if key in listed and not listed[key].startswith("sometimes:"):
                complaints.append(f"passes, remove it from skip.txt: {name}")
        elif key not in listed:
            why = test["detail"] if test else "it did not run"
            complaints.append(f"fails: {name}\n    {why.strip()[:1500]}")
        elif arguments.show:
            why = test["detail"] if test else "it did not run"
            print(f"listed: {name} [{listed[key]}]\n    {why.strip()[:1500]}")
    for key in sorted(set(listed) - baseline):
        complaints.append(f"is in skip.txt but not in the baseline: {' '.join(key)}")
    for file in results:
        if arguments.show or arguments.verbose:
            for note in file.notes:
                print(f"{file.file}: {note[:1500]}")
    percent = 100 * passed / max(1, len(baseline))
    summary = (f"{passed} of {len(baseline)} baseline tests pass ({percent:.1f} %), "
               f"{len(listed)} listed")
    return complaints, summary


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=os.environ.get(
        "ORRERY_SERVER", str(source.ROOT / "target/release/orrery-server")),
        help="path of orrery-server, or redis")
    parser.add_argument("--files", nargs="+", default=FILES, help="such as unit/type/list")
    parser.add_argument("--only", action="append", default=[], help="a test's name or /pattern")
    parser.add_argument("--tags", action="append", default=[], help="such as -slow")
    parser.add_argument("--accurate", action="store_true", help="long random tests")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=pathlib.Path, help="where every result is written")
    parser.add_argument("--show", action="store_true", help="also how listed tests fail")
    parser.add_argument("--verbose", action="store_true", help="also notes on files")
    parser.add_argument("--write-baseline", type=int, metavar="RUNS")
    parser.add_argument("--shrink", action="store_true", help="remove what passes from skip.txt")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    is_redis = arguments.server == "redis"
    command = REDIS if is_redis else [str(pathlib.Path(arguments.server).resolve()), *OURS]
    if arguments.write_baseline:
        if not is_redis or arguments.only:
            sys.exit("the baseline is that of whole files on redis-server")
        write_baseline(arguments, command)
        return 0
    skip = {} if is_redis else read_skip()
    results = one_round(arguments, command, skip)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        rows = [test for file in results for test in file.tests.values()]
        notes = {file.file: file.notes for file in results if file.notes}
        arguments.json.write_text(json.dumps({"tests": rows, "notes": notes}, indent=1))
    complaints, summary = judge(arguments, results, skip)
    if arguments.shrink:
        passing = {key for key, test in outcomes(results).items() if test["outcome"] == "ok"}
        write_skip({key: reason for key, reason in skip.items()
                    if key not in passing or reason.startswith("sometimes:")})
    for complaint in complaints:
        print(complaint)
    print(summary)
    return 1 if complaints else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except source.Unavailable as error:
        sys.exit(f"tests/tcl/run.py: {error}")
