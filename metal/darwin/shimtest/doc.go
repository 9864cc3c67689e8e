// Package shimtest lets metal/darwin's tests call into C where there is no Metal. Its plain C, compiled against shim.h,
// reads a list as the shim would. This shows that C and Go agree on the layout, and measures the cost of a call.
//
// It knows shim.h and nothing of the driver.
package shimtest
