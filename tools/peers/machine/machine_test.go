package machine

import (
	"strings"
	"testing"

	"github.com/metalrank/metalrank/record"
)

func TestReadCPUInfo(t *testing.T) {
	var m record.Machine
	readCPUInfo(&m, "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx2 avx512_vnni\n\n"+
		"processor\t: 1\nmodel name\t: another\n")
	if m.CPU != "AMD EPYC, family 25, model 17" || strings.Join(m.Features, " ") != "avx2 avx512_vnni" {
		t.Errorf("%+v", m)
	}
}
