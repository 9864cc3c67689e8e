package main

import (
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/metalrank/metalrank/tools/bench/peers/python"
	"github.com/metalrank/metalrank/tools/fetched"
	"github.com/metalrank/metalrank/tools/process"
)

// shape is the shape of a published model, of which python/shapes.py makes a checkpoint with random weights.
type shape struct {
	name   string
	layers int // 0: as many as the model has
}

func (s shape) String() string {
	if s.layers == 0 {
		return s.name
	}
	return fmt.Sprintf("%s, %d layers", s.name, s.layers)
}

// shapeNames are those of python/shapes.py.
var shapeNames = []string{"modernbert-base", "bge-v2-m3", "qwen3-0.6b"}

// parseShapes reads a list like "modernbert-base,bge-v2-m3:2".
func parseShapes(list string) ([]shape, error) {
	if list == "" {
		return nil, nil
	}
	var shapes []shape
	for item := range strings.SplitSeq(list, ",") {
		name, layers, limited := strings.Cut(item, ":")
		s := shape{name: name}
		if !slices.Contains(shapeNames, name) {
			return nil, fmt.Errorf("no shape %q, want %s", name, strings.Join(shapeNames, ", "))
		}
		if limited {
			var err error
			if s.layers, err = strconv.Atoi(layers); err != nil || s.layers < 1 {
				return nil, fmt.Errorf("%q layers of %s, want a number from 1 on", layers, name)
			}
		}
		shapes = append(shapes, s)
	}
	return shapes, nil
}

// compareShapes compares on one shape after another. Each has an equal part of the time for its rounds.
func (o *options) compareShapes(out, errOut io.Writer) error {
	end := time.Now().Add(time.Duration(o.Minutes) * time.Minute)
	folder := o.Out
	for i, s := range o.shapes {
		one := *o
		model, err := o.checkpoint(s)
		if err != nil {
			return err
		}
		one.Model = model
		one.until = time.Now().Add(time.Until(end) / time.Duration(len(o.shapes)-i))
		if folder != "" {
			one.Out = filepath.Join(folder, s.name)
		}
		fmt.Fprintf(errOut, "peers: %s, until %s\n", s, one.until.Format("15:04:05"))
		if !o.Prepare {
			fmt.Fprintf(out, "\n# %s, random weights\n\n", s)
		}
		if err := compareAll(one, out, errOut); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// checkpoint returns the folder of a shape's checkpoint, which is made once.
func (o *options) checkpoint(s shape) (string, error) {
	script, err := python.Scripts.ReadFile("shapes.py")
	if err != nil {
		return "", err
	}
	folder := filepath.Join(o.Cache, fmt.Sprintf("%s-%d-%08x", s.name, s.layers, crc32.ChecksumIEEE(script)))
	return filepath.Join(folder, "model"), fetched.Once(folder, func(unfinished string) error {
		kit := python.Kit{Interpreter: o.Python, Folder: scripts, Cache: o.Cache, Threads: o.Threads}
		command := kit.Command("shapes.py", "--shape", s.name, "--layers", strconv.Itoa(s.layers), "--tokenizer", o.Model,
			"--out", filepath.Join(unfinished, "model"))
		p, err := process.Start(command, nil)
		if err != nil {
			return err
		}
		if err := p.Wait(); err != nil {
			return fmt.Errorf("shapes.py: %w", err)
		}
		return nil
	})
}
