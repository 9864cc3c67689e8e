package service

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"howett.net/plist"
)

func example(system bool) *Service {
	return &Service{
		Program: "/opt/metal rank/metalrank", Args: []string{"serve", "--name=a & <b>", "--listen=127.0.0.1:8080"}, System: system,
		User: &user.User{Username: "jo", Uid: "501", Gid: "20", HomeDir: "/Users/jo"}, StopTime: 34500 * time.Millisecond,
	}
}

// The property list is read by a parser of its own, and has the keys that launchd needs: the user and its home only in a
// daemon's, a folder for logs that is the user's, and time for the drain.
func TestLaunchd(t *testing.T) {
	for _, system := range []bool{false, true} {
		path, content, err := example(system).File("darwin")
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if _, err := plist.Unmarshal(content, &got); err != nil {
			t.Fatalf("%v:\n%s", err, content)
		}
		logs, environment := "/Users/jo/Library/Logs/metalrank", map[string]any{}
		want := map[string]any{
			"Label": "com.metalrank.serve", "RunAtLoad": true, "KeepAlive": true, "ThrottleInterval": uint64(5), "ExitTimeOut": uint64(40),
			"ProgramArguments": []any{"/opt/metal rank/metalrank", "serve", "--name=a & <b>", "--listen=127.0.0.1:8080"},
			"ProcessType":      "Interactive", "SoftResourceLimits": map[string]any{"NumberOfFiles": uint64(16384)},
		}
		wantPath := "/Users/jo/Library/LaunchAgents/com.metalrank.serve.plist"
		if system {
			wantPath, logs = "/Library/LaunchDaemons/com.metalrank.serve.plist", "/var/log/metalrank"
			want["UserName"], environment["HOME"] = "jo", "/Users/jo"
		}
		environment["METALRANK_LOG_FILE"], want["EnvironmentVariables"] = logs+"/serve.log", environment
		want["StandardErrorPath"] = logs + "/crash.log"
		if path != wantPath || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n%v\nwant %s\n%v", path, got, wantPath, want)
		}
		if folders := (launchd{example(system)}).folders(); len(folders) != 1 || folders[0] != logs {
			t.Errorf("folders %q", folders)
		}
	}
}

// TestPlistOfPython reads the property list by Python's parser, where there is one.
func TestPlistOfPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	_, content, err := example(true).File("darwin")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), python, "-c", "import plistlib, sys; print(plistlib.loads(sys.stdin.buffer.read())['ProgramArguments'][2])")
	command.Stdin = bytes.NewReader(content)
	if out, err := command.CombinedOutput(); err != nil || string(out) != "--name=a & <b>\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// TestSystemd has systemd itself check the unit, where it is installed.
func TestSystemd(t *testing.T) {
	folder := t.TempDir()
	for _, system := range []bool{false, true} {
		s := example(system)
		s.Program, s.User.Username = "/bin/echo", "root" // verify wants both to exist
		s.Args = append(s.Args, `quote " dollar $HOME percent %n back \ tab	`)
		_, content, err := s.File("linux")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			`ExecStart=/bin/echo serve "--name=a & <b>" --listen=127.0.0.1:8080 "quote \" dollar $$HOME percent %%n back \\ tab\t"` + "\n",
			"TimeoutStopSec=40\n", "Restart=always\n", "LimitNOFILE=16384\n",
		} {
			if !strings.Contains(string(content), want) {
				t.Errorf("no %s in\n%s", want, content)
			}
		}
		if has := strings.Contains(string(content), "User=root\n"); has != system {
			t.Errorf("system %v:\n%s", system, content)
		}
		program, err := exec.LookPath("systemd-analyze")
		if err != nil {
			continue
		}
		path := filepath.Join(folder, unit)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), program, "verify", "--man=no", path).CombinedOutput(); err != nil || strings.Contains(string(out), unit) {
			t.Errorf("systemd-analyze verify: %v\n%s", err, out)
		}
	}
}

// The system's commands are called in order, with the file in place; a second installation stops the first, and the end of
// it all leaves no file.
func TestInstallAndUninstall(t *testing.T) {
	folder := t.TempDir()
	calls := filepath.Join(folder, "calls")
	for _, name := range []string{"systemctl", "launchctl"} {
		script := "#!/bin/sh\necho " + name + " \"$@\" >>'" + calls + "'\n"
		if err := os.WriteFile(filepath.Join(folder, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	for system, want := range map[string]string{
		"linux": `systemctl --user daemon-reload
systemctl --user enable metalrank.service
systemctl --user restart metalrank.service
systemctl --user disable --now metalrank.service
systemctl --user daemon-reload
systemctl --user enable metalrank.service
systemctl --user restart metalrank.service
systemctl --user status --no-pager metalrank.service
systemctl --user disable --now metalrank.service
`,
		"darwin": `launchctl enable gui/501/com.metalrank.serve
launchctl bootstrap gui/501 HOME/Library/LaunchAgents/com.metalrank.serve.plist
launchctl bootout gui/501/com.metalrank.serve
launchctl enable gui/501/com.metalrank.serve
launchctl bootstrap gui/501 HOME/Library/LaunchAgents/com.metalrank.serve.plist
launchctl print gui/501/com.metalrank.serve
launchctl bootout gui/501/com.metalrank.serve
`,
	} {
		s := example(false)
		self, err := user.Current() // root gives the folder of logs to the user
		if err != nil {
			t.Fatal(err)
		}
		s.User.HomeDir, s.User.Gid = t.TempDir(), self.Gid
		var out bytes.Buffer
		path, _, err := s.File(system)
		if err != nil {
			t.Fatal(err)
		}
		for i, step := range []func(context.Context, string) error{
			func(ctx context.Context, system string) error { return s.Install(ctx, system, &out, &out) },
			func(ctx context.Context, system string) error { // over a file that others may read
				err := errors.Join(os.Chmod(path, 0o644), s.Install(ctx, system, &out, &out))
				if info, failure := os.Stat(path); failure != nil {
					t.Error(failure)
				} else if mode := info.Mode().Perm(); mode != 0o600 {
					t.Errorf("%s: the file is %v, want it to be the owner's alone", system, mode)
				}
				return err
			},
			func(ctx context.Context, system string) error { return s.Status(ctx, system, &out, &out) },
			func(ctx context.Context, system string) error { return s.Uninstall(ctx, system, &out, &out) },
		} {
			if err := step(t.Context(), system); err != nil {
				t.Fatalf("%s: step %d: %v\n%s", system, i, err, &out)
			}
		}
		got, err := os.ReadFile(calls)
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.ReplaceAll(string(got), s.User.HomeDir, "HOME"); text != want {
			t.Errorf("%s: calls\n%s\nwant\n%s", system, text, want)
		}
		if err := os.Remove(calls); err != nil {
			t.Fatal(err)
		}
		if err := s.Uninstall(t.Context(), system, &out, &out); err == nil || !strings.Contains(err.Error(), "no such service") {
			t.Errorf("%s: a second uninstall: %v", system, err)
		}
	}
	if err := example(false).Install(t.Context(), "plan9", nil, nil); err == nil {
		t.Error("plan9 has a service")
	}
}

// TestCommand runs a command as the service: by its user, where root can choose one, and without the caller's variables.
func TestCommand(t *testing.T) {
	t.Setenv("METALRANK_MODEL", "mine")
	owner, err := user.Current()
	if err == nil && owner.Uid == "0" {
		owner, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Skip(err)
	}
	s := &Service{Program: "/bin/sh", User: owner}
	command, err := s.Command(t.Context(), "-c", `id -u; pwd; echo "$HOME$METALRANK_MODEL"`)
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.Output()
	if want := owner.Uid + "\n/\n" + owner.HomeDir + "\n"; err != nil || string(out) != want {
		t.Errorf("%q, %v, want %q", out, err, want)
	}
}

func TestOwner(t *testing.T) {
	if u, err := Owner("root"); err != nil || u.Uid != "0" {
		t.Errorf("%v, %v", u, err)
	}
	for _, name := range []string{"", "nobody-has-this-name"} {
		if _, err := Owner(name); err == nil {
			t.Errorf("%q: no error", name)
		}
	}
}
