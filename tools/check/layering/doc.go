// Package layering checks the import edges between the module's packages, which files may leave Go's memory safety, and
// names. Its test fails on everything that rules.go does not allow.
//
// It reads the import lines of all files itself, since `go list` would see only the files of the platform it runs on.
// It must not depend on the packages' purpose.
package layering
