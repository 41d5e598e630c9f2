package graph

import (
	"fmt"
	"time"

	"rollcall/graph/generated"
	"rollcall/internal/fault"
	"rollcall/internal/users"
)

// registration converts an input.
func registration(in generated.RegisterUserInput) users.Registration {
	return users.Registration{
		ID: in.ID, Name: in.Name, AvatarURL: in.AvatarURL,
		TokenTTL: time.Duration(in.TokenTTLSeconds) * time.Second,
	}
}

// registered converts the results of a batch of registrations.
func registered(in []users.Registration, items []users.Item) []*generated.RegisterUserResult {
	results := make([]*generated.RegisterUserResult, len(items))
	for i, item := range items {
		result := &generated.RegisterUserResult{UserID: in[i].ID, Error: atItem(item.Err, i)}
		if item.Registered != nil {
			result.User, result.Token = item.User, &item.Token
			result.ExpiresAt, result.Created = item.ExpiresAt, item.Created
		}
		results[i] = result
	}
	return results
}

// atItem returns the error of the user at place i of the input, with the whole path of the field.
func atItem(err *fault.Error, i int) *fault.Error {
	if err == nil || err.Field() == nil {
		return err
	}
	return err.With("field", fmt.Sprintf("input.users.%d.%s", i, *err.Field()))
}

// optional returns nil for a text that is not given.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
