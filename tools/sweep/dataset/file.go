package dataset

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Bounds of a user's file.
const (
	maxFileBytes = 1 << 30
	maxLineBytes = 16 << 20
)

// line is a query with its documents, which text-embeddings-inference calls texts.
type line struct {
	Query     *string  `json:"query"`
	Documents []string `json:"documents"`
	Texts     []string `json:"texts"`
}

func (s *Set) readFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("data set: %w", err)
	}
	defer file.Close()
	hash := sha256.New()
	s.lines, err = readLines(io.TeeReader(io.LimitReader(file, maxFileBytes+1), hash))
	if err != nil {
		return fmt.Errorf("data set %s: %w", path, err)
	}
	s.data.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return nil
}

// readLines reads {"query": …, "documents": […]} a line.
func readLines(r io.Reader) ([]Request, error) {
	var requests []Request
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxLineBytes)
	total := 0
	for n := 1; scanner.Scan(); n++ {
		if total += len(scanner.Bytes()) + 1; total > maxFileBytes {
			return nil, fmt.Errorf("line %d: more than %d bytes", n, maxFileBytes)
		}
		if len(bytes.TrimSpace(scanner.Bytes())) == 0 {
			continue
		}
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if l.Documents == nil {
			l.Documents = l.Texts
		}
		if l.Query == nil || len(l.Documents) == 0 {
			return nil, fmt.Errorf(`line %d: want {"query": "…", "documents": ["…", …]}`, n)
		}
		requests = append(requests, Request{*l.Query, l.Documents})
	}
	if err := scanner.Err(); err != nil {
		return nil, err
	}
	if len(requests) == 0 {
		return nil, errors.New("no requests")
	}
	return requests, nil
}

// fromLines takes the file's queries in turns, each with its documents. The cell sets the number of documents; where a
// query has too few, fromLines starts again at its first.
func (s *Set) fromLines(n, documents int, stream uint64) []Request {
	requests := make([]Request, n)
	for i := range requests {
		turn := uint64(i) + stream
		l := s.lines[turn%uint64(len(s.lines))]
		first := turn / uint64(len(s.lines)) * uint64(documents) // the next turn continues after this turn's documents
		requests[i] = Request{l.Query, make([]string, documents)}
		for j := range documents {
			requests[i].Documents[j] = l.Documents[(first+uint64(j))%uint64(len(l.Documents))]
		}
	}
	return requests
}
