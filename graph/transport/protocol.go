package transport

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/tidwall/gjson"
)

// subprotocol is the WebSocket subprotocol, specified at
// https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md.
const subprotocol = "graphql-transport-ws"

// maxOperationID limits the length of an operation's ID, which every message about it repeats.
const maxOperationID = 256

// maxReason is the longest reason that fits a close frame.
const maxReason = ws.MaxControlFramePayloadSize - 2

// The types of messages that a client may send.
const (
	typeInit      = "connection_init"
	typePing      = "ping"
	typePong      = "pong"
	typeSubscribe = "subscribe"
	typeComplete  = "complete"
)

// request is a message from a client. Which fields are set depends on its type.
type request struct {
	kind    string
	id      []byte // as JSON; for subscribe and complete
	payload json.RawMessage
}

// readRequest reads a message. If it is invalid, the error is the closing for it.
func readRequest(text []byte) (request, error) {
	if !json.Valid(text) {
		return request{}, closeBadMessage
	}
	var kind, id, payload gjson.Result
	gjson.ParseBytes(text).ForEach(func(name, value gjson.Result) bool {
		switch name.Str {
		case "type":
			kind = value
		case "id":
			id = value
		case "payload":
			payload = value
		}
		return true
	})
	if kind.Type != gjson.String && kind.Raw != "null" {
		return request{}, closeBadMessage
	}
	req := request{kind: kind.Str, payload: json.RawMessage(payload.Raw)}
	switch req.kind {
	case typeInit, typePing, typePong:
		if isEmptyArray(payload) {
			req.payload = nil
		} else if payload.Type != gjson.Null && !isObject(req.payload) {
			return request{}, closeBadPayload
		}
	case typeSubscribe, typeComplete:
		var ok bool
		if req.id, ok = operationID(id.Raw); !ok {
			return request{}, closeBadID
		}
	default:
		return request{}, closeUnknownType
	}
	return req, nil
}

// operationID returns the ID of an operation, given as JSON, in a canonical form of JSON. It
// reports false if raw is not a valid ID.
func operationID(raw string) ([]byte, bool) {
	if plainString(raw) {
		return []byte(raw), len(raw)-2 <= maxOperationID
	}
	var id string
	if err := json.Unmarshal([]byte(raw), &id); err != nil || id == "" || len(id) > maxOperationID {
		return nil, false
	}
	return encodeJSON(id), true
}

// plainString reports whether a JSON value is a non-empty string in the form in which encoding/json
// would write it.
func plainString(raw string) bool {
	if len(raw) < 3 || raw[0] != '"' {
		return false
	}
	for _, c := range []byte(raw[1 : len(raw)-1]) {
		if c >= utf8.RuneSelf || strings.IndexByte(`\<>&`, c) >= 0 {
			return false
		}
	}
	return true
}

func isObject(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '{' }

// initPayload is the payload of connection_init.
type initPayload struct {
	authorization string
	platform      string
}

// readInit reads connection_init's payload, which is an object or absent. The name of the token's
// field is also accepted in lower case, as with HTTP headers. A platform that is not a string is
// ignored.
func readInit(payload json.RawMessage) (init initPayload, err error) {
	fields := gjson.ParseBytes(payload)
	token := fields.Get("Authorization")
	if !token.Exists() {
		token = fields.Get("authorization")
	}
	if init.authorization, err = stringField(token); err != nil {
		return init, closeBadPayload
	}
	init.platform, _ = stringField(fields.Get("platform"))
	return init, nil
}

// The following functions return the messages that the server sends, except the `next` of an event,
// which appendMessage writes.

func textMessage(payload []byte) message { return message{op: ws.OpText, payload: payload} }

func textEvent(sub *subscription, key int64, payload []byte) message {
	return message{op: ws.OpText, sub: sub, key: key, payload: payload}
}

func ackMessage() message { return textMessage([]byte(`{"type":"connection_ack"}`)) }

func pongMessage(payload json.RawMessage) message {
	if len(payload) == 0 {
		return textMessage([]byte(`{"type":"pong"}`))
	}
	return textMessage(slices.Concat([]byte(`{"type":"pong","payload":`), payload, []byte(`}`)))
}

func nextMessage(id, response []byte) message {
	return textMessage(slices.Concat([]byte(nextHead), id, []byte(nextBody), response, []byte(nextTail)))
}

func errorMessage(id, errors []byte) message {
	return textMessage(slices.Concat([]byte(`{"id":`), id, []byte(`,"type":"error","payload":`), errors, []byte(`}`)))
}

func completeMessage(id []byte) message {
	return textMessage(slices.Concat([]byte(`{"id":`), id, []byte(`,"type":"complete"}`)))
}

// closeMessage returns the close frame for how.
func closeMessage(how closing) message {
	if how.code == ws.StatusNoStatusRcvd {
		return message{op: ws.OpClose}
	}
	return message{op: ws.OpClose, payload: ws.NewCloseFrameBody(how.code, how.reason[:min(len(how.reason), maxReason)])}
}

// The text around an event's response.
const (
	nextHead = `{"id":`
	nextBody = `,"type":"next","payload":`
	nextTail = `}`
)

// appendMessage appends m as one WebSocket frame.
func appendMessage(dst []byte, m message) []byte {
	if m.sub == nil {
		return append(appendFrameHeader(dst, m.op, len(m.payload)), m.payload...)
	}
	dst = appendFrameHeader(dst, m.op, len(nextHead)+len(m.sub.id)+len(nextBody)+len(m.payload)+len(nextTail))
	dst = append(dst, nextHead...)
	dst = append(dst, m.sub.id...)
	dst = append(dst, nextBody...)
	dst = append(dst, m.payload...)
	return append(dst, nextTail...)
}

// appendFrameHeader appends the header of a whole, unmasked message.
func appendFrameHeader(dst []byte, op ws.OpCode, length int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case length < 126:
		return append(dst, byte(length))
	case length <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(length))
}
