package graph

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/graph/selection"
	"rollcall/internal/fault"
)

const (
	// maxErrors is how many errors the response to an executed operation may have. One more states
	// that others were left out.
	maxErrors = 100
	// maxEchoed is the length of the longest name or value that an error repeats, in
	// characters, and maxMessage that of a whole message, in bytes.
	maxEchoed  = 64
	maxMessage = 1024
	// smallValue is the maximum length in bytes of texts that are not counted while the response is
	// made: there are at most MaxComplexity of them.
	smallValue = 256
)

// execution is what one execution of an operation has consumed.
type execution struct {
	deadline
	// timeout is how long the execution may take.
	timeout time.Duration
	// maxResponse limits the response, in bytes.
	maxResponse int
	// late reports whether the response has an error because the execution took longer.
	late  atomic.Bool
	calls rootCalls
	// left is how many more bytes of values the response may have.
	left   atomic.Int64
	errors atomic.Int64
}

type executionKey struct{}

// Value implements context.Context: an execution is the context of its operation.
func (x *execution) Value(key any) any {
	if key == (executionKey{}) {
		return x
	}
	return x.deadline.Value(key)
}

func executionOf(ctx context.Context) *execution {
	return ctx.Value(executionKey{}).(*execution)
}

// errTooLarge is the error of fields whose values no longer fit into the response. It is not
// reported for each of them: the whole response is replaced.
var errTooLarge = errors.New("the response is too large")

// charged adds a field's value to the size of the response, while the response is being made. It
// returns errTooLarge if the response becomes too large.
func charged(ctx context.Context, value any, err error) (any, error) {
	if errors.Is(err, selection.ErrTooLarge) {
		executionOf(ctx).left.Store(-1)
		return nil, errTooLarge
	}
	if n := lengthOf(value); n > smallValue && executionOf(ctx).left.Add(-int64(n)) < 0 {
		return nil, errTooLarge
	}
	return value, err
}

// lengthOf returns the length of a field's value in bytes, if it is text or has been encoded.
func lengthOf(value any) int {
	switch v := value.(type) {
	case string:
		return len(v)
	case *string:
		if v != nil {
			return len(*v)
		}
	case []string:
		n := 0
		for _, text := range v {
			n += len(text) + len(`"",`)
		}
		return n
	case interface{ Len() int }:
		return v.Len()
	}
	return 0
}

// mayReport reports whether the response has room for err, and counts it.
func (x *execution) mayReport(err error) bool {
	return !errors.Is(err, errTooLarge) && x.errors.Add(1) <= maxErrors
}

// bound returns the response in the form in which it may be sent: without data if it is too large,
// and with a note if errors were left out.
func (e *Executor) bound(ctx context.Context, run *execution, resp *graphql.Response) *graphql.Response {
	if resp == nil {
		return nil
	}
	if run.errors.Load() > maxErrors {
		resp.Errors = append(resp.Errors, e.present(ctx, fault.New(fault.QueryTooComplex,
			"further errors were left out: a response has at most %d", maxErrors)))
	}
	if run.left.Load() < 0 || len(resp.Data)+sizeOfErrors(resp.Errors) > run.maxResponse {
		resp = &graphql.Response{Data: json.RawMessage("null"), Errors: gqlerror.List{e.present(ctx,
			fault.New(fault.QueryTooComplex, "the response would have more than %d bytes; ask for less at once", run.maxResponse))}}
	}
	return resp
}

const (
	// errorBytes is what an error takes in a response in addition to its own texts.
	errorBytes = 512
	// escaped is the maximum number of bytes that one byte of text takes in JSON.
	escaped = len(`\u0000`)
)

// sizeOfErrors returns the maximum number of bytes that errs take in the response.
func sizeOfErrors(errs gqlerror.List) int {
	n := 0
	for _, err := range errs {
		n += errorBytes + escaped*len(err.Message)
		for _, element := range err.Path {
			if name, ok := element.(ast.PathName); ok {
				n += len(name)
			}
			n += errorBytes / MaxDepth
		}
		for _, value := range err.Extensions {
			if text, ok := value.(string); ok {
				n += escaped * len(text)
			}
		}
	}
	return n
}

// clipMessage returns text with every name or value in it clipped to maxEchoed characters: text in
// quotation marks, and text without spaces.
func clipMessage(text string) string {
	if len(text) <= maxEchoed {
		return text
	}
	var out strings.Builder
	for text != "" && out.Len() < maxMessage {
		part := nextPart(text)
		text = text[len(part):]
		out.WriteString(clip(part))
	}
	if text != "" {
		out.WriteString("…")
	}
	return out.String()
}

// nextPart returns the beginning of text up to the end of a quotation, or up to a
// space, whichever is first.
func nextPart(text string) string {
	if text[0] == '"' {
		for i := 1; i < len(text); i++ {
			switch text[i] {
			case '\\':
				i++
			case '"':
				return text[:i+1]
			}
		}
		return text
	}
	if i := strings.IndexAny(text[1:], " \""); i >= 0 {
		return text[:i+1]
	}
	return text
}

// clip returns part, or the first maxEchoed characters of its content and an ellipsis.
func clip(part string) string {
	opening, closing := "", ""
	if text, quoted := strings.CutPrefix(part, `"`); quoted {
		opening, part = `"`, text
		if text, quoted = strings.CutSuffix(part, `"`); quoted {
			closing, part = `"`, text
		}
	}
	if utf8.RuneCountInString(part) > maxEchoed {
		end := 0
		for range maxEchoed {
			_, size := utf8.DecodeRuneInString(part[end:])
			end += size
		}
		part = part[:end] + "…"
	}
	return opening + part + closing
}
