"""Debian's source of Redis, obtained by apt, unpacked and made ready to test a foreign server.

Nothing of it enters the repository: it lives in target/tcl. A step that is done is not repeated.
"""

import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "target/tcl"
UPSTREAM = "7.0.15"

# Where the suite is changed: so that what one test needs and a server does not have costs that test
# and no other.
CHANGES = {
    "tests/support/test.tcl": [
        # The clients of a test that failed would go on waiting, and take what later tests push.
        (
            "    if {[catch {set retval [uplevel 1 $code]} error]} {\n",
            """    set clients_before $::redis::id
    if {[catch {set retval [uplevel 1 $code]} error]} {
        for {set left [expr {$clients_before + 1}]} {$left <= $::redis::id} {incr left} {
            set server [lindex $::servers end]
            if {![dict exists $server client]
                || [dict get $server client] ne "::redis::redisHandle$left"} {
                catch {::redis::redisHandle$left close}
            }
        }
""",
        ),
    ],
    "tests/unit/acl.tcl": [
        # The server under test instead of the one beside the suite.
        (
            "catch {exec src/redis-server --user foo --user foo} err",
            "catch {exec $::env(TEST_SERVER) --user foo --user foo} err",
        ),
        (
            "catch {exec src/redis-server --user default --user default} err",
            "catch {exec $::env(TEST_SERVER) --user default --user default} err",
        ),
    ],
    "tests/unit/introspection.tcl": [
        # Likewise, in every case of wrong arguments.
        ("exec src/redis-server ", "exec $::env(TEST_SERVER) ", 11),
    ],
    "tests/integration/aof.tcl": [
        # The checker of the server under test, in every case.
        ("exec src/redis-check-aof ", "exec {*}$::env(TEST_CHECK_AOF) ", 14),
    ],
    "tests/integration/aof-race.tcl": [
        # What the second server is to load.
        (
            "    start_server [list overrides $config] $code\n",
            "    start_server [list overrides $config keep_persistence true] $code\n",
        ),
        # It checks outside of any test, which nobody would count.
        (
            "    # Check contents of foo\n        assert_equal 20000 [$client get foo]\n",
            "    test {no increment is lost while the log is rewritten} {\n"
            "            assert_equal 20000 [$client get foo]\n        }\n",
        ),
        (
            "    set client [redis [srv host] [srv port] 0 $::tls]\n"
            "        assert_equal 20000 [$client get foo]\n",
            "    set client [redis [srv host] [srv port] 0 $::tls]\n"
            "        test {none is there twice when the log is loaded} {\n"
            "            assert_equal 20000 [$client get foo]\n        }\n",
        ),
    ],
    "tests/integration/aof-multi-part.tcl": [
        # Whoever has no child ends what it writes.
        ("exec kill -9 ", "end_child ", 13),
        # What begins there is a rewrite each time, by whatever means.
        ("s total_forks]", "s aof_rewrites]", 6),
        # What a parameter leads to may come after the reply.
        (
            "            r config set aof-disable-auto-gc no\n",
            "            r config set aof-disable-auto-gc no\n"
            "            waitForBgrewriteaof r\n",
        ),
    ],
    "tests/integration/rdb.tcl": [("exec kill -9 ", "end_child ")],
    "tests/unit/aofrw.tcl": [("exec kill -9 ", "end_child ", 2)],
    "tests/support/util.tcl": [
        (
            "proc get_child_pid {idx} {\n",
            """# A server that writes without a child does so itself, and fails when it is told to.
proc has_child {} {
    return [expr {![string match *orrery* $::env(TEST_SERVER)]}]
}

# How often a Redis says that it dies. Others are to go on, and that counts as one.
proc deaths {text} {
    if {[has_child]} {
        return [count_log_message 0 $text]
    }
    return [expr {[count_log_message 0 $text] + ([r ping] eq {PONG})}]
}

proc may_refuse {args} {
    if {[has_child]} {
        return [uplevel 1 $args]
    }
    if {[catch {uplevel 1 $args} error] && ![string match "*Bad data format*" $error]} {
        error $error
    }
}

proc end_child {pid} {
    if {[has_child]} {
        exec kill -9 $pid
    } else {
        r debug fail-snapshot
    }
}

proc get_child_pid {idx} {
    if {![has_child]} {
        return [srv $idx pid]
    }
""",
        ),
    ],
    "tests/integration/corrupt-dump.tcl": [
        # Where Redis takes what is broken and dies of it later, other servers may refuse it at once.
        ("\n        r RESTORE ", "\n        may_refuse r RESTORE ", 4),
        ("\n        r restore ", "\n        may_refuse r restore ", 3),
        ("\n         r restore ", "\n         may_refuse r restore "),
        ('[count_log_message 0 "ASSERTION FAILED"]', '[deaths "ASSERTION FAILED"]', 10),
        ('[count_log_message 0 "Guru Meditation"]', '[deaths "Guru Meditation"]'),
        (
            '[count_log_message 0 "listpack with dup elements"]',
            '[deaths "listpack with dup elements"]',
        ),
    ],
    "tests/unit/pubsubshard.tcl": [
        # Marked for servers that the suite starts itself, but only the tests behind need that.
        (
            'start_server {tags {"pubsubshard external:skip"}} {\n    test "SPUBLISH',
            'start_server {tags {"pubsubshard"}} {\n    test "SPUBLISH',
        ),
    ],
    "tests/support/server.tcl": [
        # Files that start servers of their own start those under test.
        (
            "    set cmd [list src/redis-server $config_file]\n",
            "    set cmd [list $::env(TEST_SERVER) $config_file]\n",
        ),
        # With their options last: a test's own may begin with a word without a name.
        (
            "        lappend cmd {*}$args\n    }\n",
            "        lappend cmd {*}$args\n    }\n    lappend cmd {*}$::env(TEST_OPTIONS)\n",
        ),
        # FUNCTION comes with scripts; the tests run here define no function.
        ("\n    r function flush\n", "\n    catch {r function flush}\n"),
        # A parameter that the server does not know must cost the tests that need it, no others.
        (
            "        r config set $param $val\n\n        # If we enable appendonly",
            "        catch {r config set $param $val}\n\n        # If we enable appendonly",
        ),
        (
            "    dict for {param val} $saved_config {\n        r config set $param $val\n",
            "    dict for {param val} $saved_config {\n        catch {r config set $param $val}\n",
        ),
    ],
}


class Unavailable(Exception):
    """The source or a program cannot be had here."""


def run(words, **options):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def programs():
    """The paths of the programs that are needed, by name; installs what is missing."""
    packages = {"tclsh": "tcl", "redis-server": "redis-server", "redis-cli": "redis-tools",
                "redis-benchmark": "redis-tools", "dpkg-source": "dpkg-dev",
                "openssl": "openssl"}
    missing = sorted({package for name, package in packages.items() if not shutil.which(name)})
    if subprocess.run(["dpkg-query", "-s", "tcl-tls"], capture_output=True, check=False).returncode:
        missing.append("tcl-tls")
    if missing:
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise Unavailable(f"install these packages: {' '.join(missing)}")
        run(["apt-get", "update", "-qq"])
        run(["apt-get", "install", "-y", "-qq", *missing],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    return {name: shutil.which(name) for name in packages}


def package_version():
    """The version of the installed redis-server, whose source is the one to fetch."""
    version = run(["dpkg-query", "-W", "-f", "${source:Version}", "redis-server"]).strip()
    if UPSTREAM not in version:
        raise Unavailable(f"the tests are those of Redis {UPSTREAM}, not of {version}")
    return version


def tls_parameters(tree):
    """What a server needs to speak TLS to the suite's clients: the suite's own certificates."""
    folder = tree / "tests/tls"
    if not (folder / "redis.crt").exists():
        folder.mkdir(exist_ok=True)
        # Parameters of Diffie-Hellman take long to make, and no test here looks at them.
        (folder / "redis.dh").touch()
        run(["bash", "utils/gen-test-certs.sh"], cwd=tree)
    files = {"cert-file": "server.crt", "key-file": "server.key", "ca-cert-file": "ca.crt"}
    return [word for name, file in files.items() for word in (f"--tls-{name}", str(folder / file))]


def source_lists(folder):
    """apt's own mirrors of the distribution, as a private list of source packages."""
    template = "$(REPO_URI) $(CODENAME) $(COMPONENT) $(ORIGIN)"
    targets = run(["apt-get", "indextargets", "--format", template, "Created-By: Packages"])
    lines = set()
    for line in targets.splitlines():
        uri, suite, component, origin = line.split(maxsplit=3)
        if origin in ("Debian", "Ubuntu") and component in ("main", "universe"):
            lines.add(f"deb-src {signed_by(origin)}{uri} {suite} {component}\n")
    if not lines:
        raise Unavailable("apt knows no mirror of Debian; run apt-get update first")
    (folder / "sources.list").write_text("".join(sorted(lines)))


def signed_by(origin):
    """Newer systems name the keyring in the list itself; older ones trust one for all lists."""
    keyring = pathlib.Path(f"/usr/share/keyrings/{origin.lower()}-archive-keyring.gpg")
    return f"[signed-by={keyring}] " if keyring.exists() else ""


def download(version):
    """Fetches the package's files with lists of its own: the system's stay as they are."""
    apt = WORK / "apt"
    for folder in ("lists/partial", "parts"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    source_lists(apt)
    options = [
        "-o", f"Dir::Etc::sourcelist={apt}/sources.list",
        "-o", f"Dir::Etc::sourceparts={apt}/parts",
        "-o", f"Dir::State::lists={apt}/lists",
        "-o", "APT::Sandbox::User=root",
    ]
    run(["apt-get", *options, "update", "-qq"])
    run(["apt-get", *options, "source", "-qq", "--download-only", f"redis={version}"], cwd=WORK)


def prepare():
    """The folder of the unpacked source, the programs, and the version of the package."""
    found = programs()
    version = package_version()
    tree = WORK / f"redis-{version.split(':')[-1]}"
    ready = tree / "ready"
    if not ready.exists() or ready.read_text() != repr(CHANGES):
        shutil.rmtree(tree, ignore_errors=True)
        WORK.mkdir(parents=True, exist_ok=True)
        description = WORK / f"redis_{version.split(':')[-1]}.dsc"
        if not description.exists():
            download(version)
        run(["dpkg-source", "--no-check", "-x", str(description), str(tree)])
        for name in ("redis-server", "redis-cli", "redis-benchmark"):
            (tree / "src" / name).symlink_to(found[name])
        change(tree)
        ready.write_text(repr(CHANGES))
    return tree, found, version


def change(tree):
    for name, replacements in CHANGES.items():
        path = tree / name
        text = path.read_text()
        for old, new, *times in replacements:
            if text.count(old) != (times[0] if times else 1):
                raise Unavailable(f"{name} does not have {old!r} as often as it should")
            text = text.replace(old, new)
        path.write_text(text)
