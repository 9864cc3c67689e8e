package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/metalrank/metalrank/tools/system/server"
)

// tryAsUser tries the archive that lies unpacked in folder with this machine's programs: shells complete a word by its files, man
// shows a page, doctor finds no fault, systemd takes the service's file, and the command in that serves.
func tryAsUser(ctx context.Context, folder string, out io.Writer) (err error) {
	program, share := filepath.Join(folder, "bin", "metalrank"), filepath.Join(folder, "share")
	service, err := output(ctx, nil, program, "service", "install", "--dry-run", "--", "--listen=127.0.0.1:0")
	if err != nil {
		return err
	}
	unit := filepath.Join(folder, "metalrank.service")
	if err := os.WriteFile(unit, service, 0o600); err != nil {
		return err
	}
	environment := []string{"PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH"), "HOME=" + folder, "XDG_DATA_DIRS=" + share, "LC_ALL=C"}
	for _, try := range []struct {
		program string
		args    []string
		want    string
	}{
		{"bash", []string{"--norc", "-c", `. "$0"/bash-completion/completions/metalrank
			COMP_WORDS=(metalrank bulk subm) COMP_CWORD=2 && _metalrank && echo "$COMPREPLY"`, share}, "submit\n"},
		{"zsh", []string{"-f", "-c", `fpath=("$0"/zsh/site-functions $fpath) && autoload -Uz compinit && compinit -u -D
			_describe() { print -r -- ${(P)2} } && words=(metalrank bulk subm) CURRENT=3 && $_comps[metalrank]`, share}, "submit:"},
		{"fish", []string{"-c", "complete -C 'metalrank bulk subm'"}, "submit\t"},
		{"man", []string{"-M", filepath.Join(share, "man"), "metalrank-bulk"}, "METALRANK-BULK(1)"},
		{"systemd-analyze", []string{"verify", "--man=no", unit}, ""},
		{program, []string{"doctor", "--speed-time=0", "--skip=latency"}, "metalrank "}, // here are compilers, which the empty root lacks
	} {
		name := filepath.Base(try.program)
		if _, err := exec.LookPath(try.program); err != nil {
			fmt.Fprintf(out, "  %-10s not tried: this machine has none\n", name)
			continue
		}
		printed, err := output(ctx, environment, try.program, try.args...)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(strings.TrimLeft(string(printed), "\n"), try.want) {
			return fmt.Errorf("%s printed %.300q, want %q", name, printed, try.want)
		}
		fmt.Fprintf(out, "  %-10s fine\n", name)
	}
	_, line, _ := strings.Cut(string(service), "\nExecStart=")
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(line)
	if len(words) == 0 {
		return fmt.Errorf("the service's file has no command:\n%s", service)
	}
	s, err := server.Start(ctx, exec.CommandContext(ctx, words[0], words[1:]...), nil)
	if err != nil {
		return err
	}
	return s.End(syscall.SIGTERM)
}
