//go:build !linux

package main

import "syscall"

// tied does nothing here: only Linux has the namespaces that this program runs in.
func tied() *syscall.SysProcAttr { return nil }
