package transport

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/99designs/gqlgen/graphql"
)

// encodeResponse returns resp as JSON in one line. A response without data, to a request that was
// never executed, has no data entry. The data is taken as the executor wrote it, without parsing
// and writing it again.
func encodeResponse(resp *graphql.Response) []byte {
	var out bytes.Buffer
	writeResponse(&out, resp)
	return out.Bytes()
}

// writeResponse writes to out, which must be empty, what encodeResponse returns.
func writeResponse(out *bytes.Buffer, resp *graphql.Response) {
	data := oneLine(resp.Data)
	out.Grow(len(data) + len(`{"data":}`))
	out.WriteByte('{')
	if len(resp.Errors) > 0 {
		out.WriteString(`"errors":`)
		out.Write(encodeJSON(resp.Errors))
	}
	if data != nil {
		separate(out)
		out.WriteString(`"data":`)
		out.Write(data)
	}
	if len(resp.Extensions) > 0 {
		separate(out)
		out.WriteString(`"extensions":`)
		out.Write(encodeJSON(resp.Extensions))
	}
	out.WriteByte('}')
}

func separate(out *bytes.Buffer) {
	if out.Len() > 1 {
		out.WriteByte(',')
	}
}

// oneLine returns data without the line breaks that a scalar may have written between its tokens:
// in SSE they would end the message.
func oneLine(data json.RawMessage) []byte {
	if bytes.IndexByte(data, '\n') < 0 {
		return data
	}
	var out bytes.Buffer
	if err := json.Compact(&out, data); err != nil {
		panic(fmt.Errorf("GraphQL data is not JSON: %w", err))
	}
	return out.Bytes()
}

// encodeJSON returns v as JSON. v must consist of values that JSON can represent.
func encodeJSON(v any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("encode %T: %w", v, err))
	}
	return out
}
