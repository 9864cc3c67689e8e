package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"

	"github.com/go-json-experiment/json"
)

var words = strings.Fields(`kettle scale lime water hours open sale shoes train ticket pizza garden snow tax bread piano
	river stone glass school doctor battery phone music paint roof window tiger ocean bicycle engine solar winter market`)

// writePairs writes short pairs, of one to six words, a few for each query.
func writePairs(path string, count int, seed uint64) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	random := rand.New(rand.NewPCG(seed, 0))
	some := func(most int) string {
		text := make([]string, 1+random.IntN(most))
		for i := range text {
			text[i] = words[random.IntN(len(words))]
		}
		return strings.Join(text, " ")
	}
	query := some(2)
	for range count {
		if random.IntN(5) == 0 {
			query = some(2)
		}
		err := json.MarshalWrite(out, struct {
			Query string `json:"query"`
			Text  string `json:"text"`
		}{query, some(4)})
		if err != nil {
			return errors.Join(err, file.Close())
		}
		if err := out.WriteByte('\n'); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	return errors.Join(out.Flush(), file.Close())
}

func (o *options) modelFlags() []string {
	flags := []string{"--precision", o.Precision}
	if o.Model != "" {
		flags = append(flags, "--model", o.Model)
	}
	return flags
}

func scoreDirectly(ctx context.Context, o *options, inputs, output string) error {
	c := exec.CommandContext(ctx, o.Metalrank, append([]string{"score", "--pairs", inputs, "-o", output}, o.modelFlags()...)...)
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("metalrank score: %w: %s", err, text)
	}
	return nil
}

// compare says whether two files of results have the same lines, each index once and in order.
func compare(stdout io.Writer, pairs int, direct, bulk string) error {
	a, err := os.Open(direct)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(bulk)
	if err != nil {
		return err
	}
	defer b.Close()
	want, got := bufio.NewScanner(a), bufio.NewScanner(b)
	count := 0
	for want.Scan() {
		if !got.Scan() {
			return fmt.Errorf("bulk has %d results, want %d", count, pairs)
		}
		if want.Text() != got.Text() {
			return fmt.Errorf("line %d is %s in bulk and %s directly", count+1, got.Text(), want.Text())
		}
		if !strings.HasPrefix(got.Text(), fmt.Sprintf(`{"index":%d,`, count)) {
			return fmt.Errorf("line %d is %s, want index %d", count+1, got.Text(), count)
		}
		count++
	}
	if got.Scan() {
		return fmt.Errorf("bulk goes on after %d results: %s", count, got.Text())
	}
	if err := errors.Join(want.Err(), got.Err()); err != nil {
		return err
	}
	if count != pairs {
		return fmt.Errorf("%d results for %d pairs", count, pairs)
	}
	fmt.Fprintf(stdout, "%d results for %d pairs, each once and in order; all bytes are those of the direct run\n", count, pairs)
	return nil
}
