package graph

import (
	"errors"
	"time"

	"rollcall/graph/generated"
	"rollcall/internal/fault"
	"rollcall/internal/users"
	"rollcall/internal/validate"
	"rollcall/models"
)

// registration converts an input that has been validated.
func registration(in generated.RegisterUserInput) users.Registration {
	out := users.Registration{
		ID:          in.ID,
		Name:        in.Name,
		AvatarURL:   in.AvatarURL.Value(),
		AvatarGiven: in.AvatarURL.IsSet(),
	}
	if in.TokenTTLSeconds != nil {
		out.TokenTTL = time.Duration(*in.TokenTTLSeconds) * time.Second
	}
	return out
}

// registerMany passes the valid inputs of a batch to register, and returns the results of all
// inputs, in their order.
func registerMany(inputs []*generated.RegisterUserInput, v *validate.Validator,
	register func([]users.Registration) ([]users.Item, error)) ([]*generated.RegisterUserResult, error) {
	results := make([]*generated.RegisterUserResult, len(inputs))
	var valid []users.Registration
	var places []int
	for i, in := range inputs {
		results[i] = &generated.RegisterUserResult{ID: in.ID}
		err := v.Struct("input", in)
		var refusal *fault.Error
		switch {
		case err == nil:
			valid, places = append(valid, registration(*in)), append(places, i)
		case errors.As(err, &refusal):
			results[i].Error = &models.ItemError{Code: string(refusal.Code), Message: refusal.Message}
		default:
			return nil, err
		}
	}
	if len(valid) == 0 {
		return results, nil
	}
	items, err := register(valid)
	if err != nil {
		return nil, err
	}
	for i, item := range items {
		result := results[places[i]]
		if item.Err != nil {
			result.Error = &models.ItemError{Code: string(item.Err.Code), Message: item.Err.Message}
			continue
		}
		result.User, result.Token, result.ExpiresAt, result.Created = item.User, &item.Token, item.ExpiresAt, item.Created
	}
	return results, nil
}
