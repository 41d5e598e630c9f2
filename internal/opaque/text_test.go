package opaque

import "testing"

func TestTextSealer(t *testing.T) {
	sealer := Secret{1}.TextSealer("users", 7)
	for _, text := range []string{"", "zoe\nann", "王小明"} {
		sealed := sealer.Seal(text, -42)
		if got, n, ok := sealer.Open(sealed); got != text || n != -42 || !ok {
			t.Errorf("%q came back as %q, %d, %t", text, got, n, ok)
		}
		if sealer.Seal(text, -42) == sealed {
			t.Errorf("%q is sealed in the same way twice", text)
		}
		for name, other := range map[string]struct {
			sealer *TextSealer
			sealed string
		}{
			"another secret":  {Secret{2}.TextSealer("users", 7), sealed},
			"another purpose": {Secret{1}.TextSealer("friends", 7), sealed},
			"another owner":   {Secret{1}.TextSealer("users", 8), sealed},
			"cut":             {sealer, sealed[:len(sealed)-1]},
			"changed":         {sealer, changed(sealed)},
			"of a pair":       {sealer, Secret{1}.Sealer("users", 7).Seal(1, 2)},
			"empty":           {sealer, ""},
		} {
			if got, n, ok := other.sealer.Open(other.sealed); ok {
				t.Errorf("%s: %q is accepted as %q, %d", name, text, got, n)
			}
		}
	}
}
