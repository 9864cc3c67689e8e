package workload

import (
	"bufio"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/metalrank/metalrank/tools/model/quality"
)

// byHand has hand.tsv: 80 questions and answers that were written for this project, a tab between.
//
//go:embed hand.tsv
var byHand embed.FS

// Topic is a query with sentences about it or near it.
type Topic struct {
	Query string   `json:"query"`
	Docs  []string `json:"docs"`
}

// Corpus is the text that workloads are made of. All of it was written for this project.
type Corpus struct {
	evaluation []Topic  // the fixtures, which also are a workload as they are
	topics     []Topic  // those, and the pairs written by hand
	sentences  []string // of all topics
}

// ReadCorpus reads two sets of tools/model/quality, and the pairs written by hand.
func ReadCorpus() (*Corpus, error) {
	c := &Corpus{}
	for _, name := range []string{"everyday.jsonl", "synthetic.jsonl"} {
		err := eachLine(quality.Sets, name, func(line string) error {
			var t Topic
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
	err := eachLine(byHand, "hand.tsv", func(line string) error {
		query, answer, found := strings.Cut(line, "\t")
		if !found {
			return fmt.Errorf("no tab in %.60q", line)
		}
		c.topics = append(c.topics, Topic{Query: query, Docs: []string{answer}})
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

// Topics returns the topics with a query of least to most tokens.
func (c *Corpus) Topics(counter *Counter, least, most int) []Topic {
	var topics []Topic
	for _, t := range c.topics {
		if n := counter.Text(t.Query); n >= least && n <= most {
			topics = append(topics, t)
		}
	}
	return topics
}

func eachLine(texts fs.FS, path string, use func(string) error) error {
	file, err := texts.Open(path)
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
