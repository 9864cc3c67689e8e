//go:build !linux

package main

import "syscall"

// tied is of use on Linux, where alone there are namespaces to run this in.
func tied() *syscall.SysProcAttr { return nil }
