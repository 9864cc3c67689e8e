package main

import (
	"embed"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/metalrank/metalrank/internal/outfile"
)

//go:embed page.html
var pageFiles embed.FS

// writePage writes roofline.html, which shows the picture of the reader's theme, and the tables below it. It needs
// no other file.
func writePage(folder string, p *profile) error {
	pictures := map[string]template.HTML{}
	for _, t := range themes {
		data, err := os.ReadFile(filepath.Join(folder, "roofline-"+t.name+".svg")) //nolint:gosec // we have just written it
		if err != nil {
			return err
		}
		_, picture, _ := strings.Cut(string(data), "<svg")
		pictures[t.name] = template.HTML("<svg" + picture) //nolint:gosec // made by us, its texts escaped by gonum
	}
	var kernels, layers strings.Builder
	printTimes(&kernels, p, "kernel", byKernel(p.Rows))
	printTimes(&layers, p, "layer", byLayer(p.Rows))
	page, err := template.ParseFS(pageFiles, "page.html")
	if err != nil {
		return err
	}
	return outfile.Write(filepath.Join(folder, "roofline.html"), func(w io.Writer) error {
		return page.Execute(w, map[string]any{
			"Profile": p, "Light": pictures["light"], "Dark": pictures["dark"], "Kernels": kernels.String(), "Layers": layers.String(),
		})
	})
}
