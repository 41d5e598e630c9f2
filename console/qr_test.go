package console

import (
	"fmt"
	"image/color"
	"regexp"
	"strings"
	"testing"

	"github.com/boombuler/barcode/qr"
)

// TestQRCode_DrawsEachModule checks that the path covers the dark modules, and only these.
func TestQRCode_DrawsEachModule(t *testing.T) {
	const text = "otpauth://totp/Rollcall:王?secret=ABCDEFGHIJKLMNOPQRSTUVWXYZ234567&issuer=Rollcall"
	code, err := newQRCode(text)
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[[2]int]bool{}
	for _, run := range strings.SplitAfter(code.Path, "z") {
		var x, y, length, back int
		if n, _ := fmt.Sscanf(run, "M%d %dh%dv1h-%dz", &x, &y, &length, &back); n < 4 {
			continue
		}
		for i := range length {
			drawn[[2]int{x + i, y}] = true
		}
	}
	if !regexp.MustCompile(`^(M\d+ \d+h\d+v1h-\d+z)+$`).MatchString(code.Path) {
		t.Errorf("path %q", code.Path)
	}
	want, err := qr.Encode(text, qr.M, qr.Unicode)
	if err != nil {
		t.Fatal(err)
	}
	for x := range code.Size {
		for y := range code.Size {
			if dark := want.At(x, y) == color.Black; dark != drawn[[2]int{x, y}] {
				t.Fatalf("module %d, %d: drawn %v, want %v", x, y, !dark, dark)
			}
		}
	}
}
