package machine

import (
	"runtime"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/internal/record"
)

func TestReadCPUInfo(t *testing.T) {
	var m record.Machine
	readCPUInfo(&m, "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx2 avx512_vnni\n\n"+
		"processor\t: 1\nmodel name\t: another\n")
	if m.CPU != "AMD EPYC, family 25, model 17" || strings.Join(m.Features, " ") != "avx2 avx512_vnni" {
		t.Errorf("%+v", m)
	}
}

func TestMemoryOf(t *testing.T) {
	for text, want := range map[string]int64{
		"MemTotal:       24567 kB\nMemFree:  1 kB\n": 24567 << 10, "": 0, "MemTotal: many kB\n": 0,
	} {
		if got := memoryOf(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func TestNameOf(t *testing.T) {
	if got := nameOf("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"); got != "Debian GNU/Linux 12 (bookworm)" {
		t.Errorf("%q", got)
	}
}

func TestDescribe(t *testing.T) {
	m := Describe()
	if m.Cores != runtime.NumCPU() || m.CPU == "" || m.System != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("%+v", m)
	}
}

func TestThermalPressure(t *testing.T) {
	for text, want := range map[string]string{
		"com.apple.system.thermalpressurelevel 0": "nominal", "com.apple.system.thermalpressurelevel 2": "heavy",
		"com.apple.system.thermalpressurelevel 9": "", "failed": "", "": "",
	} {
		if got := thermalPressure(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestLowPower(t *testing.T) {
	for text, want := range map[string]bool{
		"Currently in use:\n standby              1\n lowpowermode         1\n": true, " powermode 1\n": true,
		" lowpowermode         0\n": false, " powermode 2\n": false, " lowpowermode\n": false, "": false,
	} {
		if got := lowPower(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestCurrentState(t *testing.T) {
	if s := CurrentState(); s.Build == "" || !strings.Contains(s.String(), s.Build) {
		t.Errorf("%+v: %v", s, s)
	}
}
