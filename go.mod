module github.com/metalrank/metalrank

go 1.26.0

require (
	github.com/alecthomas/kong v1.17.0
	github.com/daulet/tokenizers v1.24.0
	github.com/go-json-experiment/json v1.27.2
	github.com/goccy/go-yaml v1.19.2
	github.com/google/go-cmp v0.7.0
	github.com/klauspost/compress v1.20.3
	github.com/progrium/darwinkit v0.5.0
	github.com/valyala/fasthttp v1.78.0
	github.com/x448/float16 v0.8.4
	go.uber.org/goleak v1.3.0
	golang.org/x/sys v0.49.0
	pgregory.net/rapid v1.3.0
)

require (
	github.com/molecule-man/go-brrr v1.3.1 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
)
