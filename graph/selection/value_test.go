package selection

import (
	"context"
	"testing"
)

type thing struct{ n int }

// TestValue_Null: null is written where the schema allows it, and left to gqlgen elsewhere.
func TestValue_Null(t *testing.T) {
	things := Of[thing]([]string{"Thing"}, Fields{"n": {Leaf: func(e *Encoder, obj any) bool { return e.Int(obj.(*thing).n) }}})
	members := []member{{text: `"n":`, field: things.fields["n"]}}
	one := &thing{1}
	const refused = "refused"
	for _, c := range []struct {
		name  string
		list  bool
		value any
		// The output if neither may be null, if the value may, and if an element may.
		strict, nullable, nullableElement string
	}{
		{"an object", false, one, `{"n":1}`, `{"n":1}`, `{"n":1}`},
		{"a struct", false, *one, `{"n":1}`, `{"n":1}`, `{"n":1}`},
		{"no object", false, (*thing)(nil), refused, `null`, refused},
		{"something else", false, 1, refused, refused, refused},
		{"a list", true, []*thing{one, one}, `[{"n":1},{"n":1}]`, `[{"n":1},{"n":1}]`, `[{"n":1},{"n":1}]`},
		{"a list of structs", true, []thing{*one}, `[{"n":1}]`, `[{"n":1}]`, `[{"n":1}]`},
		{"a list with nothing in it", true, []*thing{one, nil}, refused, refused, `[{"n":1},null]`},
		{"an empty list", true, []*thing{}, `[]`, `[]`, `[]`},
		{"no list", true, []*thing(nil), `[]`, `null`, `[]`},
		{"no list of structs", true, []thing(nil), `[]`, `null`, `[]`},
		{"an object for a list", true, one, refused, refused, refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, want := range []string{c.strict, c.nullable, c.nullableElement} {
				v := &value{typ: things, list: c.list, nullable: i == 1, nullableElement: i == 2, members: members}
				e := Encoder{ctx: memo{Context: context.Background()}}
				got := refused
				if v.write(&e, c.value) {
					got = string(e.out)
				}
				if got != want {
					t.Errorf("nullable %t, its elements %t: %s, want %s", v.nullable, v.nullableElement, got, want)
				}
			}
		})
	}
}
