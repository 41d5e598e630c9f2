package users

import (
	"gorm.io/gorm"

	"rollcall/internal/outbox"
	"rollcall/models"
)

// record records the events of changed users in tx, if the app has an endpoint for them, and
// reports whether it did. event returns the event of one user.
func (s *Service) record(tx *gorm.DB, app *models.App, users []*models.User, event func(u *models.User) outbox.Event) (bool, error) {
	if len(users) == 0 {
		return false, nil
	}
	return s.outbox.Write(tx, app.ID, func() ([]outbox.Event, error) {
		events := make([]outbox.Event, len(users))
		for i, u := range users {
			events[i] = event(u)
		}
		return events, nil
	})
}

// event returns a function that returns the event of a user that has changed.
func (s *Service) event(kind outbox.Type) func(u *models.User) outbox.Event {
	now := s.now()
	return func(u *models.User) outbox.Event {
		return outbox.Event{
			Type: kind, Subject: u.ExternalID, At: now,
			Data: outbox.Data{User: outbox.User{State: u.State(now)}},
		}
	}
}

// profileEvent is event with the user's profile.
func (s *Service) profileEvent(kind outbox.Type) func(u *models.User) outbox.Event {
	event := s.event(kind)
	return func(u *models.User) outbox.Event {
		e := event(u)
		e.Personal.Name = u.Name
		if u.AvatarURL != nil {
			e.Personal.AvatarURL = *u.AvatarURL
		}
		return e
	}
}

// banEvent returns the event of a user that was banned.
func (s *Service) banEvent(u *models.User) outbox.Event {
	e := s.event(outbox.UserBanned)(u)
	e.Data.Ban = &outbox.Ban{}
	if end := u.BanEnd(); end != nil {
		text := end.String()
		e.Data.Ban.Until = &text
	}
	if u.BanReason != nil {
		e.Personal.Reason = *u.BanReason
	}
	return e
}

// deletedEvent returns the event of a user that was deleted, which has no state.
func (s *Service) deletedEvent(u *models.User) outbox.Event {
	return outbox.Event{Type: outbox.UserDeleted, Subject: u.ExternalID, At: s.now()}
}

// eraseEvents erases what recorded events contain about users.
func (s *Service) eraseEvents(tx *gorm.DB, app *models.App, users []*models.User) error {
	subjects := make([]string, len(users))
	for i, u := range users {
		subjects[i] = u.ExternalID
	}
	return outbox.Erase(tx, app.ID, subjects)
}
