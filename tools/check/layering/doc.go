// Package layering checks what every package of the module may know of: the import edges, who may leave Go's memory
// safety, and names. Its test fails on whatever rules.go does not allow.
//
// It reads the import lines of all files itself, since `go list` would see only the files of the platform it runs on.
// It must not know what the packages do.
package layering
