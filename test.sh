#!/usr/bin/env bash
# Runs every test of Orrery: installs what they need, builds, tests, fuzzes for seconds, talks to the
# server with real clients, and ends with a plain line "N passed, M failed".
set -u -o pipefail
cd "$(dirname "$0")" || exit 2

usage() {
    cat <<'TEXT'
Usage: ./test.sh [--quick] [--only STEP[,STEP...]] [--list]

  --quick      only what is fast: format, lints, unit and integration tests (no fuzzing, no clients,
               no swarm); nothing is installed
  --only A,B   only these steps
  --list       name the steps

Examples:
  ./test.sh                    everything, as CI does
  ./test.sh --quick            while working
  ./test.sh --only clients     the tests with real clients and the applications built on them

Environment: FUZZ_SECONDS (default 20) seconds a fuzz target; SWARM_SECONDS (default 30).
Exit code: 0 when nothing failed, 1 otherwise, 2 for wrong usage.
TEXT
}

ALL_STEPS=(format lints docs build rust clients tcl fuzz swarm turmoil blackbox)
QUICK_STEPS=(format lints rust)
steps=("${ALL_STEPS[@]}")
quick=no
while [ $# -gt 0 ]; do
    case "$1" in
    --quick) quick=yes; steps=("${QUICK_STEPS[@]}") ;;
    --only) shift; IFS=, read -r -a steps <<<"${1:?--only needs steps}" ;;
    --list) printf '%s\n' "${ALL_STEPS[@]}"; exit 0 ;;
    -h | --help) usage; exit 0 ;;
    *) printf 'test.sh: unknown option %s\n' "$1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

passed=0
failed=0
log_dir=target/test-logs
mkdir -p "$log_dir"
export ORRERY_SERVER="$PWD/target/release/orrery-server"

say() { printf '\n== %s\n' "$*"; }

# check NAME COMMAND...: one test; its output is shown when it fails.
check() {
    local name=$1 log="$log_dir/${1//[^a-zA-Z0-9]/-}.log" start=$SECONDS
    shift
    if "$@" >"$log" 2>&1; then
        passed=$((passed + 1))
        printf 'ok      %s (%ss)\n' "$name" $((SECONDS - start))
    else
        failed=$((failed + 1))
        printf 'FAILED  %s (%ss)\n' "$name" $((SECONDS - start))
        tail -n 60 "$log"
    fi
}

# add_counts LOG STATUS: adds what a test runner counted; a run that broke without a count is a failure.
add_counts() {
    local counts
    counts=$(awk '
        /^test result:/ { p += $4; f += $6 }
        /^# pass / { p += $3 } /^# fail / { f += $3 }
        /^(=+ )?([0-9]+ (passed|failed|errors?|skipped|warnings?),? ?)+in / {
            for (i = 2; i <= NF; i++) {
                if ($i ~ /^passed/) p += $(i - 1)
                if ($i ~ /^(failed|error)/) f += $(i - 1)
            }
        }
        END { print p + 0, f + 0 }' "$1")
    passed=$((passed + ${counts% *}))
    failed=$((failed + ${counts#* }))
    if [ "$2" -ne 0 ] && [ "${counts#* }" -eq 0 ]; then
        failed=$((failed + 1))
        tail -n 60 "$1"
    fi
}

have() { command -v "$1" >/dev/null 2>&1; }

# install_packages PACKAGE...: by apt where they are missing.
install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ] || ! have apt-get; then
        printf 'missing packages: %s (install them as root with apt-get)\n' "${missing[*]}" >&2
        return 1
    fi
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}"
}

step_format() { check 'rustfmt' cargo fmt --all --check; }

step_lints() {
    check 'clippy' cargo clippy --workspace --all-targets -- -D warnings
    # The tests of the workspace use its TLS.
    check 'clippy of the lock client without TLS' \
        cargo clippy -p orrery-lock --all-targets -- -D warnings
}

step_docs() { check 'rustdoc' env RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps; }

step_build() {
    check 'packages: redis-server and redis-tools' install_packages redis-server redis-tools
    check 'release build' cargo build --release --workspace
}

step_rust() {
    local log="$log_dir/rust.log" status
    if [ "$quick" = no ]; then
        check 'packages: redis-server and redis-tools' install_packages redis-server redis-tools
        # What is compared with a real redis must not be skipped here.
        export ORRERY_REQUIRE_REDIS=1
    fi
    program orrery-server >"$log_dir/program.log"
    cargo test --workspace --no-fail-fast 2>&1 | tee "$log" | grep -E '^test .*FAILED|^SKIPPED|panicked at'
    status=${PIPESTATUS[0]}
    # The tests of the workspace use its TLS.
    cargo test -p orrery-lock --no-fail-fast >>"$log" 2>&1 || status=1
    grep -aE '^test result' "$log" | awk '{ p += $4; f += $6 } END { print p " passed, " f " failed (Rust)" }'
    add_counts "$log" "$status"
}

step_clients() {
    check 'packages: redis-tools and openssl' install_packages redis-tools openssl
    python3 -c 'import ensurepip' 2>/dev/null || check 'packages: venv' install_packages python3-venv
    have npm || check 'packages: npm' install_packages npm
    program orrery-server >"$log_dir/program.log"
    local venv=target/test-venv log="$log_dir/pytest.log" status
    check 'Python packages' sh -c "
        [ -x $venv/bin/python ] || python3 -m venv $venv || exit 1
        $venv/bin/pip install -q --disable-pip-version-check -r tests/interop/requirements.txt"
    # Not `npm ci`: it wants optional packages for every platform in the lock file.
    check 'npm packages' sh -c 'cd tests/interop && {
        [ node_modules/.package-lock.json -nt package-lock.json ] ||
            npm install --no-save --ignore-scripts --silent; }'
    "$venv/bin/python" -m pytest -q tests/interop >"$log" 2>&1
    status=$?
    tail -n 3 "$log"
    add_counts "$log" "$status"
    log="$log_dir/node.log"
    (cd tests/interop && node --test --test-timeout 300000) >"$log" 2>&1
    status=$?
    grep -E '^# (pass|fail)' "$log"
    add_counts "$log" "$status"
    log="$log_dir/redis-rs.log"
    CARGO_TARGET_DIR="$PWD/target/redis-rs" \
        cargo test --locked --manifest-path tests/interop/redis-rs/Cargo.toml >"$log" 2>&1
    status=$?
    grep -aE '^test result: .* [1-9][0-9]* passed|FAILED' "$log"
    add_counts "$log" "$status"
}

# Redis's own tests of its data types, from Debian's source package, against our server.
step_tcl() {
    check 'packages: tcl, openssl, redis-server and redis-tools' \
        install_packages tcl tcl-tls openssl redis-server redis-tools dpkg-dev
    check "Redis's own tests, but for the listed ones" \
        python3 tests/tcl/run.py --server "$(program orrery-server)" --jobs 2
    grep -E 'baseline tests pass' "$log_dir"/Redis-s-own-tests*.log
}

step_fuzz() {
    have c++ || check 'packages: g++' install_packages g++
    check 'cargo-fuzz' sh -c 'command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz'
    # Sanitizers need unstable flags; where there is no nightly compiler, the stable one takes them too.
    local toolchain=() target places sanitizer
    if rustup toolchain list 2>/dev/null | grep -q '^nightly'; then toolchain=(+nightly); fi
    for target in $(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' fuzz/Cargo.toml | tail -n +1); do
        # What is found goes into the corpus; the seeds are only read.
        places=("fuzz/corpus/$target")
        # Errors of Lua jump over frames of Rust, whose marks on the stack AddressSanitizer then takes
        # for overflows: it removes them before a jump only on the stacks of threads, and says for a
        # fiber's "ignoring requested __asan_handle_no_return ... false positive error reports may
        # follow". With mlua alone, errors that are caught ten thousand times: no report on main's
        # stack, one at once on a stack of corosensei. The Lua library is not compiled for it anyway.
        case "$target" in cjson | cmsgpack | script_values | structs) sanitizer=none ;; *) sanitizer=address ;; esac
        mkdir -p "${places[0]}"
        if [ -d "fuzz/seeds/$target" ]; then places+=("fuzz/seeds/$target"); fi
        check "fuzz $target for ${FUZZ_SECONDS:-20} s" env RUSTC_BOOTSTRAP=1 \
            cargo "${toolchain[@]}" fuzz run -s "$sanitizer" "$target" "${places[@]}" -- \
            -max_total_time="${FUZZ_SECONDS:-20}" -max_len=4096 -rss_limit_mb=2048
    done
}

# program NAME: the path of a release program, brought up to date.
program() {
    cargo build --release --workspace >"$log_dir/build.log" 2>&1
    printf 'target/release/%s' "$1"
}

step_swarm() {
    check "swarm for ${SWARM_SECONDS:-30} s" "$(program orrery-sim)" \
        swarm --seconds "${SWARM_SECONDS:-30}" --jobs 2
}

step_turmoil() {
    check 'the server code under turmoil, 20 seeds, each twice' "$(program orrery-sim)" \
        turmoil --seed 1 --seeds 20 --seconds 10 --twice
}

step_blackbox() {
    check 'black box: orrery-server under kill and pause' "$(program orrery-jepsen)" \
        run --target "$ORRERY_SERVER" --nemesis kill,pause --seconds 20
    check 'black box: redis-server under kill and pause' "$(program orrery-jepsen)" \
        run --target "$(command -v redis-server)" --nemesis kill,pause --seconds 20
}

for step in "${steps[@]}"; do
    if ! declare -F "step_$step" >/dev/null; then
        printf 'test.sh: no step %s; --list names them\n' "$step" >&2
        exit 2
    fi
    say "$step"
    "step_$step"
done

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
