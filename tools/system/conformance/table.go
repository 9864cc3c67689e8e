package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// printTable prints a row for each client, and below the table the errors.
func printTable(w io.Writer, results []result) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "client\tpackage\tversion\tresult")
	right := 0
	for i := range results {
		r := &results[i]
		verdict := "right"
		if r.Error != nil {
			verdict = "WRONG"
		} else {
			right++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.Client, r.Package, r.Version, verdict)
	}
	_ = table.Flush() // to a terminal or a buffer, as fmt.Fprint
	for i := range results {
		if r := &results[i]; r.Error != nil {
			fmt.Fprintf(w, "\n%s:\n    %s\n", r.Client, strings.ReplaceAll(strings.TrimSpace(*r.Error), "\n", "\n    "))
		}
	}
	fmt.Fprintf(w, "\n%d of %d right\n", right, len(results))
}
