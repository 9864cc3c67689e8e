# shellcheck shell=bash disable=SC2154 # build.sh, which sources this, sets the other variables
# The toolchains that build metalrank: which are missing, how to get them, and their installation as root on Debian or Ubuntu.
# ../build.sh sources it, in the root of the repository. bash 3.2 is enough: macOS has nothing newer.

say() { printf 'build.sh: %s\n' "$*" >&2; }

die() {
    say "$@"
    exit 1
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

# The minimum versions are written once, where the tools themselves read them.
go_minimum() { sed -n 's/^go \([0-9.]*\)$/\1/p' go.mod; }
rust_minimum() { sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' "$crate/Cargo.toml"; }

# Each lacks_TOOL prints the wanted version if TOOL is missing or too old, and nothing if all is well.

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

# find_missing: puts one line `tool|wanted version` for each missing tool into $missing.
find_missing() {
    missing=''
    miss go "$(lacks_go)"
    [ -n "$missing" ] || locate_library
    if ! links -lstdc++; then
        miss cc "$(lacks_cc)"
        miss c++ "$(lacks_cxx)"
    fi
    # Cargo has one use: with the library built, it is not needed.
    if [ -z "${LIBTOKENIZERS_DIR:-}" ] && [ ! -f "$library_dir/libtokenizers.a" ]; then
        miss cargo "$(lacks_cargo)"
    fi
}

miss() { [ -z "$2" ] || missing="$missing$1|$2"$'\n'; }

is_debian_root() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# apt_install PACKAGE...: shows apt's output only where it fails.
apt_install() {
    local log
    log=$(mktemp)
    { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
        </dev/null >"$log" 2>&1 || cat "$log" >&2
    rm -f "$log"
    hash -r
}

# want_simulator: finds a clang++ for the simulator of Metal, which compiles kernels when it runs, and GNU's Objective-C library,
# on which tests run the macOS driver's shim; as root on Debian or Ubuntu it installs them. Everything else works without, so
# that they are never demanded.
want_simulator() {
    if (run_tool tools/check/simcompile --compiler >/dev/null) 2>/dev/null && has_objc; then return; fi
    if is_debian_root; then
        say 'installing clang and libobjc, to test the Metal side: a minute or two'
        apt_install clang-19 gobjc
    fi
    (run_tool tools/check/simcompile --compiler >/dev/null) || say 'the tests of the simulator are skipped'
}

# want_arm: does the same for the cross compiler and the emulator that test the kernels for ARM.
want_arm() {
    if [ "$(uname -s)" != Linux ] || [ "$(uname -m)" = aarch64 ] || has_arm; then return; fi
    if is_debian_root; then
        say 'installing a cross compiler and an emulator, to test the kernels for ARM: a minute or two'
        apt_install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
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

# install_missing: installs the missing tools, as root on Debian or Ubuntu. Tools that apt has only in old versions stay missing.
install_missing() {
    local tool packages=''
    say 'installing what is missing with apt-get: a minute or two'
    apt-get update -qq >&2 || true # and try with the package lists that are there
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
    apt_install ca-certificates $packages
}

# need_tools: returns once everything is there, or says all that is not and how to get it.
need_tools() {
    local tool wanted
    [ -n "${HOME:-}" ] || die 'HOME is not set: go, cargo and the cache folder need it'
    # Some distributions ship Go with GOTOOLCHAIN=local, where "a little too old" is a dead end.
    export GOTOOLCHAIN=${GOTOOLCHAIN:-auto}
    # The oldest macOS that runs the result, as in tools/check/darwincheck; the driver of Metal looks for 14 itself.
    if [ "$(uname -s)" = Darwin ]; then export MACOSX_DEPLOYMENT_TARGET=${MACOSX_DEPLOYMENT_TARGET:-13.0}; fi
    find_missing
    if [ -n "$missing" ] && is_debian_root; then
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
