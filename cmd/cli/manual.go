package cli

import (
	"fmt"
	"io"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"
)

// Manual is a command for the grammar of a program. It prints the manual page, in troff's macros man.
type Manual struct{}

// Run is called by kong.
func (*Manual) Run(parsed *kong.Context, std Streams) error {
	return writeManual(std.Out, parsed.Model.Node, CurrentBuild())
}

// Hyphens and backslashes are troff's own, and so is a full stop or an apostrophe at the begin of a line. Not all systems have "…".
var troff = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'", "…", "...")

var manual = template.Must(template.New("manual").Funcs(template.FuncMap{
	"text":   func(s string) string { return strings.TrimPrefix(troff.Replace("\n"+strings.TrimSpace(s)), "\n") },
	"upper":  strings.ToUpper,
	"dashed": func(s string) string { return strings.ReplaceAll(s, " ", "-") },
	"first":  func(s string) string { first, _, _ := strings.Cut(s, "."); return first },
	"shown":  func(n *kong.Node) bool { return !n.Hidden },
	"usage": func(n *kong.Node) string {
		return strings.TrimSpace(strings.TrimPrefix(n.Summary(), n.Path()))
	},
	"day": func(date string) string { day, _, _ := strings.Cut(date, "T"); return day },
}).Parse(`{{define "flags"}}{{range .}}{{if not .Hidden}}.TP
{{if .Short}}\fB\-{{printf "%c" .Short}}\fR, {{end}}\fB\-\-{{text .Name}}\fR
{{- if not (or .IsBool .IsCounter)}}=\fI{{text .FormatPlaceHolder}}\fR{{end}}
{{text .Help}}
{{- with .Envs}} (Variable:{{range .}} {{text .}}{{end}}){{end}}
{{end}}{{end}}{{end}}
{{- define "command"}}.SS "{{text .Path}} {{text (usage .)}}"
{{with .Help}}{{text .}}
{{end}}{{range .Positional}}.TP
{{text .Summary}}
{{text .Help}}
{{end}}{{template "flags" .Flags}}{{end}}
{{- define "commands"}}{{range .Children}}{{if shown .}}{{if .Children}}{{template "commands" .}}{{else}}{{template "command" .}}{{end}}{{end}}{{end}}{{end -}}
.TH "{{upper (dashed (text .Node.Name))}}" 1 "{{day .Build.Date}}" "metalrank {{text .Build.Version}}"
.SH NAME
{{dashed (text .Node.Name)}} \- {{text (first .Node.Help)}}
.SH SYNOPSIS
.B {{text .Node.Name}}
\fIcommand\fR [\fIflags\fR]
.SH DESCRIPTION
.nf
{{text .Node.Help}}
.fi
{{template "flags" .Node.Flags}}.SH COMMANDS
{{template "commands" .Node}}.SH EXIT STATUS
0: fine. {{.Failed}}: it failed. {{.Usage}}: wrong usage.
`))

func writeManual(w io.Writer, node *kong.Node, build Build) error {
	if err := manual.Execute(w, struct {
		Node          *kong.Node
		Build         Build
		Failed, Usage int
	}{node, build, ExitFailed, ExitUsage}); err != nil {
		return fmt.Errorf("manual page: %w", err)
	}
	return nil
}
