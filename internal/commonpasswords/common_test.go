package commonpasswords

import "testing"

func TestContain(t *testing.T) {
	for password, want := range map[string]bool{
		"1qaz2wsx3edc":           true,
		"QwertyQwerty":           true,
		"password1234":           true,
		"PASSWORD-2026!":         true,
		"P@ssw0rd1234":           true,
		"password1password1":     true,
		"!!administrator!!":      true,
		"aaaaaaaaaaaaaaaa":       true,
		"abcabcabcabcab":         true,
		"123123123123123":        true,
		"1234567890123":          true,
		"zyxwvutsrqpo":           true,
		"абабабабабаб":           true,
		"":                       true,
		"correct horse battery":  false,
		"another password":       false,
		"kxq7-w2mz-a4tf":         false,
		"一二三四五六七八九十百千":           false,
		"passwords are a burden": false,
	} {
		if got := Contain(password); got != want {
			t.Errorf("Contain(%q) = %v, want %v", password, got, want)
		}
	}
}
