// Package quality embeds the queries with judged documents that rankings are measured by. What is in each set, and where
// it comes from, README.md says.
package quality

import "embed"

// Sets are everyday.jsonl, synthetic.jsonl and livemed.jsonl, as "metalrank eval" reads them.
//
//go:embed *.jsonl
var Sets embed.FS
