package main

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/metalrank/metalrank/tools/fetched"
)

// sdkFiles is the stub SDK: headers, and the text-based stubs (.tbd) that stand for libraries when linking. It has only
// the names that our programs use, and copies nothing of Apple's.
//
//go:embed sdk
var sdkFiles embed.FS

// frameworkFolder is where frameworks are, in any macOS SDK.
const frameworkFolder = "System/Library/Frameworks"

// writeSDK writes the stub SDK into a folder below cache and returns that folder. Its name has a hash of all files in
// it: the go command caches a C compiler's output by the compiler's flags, and doesn't look at headers outside the
// package.
func writeSDK(cache, darwinkit string) (string, error) {
	files, err := sdkContent(darwinkit)
	if err != nil {
		return "", err
	}
	return fetched.Files(cache, "darwin-sdk", files)
}

// sdkContent returns the files of the stub SDK, by path within it.
func sdkContent(darwinkit string) (map[string][]byte, error) {
	files := map[string][]byte{}
	tree, err := fs.Sub(sdkFiles, "sdk")
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[path], err = fs.ReadFile(tree, path)
		return err
	})
	if err != nil {
		return nil, err
	}
	for framework, folder := range map[string]string{"Foundation": "foundation", "Metal": "metal"} {
		headers := frameworkFolder + "/" + framework + ".framework/Headers/"
		named, err := os.ReadFile(filepath.Join(darwinkit, "macos", folder, "protocols.gen.m"))
		if err != nil {
			return nil, err
		}
		files[headers+"protocols.h"] = protocolHeader(named, files[headers+framework+".h"])
	}
	return files, nil
}

var (
	namedProtocol    = regexp.MustCompile(`@protocol\((\w+)\)`)
	declaredProtocol = regexp.MustCompile(`@protocol (\w+) <`)
)

// protocolHeader returns empty declarations of the protocols that named, a file of darwinkit's, lists and header does
// not declare. Darwinkit lists the protocols of each framework, so that the linker keeps them.
func protocolHeader(named, header []byte) []byte {
	declared := map[string]bool{"NSObject": true} // in objc/NSObject.h
	for _, match := range declaredProtocol.FindAllSubmatch(header, -1) {
		declared[string(match[1])] = true
	}
	var text bytes.Buffer
	fmt.Fprintln(&text, "// Made by darwincheck from darwinkit's protocols.gen.m.")
	fmt.Fprintln(&text, "#pragma once\n#include <objc/NSObject.h>")
	for _, match := range namedProtocol.FindAllSubmatch(named, -1) {
		if name := string(match[1]); !declared[name] {
			fmt.Fprintf(&text, "@protocol %s <NSObject>\n@end\n", name)
		}
	}
	return text.Bytes()
}
