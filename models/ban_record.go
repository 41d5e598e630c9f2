package models

// BanRecord is one ban of a user, past or in force.
type BanRecord struct {
	ID     int64 `gorm:"primaryKey"`
	UserID int64
	// BannedAt is when the ban was imposed. A ban that replaces another has a time of its own.
	BannedAt Time
	// BannedBy and EndedBy are the names of actors, as in the audit: operators or "App Server".
	// BannedBy is nil if unknown, EndedBy if the ban was not ended by an actor.
	BannedBy *string
	// BannedUntil is when the ban ends by itself, or BannedForever.
	BannedUntil Time
	Reason      *string
	// EndedAt and Ending are set if the ban was lifted or replaced before BannedUntil.
	EndedAt *Time
	EndedBy *string
	Ending  *BanState
}

// BanState is whether a ban is in force and, if not, how it ended.
type BanState string

// The states of a ban. Only BanLifted and BanReplaced are stored.
const (
	BanInForce  BanState = "IN_FORCE"
	BanExpired  BanState = "EXPIRED"
	BanLifted   BanState = "LIFTED"
	BanReplaced BanState = "REPLACED"
)

// State returns the ban's state at the time now.
func (b *BanRecord) State(now Time) BanState {
	switch {
	case b.Ending != nil:
		return *b.Ending
	case b.BannedUntil <= now:
		return BanExpired
	}
	return BanInForce
}

// Until returns when the ban ends by itself, or nil if it lasts until it is lifted.
func (b *BanRecord) Until() *Time {
	if b.BannedUntil == BannedForever {
		return nil
	}
	return &b.BannedUntil
}

// End returns when the ban ended: when it was lifted or replaced, or by itself. It returns nil if
// the ban is in force at the time now.
func (b *BanRecord) End(now Time) *Time {
	switch b.State(now) {
	case BanInForce:
		return nil
	case BanExpired:
		return &b.BannedUntil
	}
	return b.EndedAt
}
