package main

import (
	"debug/macho"
	"fmt"
	"path"
	"slices"
	"strings"
)

// needed are libraries that the driver can't do without, by the last element of their path.
var needed = []string{"Metal", "Foundation", "libobjc.A.dylib", "libSystem.B.dylib"}

// inspect returns the names of the libraries that an executable loads, sorted. Errors: it is no Mach-O executable for
// arm64, or it does not load all needed libraries.
func inspect(executable string) ([]string, error) {
	file, err := macho.Open(executable)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if file.Cpu != macho.CpuArm64 || file.Type != macho.TypeExec {
		return nil, fmt.Errorf("%s: %v for %v, want an executable for %v", executable, file.Type, file.Cpu, macho.CpuArm64)
	}
	libraries, err := file.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	for i, library := range libraries {
		libraries[i] = path.Base(library)
	}
	for _, library := range needed {
		if !slices.Contains(libraries, library) {
			return nil, fmt.Errorf("%s: loads %s, want %s too", executable, strings.Join(libraries, ", "), library)
		}
	}
	return unique(libraries), nil // one for each -l of the command line
}

// selectorsIn returns the selectors that an object file names, sorted: the strings of the section __objc_methname, each
// ended by a zero byte (objc4's objc-file.h).
func selectorsIn(object string) ([]string, error) {
	file, err := macho.Open(object)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	section := file.Section("__objc_methname")
	if section == nil {
		return nil, nil
	}
	names, err := section.Data()
	if err != nil {
		return nil, err
	}
	return unique(strings.Split(strings.TrimSuffix(string(names), "\x00"), "\x00")), nil
}
