package metal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/metal"
)

func TestGeneration(t *testing.T) {
	for name, want := range map[string]int{
		"applegpu_g13s": 13, "applegpu_g16g": 16, "applegpu_g17": 17, "": 0, "g13s": 0, "applegpu_gx": 0, "applegpu_g13s2": 0,
		"applegpu_g99999999999999999999": 0,
	} {
		info := metal.Info{Architecture: name}
		if got := info.Generation(); got != want {
			t.Errorf("%q: generation %d, want %d", name, got, want)
		}
	}
}

func TestUnsupported(t *testing.T) {
	for _, c := range []struct {
		info metal.Info
		want string // in the error; empty: none
	}{
		{metal.Info{Name: "Apple M1", Families: []string{"apple7", "mac2"}}, ""},
		{metal.Info{Name: "Apple M4", Families: []string{"apple7", "apple8", "apple9"}}, ""},
		{metal.Info{Name: "simulator", Simulated: true}, ""},
		{metal.Info{Name: "Apple Paravirtual device", Families: []string{"mac2"}}, "metal: Apple Paravirtual device is not supported: a virtual machine"},
		{metal.Info{Name: "AMD Radeon Pro", Families: []string{"mac2", "metal3"}}, "metal: AMD Radeon Pro is not supported: its families are [mac2 metal3]"},
	} {
		err := c.info.Unsupported()
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.info.Name, err)
			}
			continue
		}
		if _, ok := errors.AsType[*metal.UnsupportedError](err); !ok || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: error %v, want an UnsupportedError with %q", c.info.Name, err, c.want)
		}
	}
}
