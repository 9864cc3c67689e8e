#!/usr/bin/env bash
# mac.sh DIR: on a Mac, checks the archive for macOS in DIR: its signatures, and the programs. With METALRANK_NOTARY, the name of
# a profile of notarytool in the keychain, Apple notarises the programs, which METALRANK_SIGN must have signed.
set -euo pipefail

[ $# = 1 ] && [ -d "$1" ] || { echo 'usage: mac.sh DIR, a folder with the archive for macOS' >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -xzf "$1"/metalrank-*-darwin-arm64.tar.gz -C "$work"
cd "$work"/metalrank-*/
codesign --verify --strict --verbose bin/metalrank bin/metalrank-bulk
if [ -n "${METALRANK_NOTARY:-}" ]; then
    # A program alone can't carry Apple's ticket: macOS asks for it when the program first starts.
    ditto -c -k bin "$work/bin.zip"
    xcrun notarytool submit "$work/bin.zip" --keychain-profile "$METALRANK_NOTARY" --wait
fi
bin/metalrank --version
printf 'The shop opens at nine.\nKettles boil water.\n' | bin/metalrank rerank -q 'opening hours' --top-n=1
bin/metalrank bulk status --help >/dev/null
bin/metalrank doctor
bin/metalrank service install --dry-run | plutil -lint -
man -M share/man metalrank | grep -q METALRANK
