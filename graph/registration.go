package graph

import (
	"time"

	"rollcall/graph/generated"
	"rollcall/internal/fault"
	"rollcall/internal/users"
	"rollcall/models"
)

// registration converts an input.
func registration(in generated.RegisterUserInput) users.Registration {
	out := users.Registration{
		ID:          in.ID,
		Name:        in.Name,
		AvatarURL:   in.AvatarURL.Value(),
		AvatarGiven: in.AvatarURL.IsSet(),
	}
	if in.TokenTTLSeconds != nil {
		out.TokenTTL = new(time.Duration(*in.TokenTTLSeconds) * time.Second)
	}
	return out
}

// registered converts the result of an item of a batch.
func registered(id string, item users.Item) *generated.RegisterUserResult {
	if item.Err != nil {
		return &generated.RegisterUserResult{ID: id, Error: itemError(item.Err)}
	}
	return &generated.RegisterUserResult{
		ID: id, User: item.User, Token: &item.Token, ExpiresAt: item.ExpiresAt, Created: item.Created,
	}
}

// itemError converts a refusal.
func itemError(err *fault.Error) *models.ItemError {
	return &models.ItemError{Code: string(err.Code), Message: err.Message}
}
