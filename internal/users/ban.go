package users

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/internal/bus"
	"rollcall/internal/fault"
	"rollcall/internal/outbox"
	"rollcall/internal/userlock"
	"rollcall/internal/validate"
	"rollcall/models"
)

// Sentence is the length and the reason of a ban.
type Sentence struct {
	// Length is given unless the ban is permanent. RongCloud allows up to 30 days too.
	Length time.Duration `json:"minutes" validate:"either=Permanent,omitempty,min=1m,max=720h"`
	// Permanent reports whether the ban lasts until it is lifted.
	Permanent bool    `json:"permanent"`
	Reason    *string `json:"reason" validate:"omitnil,max=255,nocontrol"`
	// Version, if set, is the BanVersion of the user that the caller has seen. A user with another one
	// is REFUSED; see IsStale.
	Version string `json:"-"`
}

// Validate returns INVALID_ARGUMENT if a value violates its rule.
func (s Sentence) Validate() error { return validate.Input(s) }

// staleBan is the rule of the refusal of a Sentence with another Version.
const staleBan = "stale"

// IsStale reports whether a user was refused because its ban is not the one of Sentence.Version.
func IsStale(refusal *fault.Error) bool {
	return refusal != nil && refusal.Rule() != nil && *refusal.Rule() == staleBan
}

// BanVersion identifies the user's ban in force at the time now, or that there is none.
func BanVersion(u *models.User, now models.Time) string {
	if u.State(now) != models.UserBanned {
		return "none"
	}
	reason := fnv.New64a()
	if u.BanReason != nil {
		_, _ = reason.Write([]byte(*u.BanReason)) // never fails
	}
	return fmt.Sprintf("%d-%d-%x", *u.BannedAt, *u.BannedUntil, reason.Sum64())
}

// until returns when a ban that begins now ends.
func (s Sentence) until(now models.Time) models.Time {
	if s.Permanent {
		return models.BannedForever
	}
	return now.Add(s.Length)
}

// audited returns the length for the audit.
func (s Sentence) audited() string {
	if s.Permanent {
		return "permanent"
	}
	return fmt.Sprintf("minutes=%d", s.Length/time.Minute)
}

// Ban bans users: their devices are disconnected immediately, and all their requests and
// connections fail with USER_BANNED until the ban expires or Unban ends it. Banning a user again
// replaces the end and the reason; a ban in force keeps its beginning. A deactivated user is
// REFUSED with USER_DEACTIVATED. Returns the error of sentence.Validate.
func (s *Service) Ban(ctx context.Context, app *models.App, ids []string, sentence Sentence, by models.Actor) ([]*batch.Result, error) {
	if err := sentence.Validate(); err != nil {
		return nil, err
	}
	now := s.now()
	until := sentence.until(now)
	results, revoked, err := s.batch(ctx, app, ids, operation{
		action: audit.ActionUserBan, detail: sentence.audited(), by: by, event: s.banEvent,
		item: func(u *models.User) (models.Outcome, *fault.Error) {
			if u.DeactivatedAt != nil {
				return models.OutcomeRefused, userlock.Deactivated(u.ExternalID)
			}
			if sentence.Version != "" && sentence.Version != BanVersion(u, now) {
				return models.OutcomeRefused, fault.Invalid("version", staleBan, "the ban of %s has been changed", u.ExternalID)
			}
			if u.State(now) != models.UserBanned {
				u.BannedAt = &now
			}
			u.BannedUntil, u.BanReason = &until, sentence.Reason
			return models.OutcomeDone, nil
		},
		write: func(tx *gorm.DB, changed []*models.User) error {
			// banned_at comes first: MySQL assigns from left to right, and the expression needs the
			// old banned_until.
			err := tx.Exec(`UPDATE users SET
				banned_at = CASE WHEN banned_until > ? THEN banned_at ELSE ? END,
				banned_until = ?, ban_reason = ? WHERE id IN ?`, now, now, until, sentence.Reason, userlock.Keys(changed)).Error
			if err != nil {
				return err
			}
			return recordBans(tx, changed, now, until, sentence.Reason, by)
		},
	})
	end := (&models.User{BannedUntil: &until}).BanEnd()
	s.revoke(ctx, revoked, bus.ReasonBanned, end)
	return results, fault.Wrap(err, "banning users")
}

// Unban ends bans. For a user that is not banned, the outcome is ALREADY.
func (s *Service) Unban(ctx context.Context, app *models.App, ids []string, by models.Actor) ([]*batch.Result, error) {
	now := s.now()
	results, _, err := s.batch(ctx, app, ids, operation{
		action: audit.ActionUserUnban, by: by, event: s.event(outbox.UserUnbanned),
		item: func(u *models.User) (models.Outcome, *fault.Error) {
			if u.State(now) != models.UserBanned {
				return models.OutcomeAlready, nil
			}
			u.BannedUntil, u.BannedAt, u.BanReason = nil, nil, nil
			return models.OutcomeDone, nil
		},
		write: func(tx *gorm.DB, changed []*models.User) error {
			if err := tx.Model(&models.User{}).Where("id IN ?", userlock.Keys(changed)).Updates(noBan()).Error; err != nil {
				return err
			}
			return endBans(tx, changed, now, models.BanLifted, by)
		},
	})
	return results, fault.Wrap(err, "unbanning users")
}

// noBan returns the columns of a user that is not banned.
func noBan() map[string]any {
	return map[string]any{"banned_until": nil, "banned_at": nil, "ban_reason": nil}
}

// revoke publishes that these users may no longer be connected, and returns when their devices have
// been disconnected. bannedUntil is the end of a ban, or nil if it has none.
func (s *Service) revoke(ctx context.Context, revoked []*models.User, reason bus.Reason, bannedUntil *models.Time) {
	for _, u := range revoked {
		s.bus.PublishAccessRevoked(ctx, bus.AccessRevoked{User: u, Reason: reason, BannedUntil: bannedUntil})
	}
}
