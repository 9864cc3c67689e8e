# shellcheck shell=bash disable=SC2154 # build.sh, which sources this, sets the other variables
# libtokenizers.a, which the Go module github.com/daulet/tokenizers links: built with cargo from that module's own Rust source
# and the crate in this folder, once for each version, in the cache folder. ../../build.sh sources it after toolchain.sh.

# The Go module that links libtokenizers.a, and the crate that we build that library with.
tokenizers=github.com/daulet/tokenizers
crate=tools/libtokenizers
crate_files='Cargo.toml Cargo.lock lib.rs tiktoken-rs/Cargo.toml tiktoken-rs/lib.rs'

# find_module: sets module_version and module_dir from go.mod; module_dir stays empty while the module is not fetched.
module_version='' module_dir=''
find_module() {
    local found
    found=$(go list -m -e -f '{{.Version}} {{.Dir}}' "$tokenizers")
    module_version=${found%% *} module_dir=${found#* }
}

# rust_target is the machine that libtokenizers.a is for, as cargo names it. Empty: this one.
rust_target=''

# locate_library: sets library_dir to the folder that libtokenizers.a is in, or will be once it is built. The folder's
# name carries a hash of all that goes in: go does not notice another libtokenizers.a at the same path, and would go on
# linking the cached one.
library_dir='' version_symbol=''
locate_library() {
    local key
    find_module
    [ -n "$module_dir" ] || return 0
    # Cgo refers to this function, so that a library of another version does not link.
    version_symbol=$(sed -n 's/^extern void \(tokenizers_version_[0-9_]*\)(void);.*/\1/p' "$module_dir/tokenizer.go")
    [ -n "$version_symbol" ] && [ -f "$module_dir/src/lib.rs" ] ||
        die "$tokenizers $module_version: no src/lib.rs, or no version symbol in tokenizer.go: $module_dir"
    if [ -n "${LIBTOKENIZERS_DIR:-}" ] && [ -z "$rust_target" ]; then
        use_given_library
        return
    fi
    # shellcheck disable=SC2086 # a list of words
    key=$({ (cd "$crate" && cat $crate_files) && unwinding <"$module_dir/src/lib.rs"; } | sha256 | cut -c1-12)
    library_dir=$(cache_dir)/libtokenizers/$module_version-${rust_target:-$(go env GOOS)-$(go env GOARCH)}-$key
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

# unwinding: changes the Go module's src/lib.rs (standard input) as $crate/lib.rs describes. The version symbol stays as it is.
unwinding() {
    sed -e '/^#\[no_mangle\]$/{' -e N -e '/tokenizers_version_/!s/^.*\npub extern "C" fn /pub fn /' -e '}' \
        -e 's/std::ffi::CString::new(\(.*\))\.unwrap()/crate::c_string(\1)/'
}

# build_library: makes $library_dir/libtokenizers.a from the Go module's own Rust source and our crate.
#
# It is built in a folder of this run's own and renamed into place, so that nobody ever sees half a file, even if
# another run builds or is killed. The lock only saves work: a run that waited for it finds the library made.
lock='' work=''
build_library() {
    local file target
    mkdir -p "$library_dir"
    [ -w "$library_dir" ] || die "cannot write to $library_dir"
    trap release_library EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    take_lock "$library_dir/lock"
    if [ ! -f "$library_dir/libtokenizers.a" ]; then
        target=$rust_target
        if [ -n "$target" ]; then
            has_standard_library "$target" || rustup target add "$target" >&2 ||
                die "no Rust standard library for $target: install Rust with rustup, which adds it"
        else
            target=$(cargo -vV | sed -n 's/^host: //p')
            same_machine "$target"
        fi
        say "building libtokenizers.a${rust_target:+ for $target}, once for this version: about a minute on two cores"
        work=$library_dir/build.$$
        mkdir -p "$work/tiktoken-rs"
        for file in $crate_files; do cat "$crate/$file" >"$work/$file"; done
        unwinding <"$module_dir/src/lib.rs" >"$work/upstream.rs"
        # The target is named so that a build.target in the user's cargo configuration changes nothing. Panics name source
        # files: without the flags, by their paths on this machine.
        (cd "$work" && RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo --remap-path-prefix=$work=/build" \
            cargo build --release --locked --target "$target" --target-dir target) >"$work/log" 2>&1 || {
            cat "$work/log" >&2
            die 'cargo could not build libtokenizers.a: see above'
        }
        install_library "$work/target/$target/release/libtokenizers.a"
    fi
    release_library
    trap - EXIT HUP INT TERM
}

# has_standard_library TARGET: does rustc have the standard library for a machine?
has_standard_library() { [ -d "$(rustc --print target-libdir --target "$1" 2>/dev/null)" ]; }

# library_for TARGET: builds libtokenizers.a for another machine unless it is there, and prints its folder.
library_for() (
    # shellcheck disable=SC2030 # install_library reads it here, in the same subshell
    rust_target=$1
    locate_library
    [ -f "$library_dir/libtokenizers.a" ] || build_library
    printf '%s\n' "$library_dir"
)

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
    # A third of it is debug information; a library with it works as well. This system's strip breaks another's archives.
    # shellcheck disable=SC2031 # as above
    [ -n "$rust_target" ] || strip -S "$1" 2>/dev/null || true
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
