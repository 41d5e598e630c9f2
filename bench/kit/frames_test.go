//go:build linux

package kit

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// serverFrame is appendFrame without the mask.
func serverFrame(text string) []byte {
	frame := appendFrame(nil, text)
	head := 2
	if len(text) >= 126 {
		head = 4
	}
	frame[1] &= 0x7f
	return slices.Delete(frame, head, head+4)
}

func TestDeviceTakesFramesInPieces(t *testing.T) {
	texts := []string{"", "short", strings.Repeat("long ", 100)}
	var stream []byte
	for _, text := range texts {
		stream = append(stream, serverFrame(text)...)
		stream = append(stream, 0x89, 0) // a ping between them
	}
	for size := 1; size <= len(stream); size++ {
		var got []string
		d := &device{}
		for piece := range slices.Chunk(bytes.Clone(stream), size) {
			if err := d.take(piece, func(text []byte) { got = append(got, string(text)) }); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, texts) || len(d.rest) > 0 {
			t.Fatalf("in pieces of %d: %q, and %q is left", size, got, d.rest)
		}
	}
}

func TestDeviceReportsClose(t *testing.T) {
	d := &device{}
	if err := d.take([]byte{0x88, 2, 0x10, 0x05}, func([]byte) {}); err == nil {
		t.Error("a close frame went unnoticed")
	}
}
