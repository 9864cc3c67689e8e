//go:build armbe || arm64be || m68k || mips || mips64 || mips64p32 || ppc || ppc64 || s390 || s390x || shbe || sparc || sparc64

package weights

// Checkpoints are little-endian, and the F32 tensors in them are used as they lie in memory. A big-endian build fails
// here, on this name, rather than computing nonsense; no big-endian platform of Go is supported.
var _ = this_package_needs_a_little_endian_host
