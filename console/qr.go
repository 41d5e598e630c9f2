package console

import (
	"fmt"
	"image/color"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// qrCode is a QR code as an SVG path, of one unit for each module.
type qrCode struct {
	Size int
	Path string
}

// Width returns the width with the margin of four modules that readers need on each side.
func (q qrCode) Width() int { return q.Size + 8 }

// newQRCode returns the QR code of text.
func newQRCode(text string) (*qrCode, error) {
	code, err := qr.Encode(text, qr.M, qr.Unicode)
	if err != nil {
		return nil, fmt.Errorf("making a QR code: %w", err)
	}
	size := code.Bounds().Dx()
	dark := func(x, y int) bool { return x < size && code.At(x, y) == color.Black }
	var path strings.Builder
	for y := range size {
		for x := 0; x < size; x++ {
			begin := x
			for dark(x, y) {
				x++
			}
			if x > begin {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", begin, y, x-begin, x-begin)
			}
		}
	}
	return &qrCode{Size: size, Path: path.String()}, nil
}
