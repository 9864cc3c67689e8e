#!/usr/bin/env bash
# build.sh: the one entry to setting up, building, running and checking metalrank. `./build.sh help` lists the verbs.
#
# House rules of this script: bash 3.2 is enough (macOS has nothing newer); stdout carries the verb's result and
# nothing else, all progress goes to stderr; nothing slow happens without a message about its kind and its time.
set -euo pipefail

unset CDPATH
invoked_from=$PWD
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
root=$PWD
. tools/toolchain.sh
. tools/libtokenizers/build.sh

print_help() {
    cat <<'HELP'
usage: ./build.sh VERB [ARGS]

  deps             check the toolchains, fetch the Go modules, build libtokenizers.a; as root on Debian or Ubuntu,
                   install what is missing
  build            build bin/metalrank, bin/metalrank-bulk, bin/kprof and bin/sweep
  demo             build, then rank a bundled example with the embedded model
  serve [ARGS]     build, then run `metalrank serve ARGS`
  test [ARGS]      run the tests, without the slow ones: under four minutes on two cores; with ARGS, `go test ARGS`
  test-all         run all tests, then those of concurrent packages under the race detector: a quarter of an hour on
                   two cores; with METALRANK_TEST_LONG=1, whole models in the simulator too: an hour more
  check [STEP...]  format, vet, lint, layering, size, clean tree: everything besides the tests that must hold
  release [DIR [PLATFORM...]]
                   make archives of darwin-arm64, linux-amd64 and linux-arm64 in DIR (dist), with zig and rustup; on a Mac, the first
                   alone with Apple's tools: ten minutes on two cores the first time
  release notice   compare NOTICE with the licences of everything that the programs contain; --write writes its list
  release again [DIR]
                   build the archives in DIR again in another folder, and compare the bytes
  release try ARCHIVE...
                   run the programs of archives for Linux in an empty root; as root
  release image DIR
                   check the compose file and the Kubernetes manifest, make the container image of the archives in DIR, and as root
                   run it with a read-only root
  release notes V  print what CHANGELOG.md says of a version
  release formula V SUMS
                   print the Homebrew formula of a version with the checksums of its archives
  release sums DIR write SHA256SUMS of the archives and the image in DIR
  release module   go get, go install: use the last commit from a proxy of files as Go programmers do, without this script's
                   environment
  env              print what `eval "$(./build.sh env)"` needs so that plain `go test ./...` works
  fuzz [SECONDS]   run every fuzz target for SECONDS (60), one after another
  metallib         on a Mac with Apple's Metal compiler, compile the kernels ahead of time; the next build embeds them
  help             print this

  Each of these builds and runs a tool; --help lists its flags:
  bench [ARGS]     the benchmarks: `go test -bench . ARGS`
  bench peers      compare with other runtimes on this CPU (tools/bench/peers/README.md)
  bench http       measure the cost of the endpoint over bare fasthttp, by wrk (tools/bench/httpbench)
  bulk             score pairs in bulk while workers and the server are killed (tools/system/bulktest)
  conformance      run real clients and schemathesis against a server (tools/system/conformance/README.md)
  browser          drive the server's page in headless Chromium (tools/system/browser)
  faults           have thousands of clients, and the machine, misbehave towards a server (tools/system/faults)
  fleet            three simulated nodes behind HAProxy, in network namespaces: on Linux, as root (tools/system/fleet)
  fleet job        check the Nomad job against the structs of Nomad's API

environment:
  LIBTOKENIZERS_DIR   use the libtokenizers.a in this folder instead of building one
  XDG_CACHE_HOME      where the cache folder `metalrank` goes on Linux (~/.cache); on macOS it is in ~/Library/Caches
HELP
}

usage_error() {
    say "$@"
    print_help >&2
    exit 2
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
        locate_library
    fi
    [ -f "$library_dir/libtokenizers.a" ] || build_library
    export CGO_ENABLED=1
    GOFLAGS=$(go env GOFLAGS)
    case $GOFLAGS in
    *-tags=*tokenizers*) ;; # someone evaluated our env before
    *-tags=*) GOFLAGS=${GOFLAGS/-tags=/-tags=tokenizers,} ;;
    *) GOFLAGS="-tags=tokenizers${GOFLAGS:+ $GOFLAGS}" ;; # with libtokenizers.a: docs/go.md
    esac
    export GOFLAGS
    flag=$(cgo_quote "-L$library_dir")
    case " ${CGO_LDFLAGS:-} " in
    *" $flag "*) ;; # someone evaluated our env before
    *) export CGO_LDFLAGS="$flag${CGO_LDFLAGS:+ $CGO_LDFLAGS}" ;;
    esac
}

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
    local name
    no_arguments env "$@"
    set_up
    for name in GOTOOLCHAIN GOFLAGS CGO_ENABLED CGO_LDFLAGS ${MACOSX_DEPLOYMENT_TARGET:+MACOSX_DEPLOYMENT_TARGET}; do
        printf 'export %s=%q\n' "$name" "${!name}"
    done
}

verb_build() {
    no_arguments build "$@"
    build ./cmd/metalrank-bulk ./tools/sweep
    # The profiler is for work on kernels: neither a demonstration nor a server waits for it.
    go build -trimpath -buildvcs=false -ldflags '-s -w' -o bin/kprof ./tools/kprof
}

# stamps: prints the linker's flags for version, commit and date. Go's own stamping is off: it fails in a checkout that belongs to
# someone else.
stamps() {
    local into=github.com/metalrank/metalrank/cmd/cli
    printf -- '-X %s.version=%s ' $into "$(git describe --tags --always --dirty 2>/dev/null || echo unknown)"
    printf -- '-X %s.commit=%s ' $into "$(git rev-parse HEAD 2>/dev/null || true)"
    printf -- '-X %s.date=%s' $into "$(TZ=UTC git log -1 --date=iso-strict-local --format=%cd 2>/dev/null || true)"
}

# build [PACKAGE...]: build bin/metalrank and the programs of more packages.
build() {
    set_up
    [ -x bin/metalrank ] || say 'compiling: about three minutes on two cores the first time'
    go build -trimpath -buildvcs=false -ldflags "-s -w $(stamps)" -o bin/ ./cmd/metalrank "$@"
}

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

# concurrent lists the packages that share memory between goroutines.
concurrent='./cmd/cli ./cmd/metalrank ./cmd/metalrank-bulk/...
    ./engine ./engine/cpu ./engine/gpu ./engine/trace ./httpapi/... ./internal/... ./kernels ./metal/darwin ./metal/metaltest ./metal/sim
    ./engine/wordpiece ./weights ./weights/builtin ./weights/calibrate ./weights/convert ./weights/hub
    ./tools/bench/httpbench ./tools/bench/peers/... ./tools/check/mutate ./tools/fetched ./tools/model/pack ./tools/process
    ./tools/sweep/load ./tools/sweep/target ./tools/system/...'

# test_timeout bounds the tests of one package. It has room for a machine that is four times as slow, and busy.
test_timeout=25m

set_up_tests() {
    set_up
    want_simulator
    want_arm
    # Where tests must not skip, theirs of the link find zig in the cache.
    if [ "${CI:-}" = true ] && [ "$(go env GOOS)" = linux ]; then go run ./tools/check/darwincheck link >&2; fi
}

verb_test() {
    set_up_tests
    [ $# = 0 ] || go_test_over_all "$@"
    exec go test -short -timeout "$test_timeout" ./...
}

verb_test_all() {
    local failed='' timeout=$test_timeout
    no_arguments test-all "$@"
    [ -z "${METALRANK_TEST_LONG:-}" ] || timeout=3h
    set_up_tests
    trap 'exit 130' INT # go test answers a Ctrl-C by failing, which must not start the next pass
    go test -timeout "$timeout" ./... || failed='the tests'
    say 'again under the race detector, the concurrent packages'
    # shellcheck disable=SC2086 # a list of words
    go test -race -short -timeout "$test_timeout" $concurrent || failed="${failed:+$failed, and }the tests under the race detector"
    [ -z "$failed" ] || die "failed: $failed; the output of go test is above"
}

# run_tool PACKAGE ARGS: builds a tool into the cache folder and runs it, in the root of the repository.
run_tool() {
    local package=$1
    shift
    set_up
    go build -o "$(cache_dir)/bin/" "./$package"
    exec "$(cache_dir)/bin/${package##*/}" "$@"
}

# archives DIR: prints the path of a folder with archives; a relative one is meant from where the user stands.
archives() {
    cd -- "$invoked_from"
    [ -f "$1/SHA256SUMS" ] || die "release: $1 has no archives: \`./build.sh release $1\` makes them"
    cd -- "$1" && pwd
}

# release_image DIR: checks the manifests and makes the container image of the archives in DIR; as root on Linux, runs it.
release_image() {
    local folder
    need_tools
    folder=$(archives "$1")
    cd tools/release/container
    export CGO_ENABLED=0
    go run . check "$root/docs/operations/compose.yaml" "$root/docs/operations/kubernetes.yaml"
    go run . build "$folder"
    if [ "$(uname -s)-$(id -u)" = Linux-0 ]; then go run . try "$folder"; fi
}

# verb_release: `./build.sh release [DIR [PLATFORM...]]` makes archives; the other forms are tools/release's verbs.
verb_release() {
    local folder platform library libraries=()
    case ${1:-} in
    again) release_again "${2:-dist}"; return ;;
    image) release_image "${2:-dist}"; return ;;
    formula | module | notes | notice | sums | try) run_tool tools/release "$@" ;;
    esac
    folder=$(cd -- "$invoked_from" && mkdir -p -- "${1:-dist}" && cd -- "${1:-dist}" && pwd)
    [ $# = 0 ] || shift
    [ $# != 0 ] || set -- darwin-arm64 linux-amd64 linux-arm64
    say "making archives of $* in $folder"
    set_up
    for platform; do
        case $platform in
        darwin-arm64) library=$(library_for aarch64-apple-darwin) ;;
        linux-amd64) library=$(library_for x86_64-unknown-linux-musl) ;;
        linux-arm64) library=$(library_for aarch64-unknown-linux-musl) ;;
        *) usage_error "release: there is no platform $platform" ;;
        esac
        libraries+=(--library "$platform=$library")
    done
    build ./cmd/metalrank-bulk
    # The tool has the stamps of a program, and hands them on.
    go build -ldflags "$(stamps)" -o "$(cache_dir)/bin/" ./tools/release
    exec "$(cache_dir)/bin/release" build "${libraries[@]}" --programs bin "$folder"
}

# release_again DIR: builds the archives in DIR once more in another folder, with caches of its own, and compares the bytes: those
# that this system makes, of the commit that is checked out.
release_again() {
    local folder elsewhere sums of='(linux-a[a-z]*64|darwin-arm64-stub)'
    folder=$(archives "$1")
    [ "$(uname -s)" != Darwin ] || of='darwin-arm64'
    sums=$(grep -E "  metalrank-$(git describe --tags --always)-$of\.tar\.gz\$" "$folder/SHA256SUMS") ||
        die "release: $1 has no archives that this system makes of the commit that is checked out"
    elsewhere=$(mktemp -d)
    say "building again in $elsewhere, some ten minutes on two cores for each platform"
    git clone --quiet . "$elsewhere/another folder"
    # shellcheck disable=SC2046 # a list of words
    (cd "$elsewhere/another folder" && XDG_CACHE_HOME=$elsewhere/cache GOCACHE=$elsewhere/go ./build.sh release ../again \
        $(sed -E 's/.*-([a-z]*-a[a-z]*64)(-stub)?\.tar\.gz$/\1/' <<<"$sums") >&2)
    diff - "$elsewhere/again/SHA256SUMS" <<<"$sums" || die "two builds differ: see $elsewhere"
    rm -rf "$elsewhere"
    say "a second build of $1 has the same bytes"
}

verb_check() {
    build
    run_tool tools/check "$@"
}

verb_bench() {
    case ${1:-} in
    peers) run_tool tools/bench/peers "${@:2}" ;;
    http) run_tool tools/bench/httpbench "${@:2}" ;;
    esac
    set_up
    go_test_over_all -run='^$' -bench=. -benchmem "$@"
}

verb_fleet() {
    if [ "${1:-}" = job ]; then
        need_tools
        cd tools/system/fleet/jobcheck
        CGO_ENABLED=0 exec go run . ../../../../docs/operations/metalrank.nomad.hcl
    fi
    build
    go build -o "$(cache_dir)/bin/" ./tools/system/fleet/node
    run_tool tools/system/fleet --node "$(cache_dir)/bin/node" --metalrank "$root/bin/metalrank" "$@"
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

verb_fuzz() {
    local seconds=${1:-60} targets target package failed=''
    [ $# -le 1 ] || usage_error 'fuzz takes one argument: the seconds for each target'
    case $seconds in *[!0-9]* | 0*) usage_error "fuzz: not a number of seconds: $seconds" ;; esac
    set_up
    # `go test -list` has the names of a package's targets first, and then `ok package time`.
    targets=$(go test -list '^Fuzz' ./... |
        awk '/^Fuzz/ { names[n++] = $1 } /^ok/ { for (i = 0; i < n; i++) print $2, names[i]; n = 0 }')
    [ -n "$targets" ] || die 'there are no fuzz targets'
    while read -r package target; do
        say "$target in $package, $seconds s"
        # The default spends a minute on making one interesting input smaller: all the time that there is.
        go test -run '^$' -fuzz "^$target\$" -fuzztime "${seconds}s" -fuzzminimizetime 20x "$package" </dev/null ||
            failed="$failed $target"
    done <<<"$targets"
    [ -z "$failed" ] || die "failed:$failed"
}

# verb_metallib: compiles ahead of time the kernels that a Mac would compile at start, with the driver's flags. Metal 3.1
# came with macOS 14. Xcode 26 has a command `metal` that fails until its toolchain is installed: hence the trial.
verb_metallib() {
    local source objects compile='xcrun -sdk macosx metal -std=metal3.1 -mmacosx-version-min=14.0 -O3 -fno-fast-math'
    no_arguments metallib "$@"
    objects=$(mktemp -d)
    echo 'kernel void trial() {}' | $compile -x metal -c - -o "$objects/trial" ||
        die "no Metal compiler that works: it comes with Xcode; from Xcode 26 on: xcodebuild -downloadComponent MetalToolchain." \
            "Nothing needs it: source that has no metallib is compiled at start"
    for source in kernels/*.metal; do
        $compile -c "$source" -o "$objects/$(basename "$source" .metal).air"
    done
    xcrun -sdk macosx metallib "$objects"/*.air -o kernels/metallib/kernels.metallib
    rm -rf "$objects"
}

verb=${1:-}
[ $# = 0 ] || shift
case $verb in
deps | build | demo | serve | test | check | env | fuzz | metallib | bench | fleet | release) "verb_$verb" "$@" ;;
test-all) verb_test_all "$@" ;;
bulk)
    build ./cmd/metalrank-bulk
    run_tool tools/system/bulktest "$@"
    ;;
conformance | browser | faults)
    build
    run_tool "tools/system/$verb" "$@"
    ;;
help | -h | --help) print_help ;;
'') usage_error 'say what to do' ;;
*) usage_error "unknown verb: $verb" ;;
esac
