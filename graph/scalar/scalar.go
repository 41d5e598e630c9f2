// Package scalar defines how the schema's own scalars and enums are written and read.
package scalar

import (
	"fmt"
	"io"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/internal/fault"
	"rollcall/models"
)

// MarshalDateTime writes a moment as RFC 3339 in UTC with milliseconds.
func MarshalDateTime(t models.Time) graphql.Marshaler { return moment(t) }

type moment models.Time

// MarshalGQL writes directly into a buffer that has room, such as bytes.Buffer.
func (m moment) MarshalGQL(w io.Writer) {
	var room []byte
	if b, ok := w.(interface{ AvailableBuffer() []byte }); ok {
		room = b.AvailableBuffer()
	}
	_, _ = w.Write(append(models.Time(m).Append(append(room, '"')), '"'))
}

// UnmarshalDateTime reads RFC 3339 in any time zone, with up to nine decimals, which are truncated
// to milliseconds. Returns fault.InvalidArgument for other values; the error presenter adds the
// field.
func UnmarshalDateTime(v any) (models.Time, error) {
	text, ok := v.(string)
	if !ok {
		return 0, fault.Invalid("", "type", "a DateTime is a string such as %q", models.Time(0))
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, fault.Invalid("", "datetime", "%q is not an RFC 3339 time such as %q", text, models.Time(0))
	}
	return models.TimeOf(t), nil
}

// MarshalID writes an ID.
func MarshalID(id string) graphql.Marshaler { return graphql.MarshalID(id) }

// UnmarshalID reads an ID, and null as "", which gqlgen reads as "null".
func UnmarshalID(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	return graphql.UnmarshalID(v)
}

// MarshalURL writes a URL. Like every string it is escaped for JSON.
func MarshalURL(url string) graphql.Marshaler { return graphql.MarshalString(url) }

// UnmarshalURL reads a string, or null as "". The rules check its form. Returns
// fault.InvalidArgument for other values; the error presenter adds the field.
func UnmarshalURL(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	text, ok := v.(string)
	if !ok {
		return "", fault.Invalid("", "type", "a URL is a string such as %q", "https://example.com/lena.png")
	}
	return text, nil
}

// MarshalRepresentation writes a representation of an entity as JSON.
func MarshalRepresentation(r map[string]any) graphql.Marshaler { return graphql.MarshalMap(r) }

// UnmarshalRepresentation reads a representation of an entity, and any value that is no object as
// nil, so that `_entities` can report it without refusing the representations beside it.
func UnmarshalRepresentation(v any) (map[string]any, error) {
	r, _ := v.(map[string]any)
	return r, nil
}

// MarshalPresence writes a presence by its name.
func MarshalPresence(p models.Presence) graphql.Marshaler { return name(p) }

type name models.Presence

// MarshalGQL writes the name in quotes; names need no escapes.
func (n name) MarshalGQL(w io.Writer) {
	_, _ = io.WriteString(w, `"`)
	_, _ = io.WriteString(w, models.Presence(n).String())
	_, _ = io.WriteString(w, `"`)
}

// UnmarshalPresence reads a presence by its name.
func UnmarshalPresence(v any) (models.Presence, error) {
	for _, p := range []models.Presence{models.PresenceUnlogined, models.PresenceOffline, models.PresenceOnline} {
		if v == p.String() {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%v is not a Presence", v)
}
