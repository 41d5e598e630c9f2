package transport

import (
	"bytes"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// FuzzReadText: whatever a client sends, readText returns valid text within the limit or an error,
// and the text is accepted or refused without a panic.
func FuzzReadText(f *testing.F) {
	add := func(frames ...ws.Frame) {
		var b bytes.Buffer
		for _, frame := range frames {
			if err := ws.WriteFrame(&b, ws.MaskFrame(frame)); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(b.Bytes())
	}
	add(ws.NewTextFrame([]byte(`{"type":"connection_init","payload":{"Authorization":"Bearer x","platform":"WEB"}}`)))
	add(ws.NewTextFrame([]byte(`{"id":"1","type":"subscribe","payload":{"query":"{a}","variables":{"x":1}}}`)))
	add(ws.NewPingFrame([]byte("x")), ws.NewTextFrame([]byte(`{"id":"1","type":"complete"}`)))
	add(ws.NewFrame(ws.OpText, false, []byte(`{"type":`)), ws.NewPongFrame(nil), ws.NewFrame(ws.OpContinuation, true, []byte(`"ping"}`)))
	add(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "")))
	f.Add([]byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})

	const limit = 512
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		for {
			text, err := readText(r, limit, nil, func(op ws.OpCode, payload []byte) error {
				if !op.IsControl() || len(payload) > 125 {
					t.Errorf("control frame %v of %d bytes", op, len(payload))
				}
				if op == ws.OpClose {
					return closedByPeer(payload)
				}
				return nil
			})
			if err != nil {
				return
			}
			if len(text) > limit || !utf8.Valid(text) {
				t.Errorf("text of %d bytes, valid %v", len(text), utf8.Valid(text))
			}
			req, err := readRequest(text)
			if err != nil {
				continue
			}
			switch req.kind {
			case typeInit:
				_, _ = readInit(req.payload)
			case typeSubscribe:
				_, _ = jsonParams(req.payload)
			}
			if (req.kind == typeSubscribe || req.kind == typeComplete) != (req.id != nil) {
				t.Errorf("%s with id %q", req.kind, req.id)
			}
		}
	})
}
