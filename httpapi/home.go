package httpapi

import (
	_ "embed"
	"html/template"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

var (
	//go:embed pages/home.html
	homeSource string
	//go:embed pages/home.js
	homeScript string
)

// newHome makes the page for trying the server. It gives the page only settings that anybody may know: the page then
// sends no request that would be refused.
func newHome(config *Config) (htmlPage, error) {
	data := struct {
		pageParts
		Script        template.JS
		Keys, Metrics string
	}{commonParts, template.JS(homeScript), "none", "public"}
	if config.Keys != nil {
		data.Keys = "wanted"
	}
	if config.PrivateMetrics {
		data.Metrics = "private"
	}
	return newPage("home", homeSource, homeScript, &data)
}

// showHome answers GET /: with the page if Accept names text/html, as browsers do, else as /health does.
func (s *Server) showHome(ctx *fasthttp.RequestCtx) *failure {
	ctx.Response.Header.Add(fasthttp.HeaderVary, fasthttp.HeaderAccept)
	if !wantsHTML(ctx.Request.Header.PeekAll(fasthttp.HeaderAccept)) {
		ctx.SetContentType("text/plain; charset=utf-8") // empty; without a type it would need its own description
		return s.health(ctx)
	}
	s.home.show(ctx)
	return nil
}

// wantsHTML tells whether Accept names text/html, with a preference that is neither 0 nor less than JSON's. Ranges such as
// */*, which programs send by default, don't count.
func wantsHTML(accept [][]byte) bool {
	html, json := 0.0, 0.0
	for _, field := range accept {
		for entry := range strings.SplitSeq(string(field), ",") {
			name, parameters, _ := strings.Cut(entry, ";")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "text/html":
				html = max(html, preference(parameters))
			case contentTypeJSON:
				json = max(json, preference(parameters))
			}
		}
	}
	return html > 0 && html >= json
}

// preference returns the q among the parameters of an entry of Accept (RFC 9110, 12.4.2): 1 if there is none, and 0 if
// it is invalid.
func preference(parameters string) float64 {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(parameter, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return 1
}
