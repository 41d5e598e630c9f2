package graph

import (
	"time"

	"rollcall/graph/generated"
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
		return &generated.RegisterUserResult{ID: id, Error: &models.ItemError{Code: string(item.Err.Code), Message: item.Err.Message}}
	}
	return &generated.RegisterUserResult{
		ID: id, User: item.User, Token: &item.Token, ExpiresAt: item.ExpiresAt, Created: item.Created,
	}
}
