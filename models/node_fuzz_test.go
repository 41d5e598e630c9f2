package models

import (
	"strings"
	"testing"
)

// FuzzParseNodeID: an ID that is accepted is written in one way only.
func FuzzParseNodeID(f *testing.F) {
	for _, id := range []string{
		"", "ann", ":", "app:key", "status:ann", "status:", "friendship:ann:bob", "friendship:ann", "friendship:a:b:c",
		"block:ann:bob", "whitelist:ann:bob", "subscription:ann:bob", "device:ann:X", "request:x", "user:ann", "丽:\xff", "APP:key",
	} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		kind, parts, ok := ParseNodeID(id)
		if !ok {
			return
		}
		again := parts[0]
		switch {
		case kind != UserNode && len(parts) == 2:
			again = kind.PairID(parts[0], parts[1])
		case kind != UserNode && len(parts) == 1:
			again = kind.ID(parts[0])
		case len(parts) != 1:
			t.Fatalf("%q has the parts %q", id, parts)
		}
		if again != id {
			t.Errorf("%q is written as %q", id, again)
		}
		for _, part := range parts {
			if strings.Contains(part, ":") {
				t.Errorf("%q has the part %q", id, part)
			}
		}
	})
}
