package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/tidwall/gjson"

	"rollcall/graph/auth"
	"rollcall/internal/fault"
	"rollcall/internal/httpheader"
)

// badRequest is a request that is refused before it is parsed as GraphQL: its HTTP status, and the
// error for the body. The error never repeats what was sent. If the status is 0, it follows from the
// error.
type badRequest struct {
	status int
	cause  error
}

func bad(status int, format string, args ...any) *badRequest {
	return &badRequest{status: status, cause: fault.New(fault.BadRequest, format, args...)}
}

// postParams reads the operation from a POST's body.
func (x *exchange) postParams() (*graphql.RawParams, *badRequest) {
	if refused := jsonBody(x.r.Header.Get("Content-Type")); refused != nil {
		return nil, refused
	}
	for coding := range httpheader.Elements(x.r.Header, "Content-Encoding") {
		if !strings.EqualFold(coding, "identity") {
			return nil, bad(http.StatusUnsupportedMediaType, "the body must not be compressed")
		}
	}
	principal := auth.From(x.ctx)
	reserved := x.server.budget.reserve(principal)
	defer reserved.release()
	body := bodies.Get().(*bytes.Buffer)
	defer release(body)
	if refused := readBody(body, x.w, x.r, int64(x.server.cfg.Limits.messageBytes(principal)), &reserved); refused != nil {
		return nil, refused
	}
	if refused := x.enter(body.Len()); refused != nil {
		return nil, refused
	}
	return jsonParams(body.Bytes())
}

// jsonBody refuses a Content-Type other than JSON.
func jsonBody(contentType string) *badRequest {
	if contentType == mediaJSON {
		return nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != mediaJSON {
		return bad(http.StatusUnsupportedMediaType, "the body must have Content-Type: application/json")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return bad(http.StatusUnsupportedMediaType, "the body must be UTF-8")
	}
	return nil
}

// bodies are buffers for the bodies of requests and responses. Nothing refers to their contents
// after use.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooledBody keeps a few large bodies from occupying memory permanently.
const maxPooledBody = 64 << 10

func release(body *bytes.Buffer) {
	if body.Cap() <= maxPooledBody {
		body.Reset()
		bodies.Put(body)
	}
}

// readBody reads all of r's body, or refuses one that is longer than limit or than what can be
// reserved. The buffer grows as bytes arrive: a claimed length takes no memory.
func readBody(body *bytes.Buffer, w http.ResponseWriter, r *http.Request, limit int64, reserved *reservation) *badRequest {
	if r.ContentLength > limit {
		return tooLarge(limit)
	}
	from := r.Body
	if r.ContentLength < 0 { // net/http ends others at their length
		from = http.MaxBytesReader(w, from, limit)
	}
	for size := int64(freeBytes); ; size *= 2 {
		if r.ContentLength >= 0 {
			size = min(size, r.ContentLength)
		}
		if err := reserved.extend(int(size)); err != nil {
			// Otherwise net/http continues reading before it sends the response.
			w.Header().Set("Connection", "close")
			return &badRequest{status: http.StatusServiceUnavailable, cause: errBusy}
		}
		rest := size - int64(body.Len())
		body.Grow(int(rest) + bytes.MinRead)
		if _, err := body.ReadFrom(io.LimitReader(from, rest)); err != nil {
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
				return tooLarge(limit)
			}
			return bad(http.StatusBadRequest, "the body could not be read completely")
		}
		if read := int64(body.Len()); read < size || read == r.ContentLength {
			return nil
		}
	}
}

func tooLarge(limit int64) *badRequest {
	return bad(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", limit)
}

// jsonParams reads the operation from a JSON object: a body, or the payload of a
// WebSocket's subscribe message.
func jsonParams(body []byte) (*graphql.RawParams, *badRequest) {
	switch {
	case len(body) == 0:
		return nil, bad(http.StatusBadRequest, "the body is empty")
	case !utf8.Valid(body):
		return nil, bad(http.StatusBadRequest, "the body is not valid UTF-8")
	case !json.Valid(body):
		return nil, bad(http.StatusBadRequest, "the body is not valid JSON")
	}
	request := gjson.ParseBytes(body)
	if !request.IsObject() {
		return nil, bad(http.StatusBadRequest, "the body must be one JSON object")
	}
	var fields [len(paramNames)]gjson.Result
	request.ForEach(func(name, value gjson.Result) bool {
		if i := slices.Index(paramNames[:], name.Str); i >= 0 {
			fields[i] = value
		}
		return true
	})
	for i, name := range paramNames {
		if hasHalf(fields[i].Raw) {
			return nil, halfCharacter(name)
		}
	}
	query, operation, variables, extensions, document := fields[0], fields[1], fields[2], fields[3], fields[4]
	params := new(graphql.RawParams)
	var err error
	if params.Query, err = stringField(query); err != nil {
		return nil, noDocument
	}
	if params.OperationName, err = stringField(operation); err != nil {
		return nil, bad(http.StatusBadRequest, "the parameter operationName must be a string")
	}
	if params.Variables, err = objectField(variables); err != nil {
		return nil, badObject("variables", err)
	}
	if params.Extensions, err = objectField(extensions); err != nil {
		return nil, badObject("extensions", err)
	}
	id, err := stringField(document)
	if err != nil {
		return nil, bad(http.StatusBadRequest, "the parameter documentId must be a string")
	}
	if refused := setDocumentID(params, id, query.Type != gjson.Null); refused != nil {
		return nil, refused
	}
	return params, nil
}

// setDocumentID notes the parameter documentId, which gqlgen does not know, among the extensions. It
// refuses params without any document; hasQuery reports whether they have the parameter query.
func setDocumentID(params *graphql.RawParams, id string, hasQuery bool) *badRequest {
	if id == "" {
		if !hasQuery && params.Extensions[persistedExtension] == nil {
			return noDocument
		}
		delete(params.Extensions, documentExtension)
		return nil
	}
	if params.Extensions == nil {
		params.Extensions = make(map[string]any)
	}
	params.Extensions[documentExtension] = id
	return nil
}

// noDocument refuses a request without a document.
var noDocument = bad(http.StatusBadRequest, "the parameter query must be a string with a GraphQL document")

// badObject refuses a parameter that objectField could not read.
func badObject(name string, err error) *badRequest {
	if errors.Is(err, errTooDeep) {
		return bad(http.StatusBadRequest, "the parameter %s must not nest more than %d levels deep", name, maxNesting)
	}
	return bad(http.StatusBadRequest, "the parameter %s must be a JSON object", name)
}

// paramNames are the parameters of a request.
var paramNames = [...]string{"query", "operationName", "variables", "extensions", "documentId"}

// halfCharacter refuses a parameter with an escape of half a surrogate pair.
func halfCharacter(name string) *badRequest {
	return bad(http.StatusBadRequest, "the parameter %s has a \\u escape that is half of a surrogate pair", name)
}

// complete looks up a document that is given by its hash, for the caller in ctx, and translates the
// document's escapes to a form that gqlparser reads.
func (s *Server) complete(ctx context.Context, params *graphql.RawParams) *badRequest {
	found, refused := s.findTrusted(ctx, params)
	if refused == nil && !found {
		refused = s.persisted.find(ctx, params)
	}
	if refused != nil {
		return refused
	}
	var ok bool
	if params.Query, ok = translateEscapes(params.Query); !ok {
		return halfCharacter("query")
	}
	return nil
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
		if hasHalf(values.Get(name)) {
			return nil, halfCharacter(name)
		}
	}
	params := &graphql.RawParams{Query: values.Get("query"), OperationName: values.Get("operationName")}
	if params.Variables, err = objectText(values.Get("variables")); err != nil {
		return nil, badObject("variables", err)
	}
	if params.Extensions, err = objectText(values.Get("extensions")); err != nil {
		return nil, badObject("extensions", err)
	}
	if refused := setDocumentID(params, values.Get("documentId"), params.Query != ""); refused != nil {
		return nil, refused
	}
	return params, nil
}

// objectText is objectField for text that may not be valid JSON.
func objectText(text string) (map[string]any, error) {
	if text != "" && !json.Valid([]byte(text)) {
		return nil, errNoObject
	}
	return objectField(gjson.Parse(text))
}
