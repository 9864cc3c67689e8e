// Package train embeds the texts of this folder that other tools make requests of. What is in them, README.md says.
package train

import "embed"

// Texts are the fixtures below eval, and hand.tsv.
//
//go:embed eval/everyday.jsonl eval/synthetic.jsonl hand.tsv
var Texts embed.FS
