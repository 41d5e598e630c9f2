package httpheader

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestElements(t *testing.T) {
	for _, c := range []struct{ lines, want []string }{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{"a"}, []string{"a"}},
		{[]string{"a, b ,\tc"}, []string{"a", "b", "c"}},
		{[]string{"a", "b,c"}, []string{"a", "b", "c"}},
		{[]string{" , a,, ", ",", "", "b,"}, []string{"a", "b"}},
		{[]string{`a;x="1,2", b`}, []string{`a;x="1,2"`, "b"}},
		{[]string{`a;x="\",", b`}, []string{`a;x="\","`, "b"}},
		{[]string{`a;x="1, b`, "c"}, []string{`a;x="1, b`, "c"}},
		{[]string{`a;x="\`}, []string{`a;x="\`}},
		{[]string{`a\,b`}, []string{`a\`, "b"}},
	} {
		h := http.Header{"X": c.lines}
		if got := slices.Collect(Elements(h, "x")); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.lines, got, c.want)
		}
	}
	for first := range Elements(http.Header{"X": {"a,b", "c"}}, "X") {
		if first != "a" {
			t.Errorf("the first is %q", first)
		}
		break
	}
}

func TestHas(t *testing.T) {
	for value, want := range map[string]bool{
		"": false, "upgrade": true, "Upgrade": true, "keep-alive, UPGRADE": true, "keep-alive": false,
		"upgrades": false, "up grade": false, `"upgrade"`: false,
	} {
		if got := Has(http.Header{"Connection": {value}}, "Connection", "upgrade"); got != want {
			t.Errorf("%q: %t, want %t", value, got, want)
		}
	}
	if !Has(http.Header{"Connection": {"keep-alive", "Upgrade"}}, "connection", "upgrade") {
		t.Error("the second line is not read")
	}
}

func TestPreferences(t *testing.T) {
	for value, want := range map[string]string{
		"":                                "",
		"gzip, br":                        "gzip 1,br 1",
		"GZIP;q=0, *; q=0.5":              "gzip 0,* 0.5",
		"en-US,en;q=0.9|zh ; q=0.8":       "en-us 1,en 0.9,zh 0.8",
		"a/b;q=x, c/d;q=2, e/f;q=-1, g/h": "g/h 1",
		"a/b;q=NaN, c/d;q=Inf, e/f;q=1.0": "e/f 1",
		`a/b;p="x,y";q=0.2,*/*`:           "a/b 0.2,*/* 1",
		"/, ;q=1, a/b/c":                  "",
	} {
		var got []string
		for name, quality := range Preferences(http.Header{"X": strings.Split(value, "|")}, "X") {
			got = append(got, fmt.Sprint(name, " ", quality))
		}
		if strings.Join(got, ",") != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}
