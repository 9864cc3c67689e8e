// Package darwin drives Apple's GPUs through Metal.
//
// It has two halves. The upper one, in Go for any system, manages lifetimes, the order of lists and the meaning of
// errors; it calls the interface native. The lower one, in the files named _darwin, implements native: darwinkit's
// types own the Objective-C objects, and one small shim (shim.h, shim_darwin.m) sends every message, because darwinkit
// v0.5.0 cannot safely send them itself (its issue 286). A list of dispatches is passed to the shim in one call, as one
// flat array.
//
// The tests run the upper half over a native of their own, and the shim over a Metal and a Foundation of their own
// (testdata/objc); on a Mac metal/metaltest runs both over the real ones. On other systems, Open returns an error.
//
// The package knows nothing of kernels or tensors.
package darwin
