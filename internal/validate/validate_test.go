package validate

import (
	"strings"
	"testing"

	"rollcall/internal/fault"
)

type item struct {
	ID string `json:"id" validate:"required,max=64,userid"`
}

type form struct {
	Name  string   `json:"name" validate:"required,max=3,notblank,nocontrol,nobidi"`
	URL   *string  `json:"url" validate:"omitnil,maxbytes=30,http_url"`
	IDs   []string `json:"ids" validate:"max=2,dive,required,max=64,userid"`
	Items []item   `json:"items" validate:"dive"`
}

func TestStruct(t *testing.T) {
	url := func(s string) *string { return &s }
	for name, c := range map[string]struct {
		form        form
		field, rule string
	}{
		"good":               {form{Name: "林林林", URL: url("https://example.org/")}, "", ""},
		"missing":            {form{}, "input.name", "required"},
		"characters":         {form{Name: "林林林林"}, "input.name", "max"},
		"blank":              {form{Name: " \u2003"}, "input.name", "notblank"},
		"invisible":          {form{Name: "\u200b\u3164"}, "input.name", "notblank"},
		"override":           {form{Name: "a\u202eb"}, "input.name", "nobidi"},
		"control":            {form{Name: "a\x00"}, "input.name", "nocontrol"},
		"C1 control":         {form{Name: "a\u0085b"}, "input.name", "nocontrol"},
		"no URL":             {form{Name: "a", URL: url("example.org")}, "input.url", "http_url"},
		"empty URL":          {form{Name: "a", URL: url("")}, "input.url", "http_url"},
		"ftp":                {form{Name: "a", URL: url("ftp://example.org/")}, "input.url", "http_url"},
		"bytes":              {form{Name: "a", URL: url("http://e.org/" + strings.Repeat("林", 6))}, "input.url", "maxbytes"},
		"third of the list":  {form{Name: "a", IDs: []string{"a", "b", "c"}}, "input.ids", "max"},
		"second of the list": {form{Name: "a", IDs: []string{"a", "b c"}}, "input.ids.1", "userid"},
		"nested":             {form{Name: "a", Items: []item{{"x"}, {""}}}, "input.items.1.id", "required"},
	} {
		err := New().Struct("input", c.form)
		if c.field == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		refusal, _ := err.(*fault.Error)
		if refusal == nil || refusal.Code != fault.InvalidArgument || refusal.Extensions["field"] != c.field || refusal.Extensions["rule"] != c.rule {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.HasPrefix(refusal.Message, c.field+" must ") {
			t.Errorf("%s: the message %q does not name the field", name, refusal.Message)
		}
	}
}

func TestVar(t *testing.T) {
	v := New()
	if err := v.Var("ids", []string{"a", "b"}, "max=2,dive,userid"); err != nil {
		t.Error(err)
	}
	err := v.Var("ids", []string{"a", "b", "c", "d e"}, "max=5,dive,userid")
	if refusal, _ := err.(*fault.Error); refusal == nil || refusal.Extensions["field"] != "ids.3" {
		t.Error(err)
	}
	var none *int
	if err := v.Var("first", none, "omitnil,min=1,max=100"); err != nil {
		t.Error(err)
	}
	for _, n := range []int{0, -1, 101} {
		if err := v.Var("first", &n, "omitnil,min=1,max=100"); fault.CodeOf(err) != fault.InvalidArgument {
			t.Errorf("first: %d: %v", n, err)
		}
	}
}

// TestStruct_FieldsThatExcludeEachOther: zero values, nil and empty lists are not given.
func TestStruct_FieldsThatExcludeEachOther(t *testing.T) {
	type either struct {
		IDs []string `json:"ids" validate:"either=All"`
		All bool     `json:"all"`
	}
	type without struct {
		Text string `json:"text" validate:"without=Clear,omitempty,max=3"`
		No   int    `json:"no" validate:"without=Clear"`
		// Clear excludes both.
		Clear bool `json:"clear"`
	}
	for _, c := range []struct {
		in   any
		want string
	}{
		{either{}, "INVALID_ARGUMENT: ids must be given if all is not, and must not be given if it is"},
		{either{IDs: []string{}}, "INVALID_ARGUMENT: ids must be given if all is not, and must not be given if it is"},
		{either{IDs: []string{"a"}, All: true}, "INVALID_ARGUMENT: ids must be given if all is not, and must not be given if it is"},
		{either{IDs: []string{"a"}}, ""},
		{either{All: true}, ""},
		{either{IDs: []string{}, All: true}, ""},
		{without{}, ""},
		{without{Clear: true}, ""},
		{without{Text: "abc", No: 1}, ""},
		{without{Text: "abcd"}, "INVALID_ARGUMENT: text must have at most 3 characters"},
		{without{Text: "abc", Clear: true}, "INVALID_ARGUMENT: text must not be given together with clear"},
		{without{No: 1, Clear: true}, "INVALID_ARGUMENT: no must not be given together with clear"},
	} {
		got := ""
		if err := New().Struct("", c.in); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.in, got, c.want)
		}
	}
}
