package backend

import "context"

type encodedKey struct{}

// WhenEncoded returns a context with which Forward calls f once the device has all of its work; after that Forward only
// waits for the device.
func WhenEncoded(ctx context.Context, f func()) context.Context {
	return context.WithValue(ctx, encodedKey{}, f)
}

// Encoded is called by a backend's Forward, and calls the function that WhenEncoded was given, if any.
func Encoded(ctx context.Context) {
	if f, ok := ctx.Value(encodedKey{}).(func()); ok {
		f()
	}
}
