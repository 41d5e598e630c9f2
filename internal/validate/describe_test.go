package validate

import "testing"

func TestDescribe(t *testing.T) {
	for _, c := range []struct {
		rule  string
		kinds []Kind
		want  string
	}{
		{"omitnil,min=1,max=100", []Kind{Number}, "1 to 100"},
		{"max=500", []Kind{List, Text}, "at most 500 items"},
		{"max=500,dive", []Kind{List}, "at most 500 items"},
		{"min=1", []Kind{List, Text}, "at least 1 item"},
		{"min=1,max=20", []Kind{List, Text}, "1 to 20 items"},
		{"required", []Kind{Text}, "at least 1 character"},
		{"required,max=64,userid", []Kind{Text}, "1 to 64 characters, only `A-Z a-z 0-9 _ - . @ = +`"},
		{"omitnil,maxbytes=1024,http_url", []Kind{Text}, "at most 1024 bytes, an http or https URL with a valid host and port, without user info, quotes, angle brackets, backslashes, spaces or invisible characters"},
		{"required,max=64,notblank,nocontrol,nobidi", []Kind{Text}, "1 to 64 characters, at least one visible character, no control characters, no bidirectional overrides"},
		{"omitnil,max=100,dive,required,max=64,userid", []Kind{List, Text}, "at most 100 items, each of 1 to 64 characters, only `A-Z a-z 0-9 _ - . @ = +`"},
		{"max=1024,node=request", []Kind{Text}, "at most 1024 characters, begins with `request:`"},
		{"omitnil", []Kind{Text}, ""},
		{"omitempty,max=64", []Kind{Text}, "at most 64 characters"},
		{"either=AllDevices,max=100", []Kind{List, Text}, "at most 100 items, given if `allDevices` is not, and only then"},
		{"without=RemoveAvatar", []Kind{Text}, "not together with `removeAvatar`"},
	} {
		if got, err := Describe(c.rule, c.kinds...); got != c.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", c.rule, got, err, c.want)
		}
	}
	for _, rule := range []string{"nonsense", "max=1,nonsense", "max=1,dive,nonsense"} {
		if got, err := Describe(rule, List, Text); err == nil {
			t.Errorf("%s: %q, want an error", rule, got)
		}
	}
}
