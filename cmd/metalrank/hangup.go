package main

import (
	"os"
	"os/signal"
	"syscall"
)

// onHangup calls reload for every SIGHUP, one call at a time, until stop is called, which waits for a call under way.
func onHangup(reload func()) (stop func()) {
	hangups, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		defer close(done)
		for range hangups {
			reload()
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups) // nothing is sent after Stop
		<-done
	}
}
