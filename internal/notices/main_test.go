package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestPrint_RefusesUnknownLicence(t *testing.T) {
	for name, c := range map[string]component{
		"no licence":         {name: "example.org/x", version: "v1.2.3"},
		"an unknown licence": {name: "example.org/x", version: "v1.2.3", texts: []string{"All rights reserved."}},
	} {
		if err := print(new(bytes.Buffer), []component{c}); err == nil || !strings.Contains(err.Error(), "example.org/x v1.2.3") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPrint_WritesEachTextOnce(t *testing.T) {
	const text = "Mozilla Public License, version 2.0"
	var out bytes.Buffer
	err := print(&out, []component{
		{name: "b", version: "v2", texts: []string{text + "\r\n"}, source: "somewhere"},
		{name: "a", version: "v1", texts: []string{text}},
	})
	got := out.String()
	if err != nil || strings.Count(got, text) != 1 || !strings.Contains(got, "- a v1: MPL-2.0\n- b v2: MPL-2.0\n  source: somewhere\n") ||
		!strings.Contains(got, "\na v1\nb v2\n---") {
		t.Errorf("%v, %q", err, got)
	}
}
