// Package quality has queries with judged documents, by which rankings are measured. README.md describes each set and its
// source. The two sets that other tools take texts from are embedded.
package quality

import "embed"

// Sets are everyday.jsonl and synthetic.jsonl, as "metalrank eval" reads them.
//
//go:embed everyday.jsonl synthetic.jsonl
var Sets embed.FS
