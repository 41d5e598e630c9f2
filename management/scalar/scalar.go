// Package scalar defines how the management API's own scalars and enums are written and read.
package scalar

import (
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/internal/fault"
	"rollcall/models"
)

// MarshalDateTime writes a moment as RFC 3339 in UTC with milliseconds.
func MarshalDateTime(t models.Time) graphql.Marshaler {
	return graphql.MarshalString(t.String())
}

// UnmarshalDateTime reads RFC 3339 in any time zone, and truncates it to milliseconds. Returns
// INVALID_ARGUMENT for other values.
func UnmarshalDateTime(v any) (models.Time, error) {
	text, _ := v.(string)
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, fault.Invalid("", "datetime", "a DateTime is an RFC 3339 time such as %q", models.Time(0))
	}
	return models.TimeOf(t), nil
}

// MarshalRole writes a role in capital letters, as enums are.
func MarshalRole(r models.Role) graphql.Marshaler {
	return graphql.MarshalString(strings.ToUpper(string(r)))
}

// UnmarshalRole reads a role. The schema has refused other values.
func UnmarshalRole(v any) (models.Role, error) {
	text, ok := v.(string)
	if !ok {
		return "", fault.Invalid("", "type", "%s is not a Role", strconv.Quote(text))
	}
	return models.Role(strings.ToLower(text)), nil
}
