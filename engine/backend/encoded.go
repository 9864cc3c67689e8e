package backend

import "context"

type encodedKey struct{}

// WhenEncoded returns a context with which Forward calls f once the device has all of its work: what remains is waiting
// for it.
func WhenEncoded(ctx context.Context, f func()) context.Context {
	return context.WithValue(ctx, encodedKey{}, f)
}

// Encoded is called by a backend's Forward, and calls what WhenEncoded was given, if anything.
func Encoded(ctx context.Context) {
	if f, ok := ctx.Value(encodedKey{}).(func()); ok {
		f()
	}
}
