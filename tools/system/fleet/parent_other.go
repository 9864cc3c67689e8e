//go:build !linux

package main

import "syscall"

// killWithParent does nothing here: only Linux has the namespaces that this program runs in.
func killWithParent() *syscall.SysProcAttr { return nil }
