package strictbase64

import (
	"encoding/base64"
	"testing"
)

func TestDecode_OneSpelling(t *testing.T) {
	for _, encoding := range []*base64.Encoding{base64.RawURLEncoding, base64.RawStdEncoding, base64.StdEncoding} {
		good := encoding.EncodeToString([]byte{1, 2, 3, 4})
		if raw, err := Decode(encoding, good); err != nil || string(raw) != "\x01\x02\x03\x04" {
			t.Errorf("%q: %v, %v", good, raw, err)
		}
		for _, bad := range []string{
			good + "\n", "\r\n" + good, good[:3] + "\n" + good[3:], good[:3] + "\r" + good[3:],
			good + " ", good[:5] + "B" + good[6:], good + "=",
		} {
			if raw, err := Decode(encoding, bad); err == nil {
				t.Errorf("%q is accepted as %v", bad, raw)
			}
		}
	}
}

// FuzzDecode: whatever is accepted is exactly what the encoding writes.
func FuzzDecode(f *testing.F) {
	f.Add("AQIDBA")
	f.Add("AQ\nID")
	f.Fuzz(func(t *testing.T, text string) {
		raw, err := Decode(base64.RawURLEncoding, text)
		if err == nil && base64.RawURLEncoding.EncodeToString(raw) != text {
			t.Errorf("%q is accepted as %v", text, raw)
		}
	})
}
