package peers

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/tools/bench/peers/python"
	"github.com/metalrank/metalrank/tools/fetched"
)

func TestStart(t *testing.T) {
	for script, want := range map[string]string{
		`echo '{"error": "no MPS device"}'; cat >/dev/null`: "no MPS device",
		`echo no module torch >&2; exit 1`:                  "no module torch",
		`echo 'Welcome!'; cat >/dev/null`:                   "before it served",
		`printf '{"port": 7'; echo killed >&2; kill -9 $$`:  "killed",
		// Its output ends well before it prints the reason.
		`exec >&-; sleep 0.1; echo out of memory >&2; exit 1`: "out of memory",
	} {
		if _, err := Start(t.Context(), exec.Command("sh", "-c", script)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", script, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, exec.Command("cat")); !errors.Is(err, context.Canceled) {
		t.Errorf("a start that is called off: %v", err)
	}
	s, err := Start(t.Context(), exec.Command("sh", "-c", `echo '{"port": 7, "device": "cpu", "versions": {"a": "1"}}'; cat >/dev/null`))
	if err != nil {
		t.Fatal(err)
	}
	if s.Port != 7 || s.Device != "cpu" || s.Versions["a"] != "1" {
		t.Errorf("%+v", s)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestScriptsAreWrittenOnce(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	folder, err := Scripts()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"serve.py", "peer_torch.py", "batching.py", "prepare.py"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Error(err)
		}
	}
	if again, err := Scripts(); again != folder || err != nil {
		t.Errorf("%s and then %s, %v", folder, again, err)
	}
	entries, err := os.ReadDir(filepath.Dir(folder))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

func TestNotInstalled(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	for _, name := range []string{"pytorch", "infinity"} { // of each environment, one
		if _, err := Installed(t.Context(), name); !errors.Is(err, fetched.ErrNotInstalled) && !strings.Contains(err.Error(), "no Python") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every package has one version, so that an environment is the same tomorrow.
func TestRequirementsArePinned(t *testing.T) {
	infinity, err := environmentOf("infinity")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]byte{python.Environment.Requirements, infinity.Requirements} {
		n := 0
		for line := range strings.Lines(string(list)) {
			if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			n++
			if name, version, found := strings.Cut(line, "=="); !found || name == "" || version == "" {
				t.Errorf("not pinned: %s", line)
			}
		}
		if n < 20 {
			t.Errorf("%d packages", n)
		}
	}
}
