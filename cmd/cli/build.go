package cli

import (
	"cmp"
	"fmt"
	"runtime/debug"
)

// The linker sets these; see build.sh.
var version, commit, date string

// Build identifies the source that a program was built from. Commit and Date are empty where they are unknown.
type Build struct {
	Version string // as git describe has it, or the module's version after `go install`; "development" where there is none
	Commit  string // the hash, in hexadecimal
	Date    string // of the commit, as in RFC 3339
}

// CurrentBuild returns the build of this program.
func CurrentBuild() Build {
	build := Build{version, commit, date}
	if info, ok := debug.ReadBuildInfo(); ok {
		if build.Version == "" && info.Main.Version != "(devel)" {
			build.Version = info.Main.Version
		}
		for _, setting := range info.Settings {
			switch setting.Key {
			case "vcs.revision":
				build.Commit = cmp.Or(build.Commit, setting.Value)
			case "vcs.time":
				build.Date = cmp.Or(build.Date, setting.Value)
			}
		}
	}
	build.Version = cmp.Or(build.Version, "development")
	return build
}

// String returns the version, with commit and date in brackets where they are known.
func (b Build) String() string {
	switch {
	case b.Commit == "":
		return b.Version
	case b.Date == "":
		return fmt.Sprintf("%s (commit %s)", b.Version, b.Commit)
	}
	return fmt.Sprintf("%s (commit %s, %s)", b.Version, b.Commit, b.Date)
}
