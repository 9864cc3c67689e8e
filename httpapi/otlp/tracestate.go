package otlp

import (
	"bytes"
	"slices"
	"strings"
)

// Bounds of the header tracestate (Trace Context, 3.3.1).
const (
	maxStateBytes   = 512 // that everybody has to pass on; longer ones are dropped whole
	maxStateMembers = 32
	maxStateKey     = 256
	maxStateValue   = 256
)

// ParseState returns the header tracestate, its lines joined by commas, or "" if it is not valid by Trace Context. An
// invalid one must be dropped, lest a collector refuses the whole message because of it.
func ParseState(lines [][]byte) string {
	header := bytes.Join(lines, []byte(","))
	if len(header) > maxStateBytes {
		return ""
	}
	var members, keys []string
	for member := range strings.SplitSeq(string(header), ",") {
		if member = strings.Trim(member, " \t"); member == "" {
			continue
		}
		key, value, ok := strings.Cut(member, "=")
		if !ok || !fitKey(key) || !fitValue(value) || slices.Contains(keys, key) || len(members) == maxStateMembers {
			return ""
		}
		members, keys = append(members, member), append(keys, key)
	}
	return strings.Join(members, ",")
}

func fitKey(key string) bool {
	if key == "" || len(key) > maxStateKey || strings.IndexByte("_-*/@", key[0]) >= 0 {
		return false
	}
	for i := range len(key) {
		c := key[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("_-*/@", c) < 0 {
			return false
		}
	}
	return true
}

func fitValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '=' {
			return false
		}
	}
	return value != "" && len(value) <= maxStateValue
}
