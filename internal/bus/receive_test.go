package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzReceive sends texts that come from Redis to a node. A message is received exactly if another
// node could have sent it, and a message that is received has the value that was sent.
func FuzzReceive(f *testing.F) {
	type hint struct {
		List   int
		Owner  int64
		Others []int64
		Note   *string
	}
	const hints Subject[hint] = "hint"
	f.Add("other hint " + `{"List":1,"Owner":2,"Others":[3,4],"Note":"a b"}`)
	f.Add("other hint null")
	f.Add("own hint {}")
	f.Add("other+ hint {}")
	f.Add("other missed ")
	f.Add("other missed {}")
	f.Add("other hint")
	f.Add("other unknown {}")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		var heard []hint
		missed := 0
		b := new(Bus)
		hints.Hear(b, func(_ context.Context, h hint) { heard = append(heard, h) })
		b.OnMissed(func(context.Context) { missed++ })
		l := &Link{bus: b, node: "own", ctx: t.Context()}
		l.receive("", text)
		if len(heard)+missed > 1 || bytes.HasPrefix([]byte(text), []byte("own ")) && len(heard)+missed > 0 {
			t.Fatalf("%q was received as %v, and %d times as missed", text, heard, missed)
		}
		if len(heard) == 0 {
			return
		}
		body, err := json.Marshal(heard[0])
		if err != nil {
			t.Fatal(err)
		}
		l.receive("", outgoing{subject: "hint", body: body}.text("other"))
		if len(heard) != 2 || !reflect.DeepEqual(heard[0], heard[1]) {
			t.Errorf("%q is received as %v", body, heard)
		}
	})
}
