// Package shimtest lets metal/darwin's tests cross into C where there is no Metal: plain C compiled against shim.h reads
// a list as the shim would, which shows that C and Go mean the same by it, and what a crossing costs.
//
// It knows shim.h and nothing of the driver.
package shimtest
