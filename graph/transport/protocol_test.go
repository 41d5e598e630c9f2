package transport

import (
	"strings"
	"testing"
)

// An operation's ID has a canonical form, so that equal IDs are recognized however the client
// writes them.
func TestOperationID_OneForm(t *testing.T) {
	long := strings.Repeat("x", maxOperationID)
	for raw, want := range map[string]string{
		`"a-1"`:                `"a-1"`,
		`"\u0061-1"`:           `"a-1"`,
		`"<é>"`:                `"\u003cé\u003e"`,
		`"\u003c\u00e9>"`:      `"\u003cé\u003e"`,
		`"say \"x\""`:          `"say \"x\""`,
		`"` + long + `"`:       `"` + long + `"`,
		`"` + long + `y"`:      "",
		`"` + long + `\u0079"`: "",
		`""`:                   "",
		`null`:                 "",
		`1`:                    "",
		`{"a":1}`:              "",
		"":                     "",
	} {
		id, ok := operationID(raw)
		if ok != (want != "") || ok && string(id) != want {
			t.Errorf("%.40s is the ID %s, %v; want %s", raw, id, ok, want)
		}
	}
}

// If a name occurs twice, in whatever form, the last value counts.
func TestReadRequest_LastValueCounts(t *testing.T) {
	for text, want := range map[string]error{
		`{"type":"complete","id":"1"}`:                     nil,
		` { "id" : "1" , "ty\u0070e" : "\u0063omplete" } `: nil,
		`{"type":"x","id":2,"id":"1","type":"complete"}`:   nil,
		`{"type":"complete","id":"1"`:                      closeBadMessage,
		`{"id":"1"}`:                                       closeBadMessage,
		`{"type":1,"id":"1"}`:                              closeBadMessage,
		`{"type":null,"id":"1"}`:                           closeUnknownType,
		`["type","complete"]`:                              closeBadMessage,
		`"type"`:                                           closeBadMessage,
		`null`:                                             closeBadMessage,
		``:                                                 closeBadMessage,
		`{"type":"complete","id":"1","type":"stop"}`: closeUnknownType,
	} {
		req, err := readRequest([]byte(text))
		if err != want || err == nil && (req.kind != typeComplete || string(req.id) != `"1"`) {
			t.Errorf("%s is %s %s, %v; want %v", text, req.kind, req.id, err, want)
		}
	}
}
