package workload

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// topic is a query with sentences about it or near it.
type topic struct {
	Query string   `json:"query"`
	Docs  []string `json:"docs"`
}

// Corpus is the text that workloads are made of: this project's own, from tools/train.
type Corpus struct {
	evaluation []topic  // the fixtures, which also are a workload as they are
	topics     []topic  // those, and the pairs written by hand
	sentences  []string // of all topics
}

// ReadCorpus reads the texts below dir, which is tools/train: eval/*.jsonl and hand.tsv.
func ReadCorpus(dir string) (*Corpus, error) {
	c := &Corpus{}
	for _, name := range []string{"everyday.jsonl", "synthetic.jsonl"} {
		err := eachLine(filepath.Join(dir, "eval", name), func(line string) error {
			var t topic
			if err := json.Unmarshal([]byte(line), &t); err != nil {
				return err
			}
			if t.Query == "" || len(t.Docs) == 0 {
				return fmt.Errorf("no query or no docs in %.60q", line)
			}
			c.evaluation = append(c.evaluation, t)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	c.topics = append(c.topics, c.evaluation...)
	err := eachLine(filepath.Join(dir, "hand.tsv"), func(line string) error {
		query, answer, found := strings.Cut(line, "\t")
		if !found {
			return fmt.Errorf("no tab in %.60q", line)
		}
		c.topics = append(c.topics, topic{Query: query, Docs: []string{answer}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, t := range c.topics {
		c.sentences = append(c.sentences, t.Docs...)
	}
	return c, nil
}

func eachLine(path string, use func(string) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if err := use(lines.Text()); err != nil {
			return fmt.Errorf("workload: %s: %w", path, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("workload: %s: %w", path, err)
	}
	return nil
}
