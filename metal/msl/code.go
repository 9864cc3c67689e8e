package msl

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
)

//go:embed *.go
var code embed.FS

// CodeHash returns a hash of this package's own code. A caller that caches the results of Rewrite must not use them when
// the hash differs.
func CodeHash() (string, error) {
	files, err := code.ReadDir(".")
	if err != nil {
		return "", fmt.Errorf("msl: %w", err)
	}
	h := sha256.New()
	for _, file := range files {
		text, err := code.ReadFile(file.Name())
		if err != nil {
			return "", fmt.Errorf("msl: %w", err)
		}
		fmt.Fprintf(h, "%s %d\n%s", file.Name(), len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
