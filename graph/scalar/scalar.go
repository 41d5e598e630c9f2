// Package scalar says how the schema's own scalars and enums are written and read.
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
func MarshalDateTime(t models.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		const layout = `"2006-01-02T15:04:05.000Z"`
		_, _ = w.Write(t.Time().AppendFormat(make([]byte, 0, len(layout)), layout))
	})
}

// UnmarshalDateTime reads RFC 3339, in any zone and with up to nine decimals,
// which are cut to milliseconds. What it refuses is INVALID_ARGUMENT; the error
// presenter knows the field.
func UnmarshalDateTime(v any) (models.Time, error) {
	text, ok := v.(string)
	if !ok {
		return 0, fault.Invalid("", "datetime", "a DateTime is a string such as %q", models.Time(0))
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, fault.Invalid("", "datetime", "%q is no RFC 3339 moment such as %q", text, models.Time(0))
	}
	return models.TimeOf(t), nil
}

// MarshalPresence writes a presence by its name.
func MarshalPresence(p models.Presence) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		_, _ = io.WriteString(w, `"`+p.String()+`"`)
	})
}

// UnmarshalPresence reads a presence's name.
func UnmarshalPresence(v any) (models.Presence, error) {
	for _, p := range []models.Presence{models.PresenceUnlogined, models.PresenceOffline, models.PresenceOnline} {
		if v == p.String() {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%v is no Presence", v)
}
