package httpapi

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"strings"

	"github.com/valyala/fasthttp"
)

//go:embed pages/page.css
var pageStyle string

// pageIcon is the wordmark's icon. Without one a browser asks for /favicon.ico.
const pageIcon = template.URL("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='-1 0 18 16'%3E" +
	"%3Cpath fill='%23c2602f' d='M1 2h14v3H1zM1 6.5h10v3H1zM1 11h6v3H1z'/%3E%3C/svg%3E")

// htmlPage is an answer in HTML. All it needs is inside, so that it asks no other host for anything.
type htmlPage struct {
	html   []byte
	policy string // Content-Security-Policy: its own style and script, by their hashes, and no others
}

// pageParts are the values for every page's template.
type pageParts struct {
	Icon  template.URL
	Style template.CSS
}

var commonParts = pageParts{pageIcon, template.CSS(pageStyle)}

// newPage fills a template; script is the text for {{.Script}} in the page, or "".
func newPage(name, source, script string, data any) (htmlPage, error) {
	parsed, err := template.New(name).Funcs(template.FuncMap{"prose": prose}).Parse(source)
	if err != nil {
		return htmlPage{}, fmt.Errorf("httpapi: BUG: %w", err)
	}
	var html bytes.Buffer
	if err := parsed.Execute(&html, data); err != nil {
		return htmlPage{}, fmt.Errorf("httpapi: BUG: %w", err)
	}
	policy := "default-src 'none'; img-src data:; style-src " + sourceHash(pageStyle)
	if script != "" {
		policy += "; script-src " + sourceHash(script) + "; connect-src 'self'"
	}
	return htmlPage{html.Bytes(), policy + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}, nil
}

// prose returns text as HTML, with the parts in backquotes as code.
func prose(text string) template.HTML {
	var html strings.Builder
	for i, part := range strings.Split(text, "`") {
		if part = template.HTMLEscapeString(part); i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		html.WriteString(part)
	}
	return template.HTML(html.String())
}

// sourceHash names an inline style or script in a policy (CSP level 3, 2.3.1).
func sourceHash(text string) string {
	hash := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
}

// pageHeaders are those of every page, besides its policy.
var pageHeaders = [...][2]string{
	{"X-Content-Type-Options", "nosniff"},
	{"X-Frame-Options", "DENY"},
	{"Referrer-Policy", "no-referrer"},
	{"Cross-Origin-Opener-Policy", "same-origin"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"},
	{fasthttp.HeaderCacheControl, "no-cache"}, // after an update the next visit has the new one
}

func (p *htmlPage) show(ctx *fasthttp.RequestCtx) {
	header := &ctx.Response.Header
	header.SetContentType("text/html; charset=utf-8")
	header.Set(fasthttp.HeaderContentSecurityPolicy, p.policy)
	for _, h := range pageHeaders {
		header.Set(h[0], h[1])
	}
	setBody(ctx, p.html)
}
