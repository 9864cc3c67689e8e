// Package darwin drives Apple's GPUs through Metal.
//
// It has two halves. The upper one, in Go for any system, keeps what is alive, in which order lists run, and what
// errors mean; it stands on the interface native. The lower one, in the files named _darwin, implements native:
// darwinkit's types own the Objective-C objects, and one small shim (shim.h, shim_darwin.m) sends every message,
// because darwinkit v0.5.0 cannot safely send them itself (its issue 286). A list of dispatches crosses into the shim
// once, as one flat array.
//
// The tests run the upper half over a native of their own, and the shim over an Objective-C runtime of their own; on a
// Mac metal/metaltest runs both over the real ones. Away from macOS, Open returns an error.
//
// The package knows nothing of kernels or tensors.
package darwin
