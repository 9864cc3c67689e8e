package table

import _ "embed"

//go:embed study.md
var studyText string

// Study returns the study's own document.
func Study() *Document {
	d, err := Parse(studyText)
	if err != nil {
		panic("BUG: study.md: " + err.Error())
	}
	return d
}
