package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/internal/fault"
)

// codeBadRequest is the code of what is no GraphQL request at all; the rules
// never see it.
const codeBadRequest fault.Code = "BAD_REQUEST"

// badRequest is a request that is refused before it is GraphQL: the status that
// HTTP has for it, and the error for the body. It never repeats what was sent.
type badRequest struct {
	status int
	cause  *fault.Error
	// text: all but a text in the request is good, so a connection may stay.
	text bool
}

func bad(status int, format string, args ...any) *badRequest {
	return &badRequest{status: status, cause: fault.New(codeBadRequest, format, args...)}
}

// postParams reads the operation from a POST's body.
func postParams(w http.ResponseWriter, r *http.Request, limit int64) (*graphql.RawParams, *badRequest) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != mediaJSON {
		return nil, bad(http.StatusUnsupportedMediaType, "the body must have Content-Type: application/json")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, bad(http.StatusUnsupportedMediaType, "the body must be UTF-8")
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, bad(http.StatusUnsupportedMediaType, "the body must not be compressed")
	}
	body, refused := readBody(w, r, limit)
	if refused != nil {
		return nil, refused
	}
	return jsonParams(body)
}

// readBody reads all of r's body, or refuses one that is longer than limit.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *badRequest) {
	tooLarge := bad(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", limit)
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	body := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead))
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, limit)); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, tooLarge
		}
		return nil, bad(http.StatusBadRequest, "the body could not be read to its end")
	}
	return body.Bytes(), nil
}

// jsonParams reads the operation from a JSON object: a body, or the payload of a
// WebSocket's subscribe message.
func jsonParams(body []byte) (*graphql.RawParams, *badRequest) {
	switch {
	case len(body) == 0:
		return nil, bad(http.StatusBadRequest, "the body is empty")
	case !utf8.Valid(body):
		return nil, bad(http.StatusBadRequest, "the body is not valid UTF-8")
	}
	// A map, not a struct: encoding/json matches a struct's fields in any case.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return nil, bad(http.StatusBadRequest, "the body must be one JSON object")
		}
		return nil, bad(http.StatusBadRequest, "the body is not valid JSON")
	}

	for _, name := range paramNames {
		if hasHalf(fields[name]) {
			return nil, halfCharacter(name)
		}
	}
	params := new(graphql.RawParams)
	var err error
	if params.Query, err = stringField(fields["query"]); err != nil || isNull(fields["query"]) {
		return nil, bad(http.StatusBadRequest, "the parameter query must be a string with a GraphQL document")
	}
	if params.OperationName, err = stringField(fields["operationName"]); err != nil {
		return nil, bad(http.StatusBadRequest, "the parameter operationName must be a string")
	}
	if params.Variables, err = objectField(fields["variables"]); err != nil {
		return nil, bad(http.StatusBadRequest, "the parameter variables must be an object")
	}
	if params.Extensions, err = objectField(fields["extensions"]); err != nil {
		return nil, bad(http.StatusBadRequest, "the parameter extensions must be an object")
	}
	return wholeDocument(params)
}

// paramNames are the parameters of a request.
var paramNames = [...]string{"query", "operationName", "variables", "extensions"}

// halfCharacter refuses a parameter with an escape that is half a character.
func halfCharacter(name string) *badRequest {
	refused := bad(http.StatusBadRequest, "the parameter %s has a \\u escape that is half of a surrogate pair", name)
	refused.text = true
	return refused
}

// wholeDocument has characters in the document that are escaped in two halves
// read as they are meant.
func wholeDocument(params *graphql.RawParams) (*graphql.RawParams, *badRequest) {
	var ok bool
	if params.Query, ok = joinHalves(params.Query); !ok {
		return nil, halfCharacter("query")
	}
	return params, nil
}

// getParams reads the operation from a URL's query.
func getParams(rawQuery string) (*graphql.RawParams, *badRequest) {
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, bad(http.StatusBadRequest, "the URL's query is malformed")
	}
	for _, name := range paramNames {
		if !utf8.ValidString(values.Get(name)) {
			return nil, bad(http.StatusBadRequest, "the parameter %s is not valid UTF-8", name)
		}
	}
	for _, name := range [...]string{"variables", "extensions"} {
		if hasHalf([]byte(values.Get(name))) {
			return nil, halfCharacter(name)
		}
	}
	params := &graphql.RawParams{Query: values.Get("query"), OperationName: values.Get("operationName")}
	if params.Query == "" {
		return nil, bad(http.StatusBadRequest, "the parameter query must be a GraphQL document")
	}
	if params.Variables, err = objectField([]byte(values.Get("variables"))); err != nil {
		return nil, bad(http.StatusBadRequest, "the parameter variables must be a JSON object")
	}
	if params.Extensions, err = objectField([]byte(values.Get("extensions"))); err != nil {
		return nil, bad(http.StatusBadRequest, "the parameter extensions must be a JSON object")
	}
	return wholeDocument(params)
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// stringField reads a parameter that may be left out or null.
func stringField(raw json.RawMessage) (string, error) {
	if len(raw) == 0 {
		return "", nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

// objectField reads a parameter that may be left out or null. Numbers keep their
// digits, as the executor expects them.
func objectField(raw []byte) (map[string]any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("something follows the object")
	}
	return object, nil
}
