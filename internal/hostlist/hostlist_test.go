package hostlist_test

import (
	"fmt"
	"testing"

	"rollcall/internal/hostlist"
)

func TestSplit(t *testing.T) {
	for _, test := range []struct{ text, single, hosts string }{
		{"redis://a", "redis://a", "[a]"},
		{"redis://u:p,w@a:1,[::1]:2/0?x=y,z", "redis://u:p,w@a:1/0?x=y,z", "[a:1 [::1]:2]"},
		{"redis://u:p@w@a,b#c,d", "redis://u:p@w@a#c,d", "[a b]"},
		{"redis://a,", "redis://a", "[a ]"},
		{"", "://", "[]"},
	} {
		if single, hosts := hostlist.Split(test.text); single != test.single || fmt.Sprint(hosts) != test.hosts {
			t.Errorf("%s: %s %v", test.text, single, hosts)
		}
	}
}

func TestJoin(t *testing.T) {
	for host, want := range map[string]string{
		"a": "a:1", "a:2": "a:2", "[::1]": "[::1]:1", "[::1]:65535": "[::1]:65535", "10.0.0.1": "10.0.0.1:1",
		"": "", ":2": "", "a:0": "", "a:65536": "", "a:x": "", "a:1:2": "", "::1": "", "u@a": "", "a/b": "", "a b": "", "a?b": "", "a#b": "",
	} {
		if got, ok := hostlist.Join(host, "1"); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %t", host, got, ok)
		}
	}
}
