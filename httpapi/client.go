package httpapi

import "github.com/valyala/fasthttp"

// clientValue is the key of a context's value for the name of the API key that a request came with.
const clientValue = "client"

// clientOf returns that name, or "" where no key was asked for: all such requests are one client's.
func clientOf(ctx *fasthttp.RequestCtx) string {
	name, _ := ctx.UserValue(clientValue).(string)
	return name
}
