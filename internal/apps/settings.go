package apps

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/headcount"
	"rollcall/internal/outbox"
	"rollcall/internal/validate"
	"rollcall/models"
)

// The maximums of limits.
const (
	// MaxUserLimit bounds registeredUserLimit.
	MaxUserLimit = 1_000_000_000
	// MaxListLimit bounds friendLimit, blocklistLimit and whitelistLimit.
	MaxListLimit = 100_000
	// MaxSubscriptionLimit bounds statusSubscriptionLimit.
	MaxSubscriptionLimit = 10_000
	// MaxDeviceLimit bounds deviceLimit, which is at least MinDeviceLimit.
	MaxDeviceLimit = 1000
	MinDeviceLimit = 1
	// MaxDailyRequests bounds friendRequestDailyLimit.
	MaxDailyRequests = 100_000
)

// setting is a property of an app that can be changed by its name in the API.
type setting struct {
	column string
	// set parses text into app. Returns fault.InvalidArgument about name if the text is not allowed.
	set func(app *models.App, name, text string) error
	// get returns the value for the column.
	get func(app *models.App) any
}

var settings = map[string]setting{
	"name": {
		column: "name",
		set:    func(a *models.App, _, text string) error { a.Name = text; return validate.Name(text) },
		get:    func(a *models.App) any { return a.Name },
	},
	"edition": {
		column: "edition",
		set: func(a *models.App, _, text string) error {
			a.Edition = models.Edition(strings.ToUpper(text))
			return checkEdition(a.Edition)
		},
		get: func(a *models.App) any { return a.Edition },
	},
	"registeredUserLimit":       number("user_limit", 0, MaxUserLimit, func(a *models.App) *int { return &a.UserLimit }),
	"statusQueryEnabled":        toggle("status_query_enabled", func(a *models.App) *bool { return &a.Settings.StatusQueryEnabled }),
	"friendStatusNotifyEnabled": toggle("friend_status_notify_enabled", func(a *models.App) *bool { return &a.Settings.FriendStatusNotifyEnabled }),
	"onlyFriendsCanMessage":     toggle("only_friends_can_message", func(a *models.App) *bool { return &a.Settings.OnlyFriendsCanMessage }),
	"profileEditEnabled":        toggle("profile_edit_enabled", func(a *models.App) *bool { return &a.Settings.ProfileEditEnabled }),
	"eventFeedEnabled":          toggle("event_feed_enabled", func(a *models.App) *bool { return &a.Settings.EventFeedEnabled }),
	"presenceFeedEnabled":       toggle("presence_feed_enabled", func(a *models.App) *bool { return &a.Settings.PresenceFeedEnabled }),
	"friendRequestPolicy": {
		column: "friend_request_policy",
		set: func(a *models.App, name, text string) error {
			policy := models.FriendRequestPolicy(strings.ToUpper(text))
			a.Settings.FriendRequestPolicy = policy
			if !slices.Contains(models.FriendRequestPolicies, policy) {
				return fault.Invalid(name, "oneof", "%s must be anyone, approval or nobody", name)
			}
			return nil
		},
		get: func(a *models.App) any { return a.Settings.FriendRequestPolicy },
	},
	"banPresets": {
		column: "ban_presets",
		set:    setBanPresets,
		get:    func(a *models.App) any { return a.BanPresets },
	},
	"friendLimit":             number("friend_limit", 0, MaxListLimit, func(a *models.App) *int { return &a.Settings.FriendLimit }),
	"blocklistLimit":          number("blocklist_limit", 0, MaxListLimit, func(a *models.App) *int { return &a.Settings.BlocklistLimit }),
	"whitelistLimit":          number("whitelist_limit", 0, MaxListLimit, func(a *models.App) *int { return &a.Settings.WhitelistLimit }),
	"statusSubscriptionLimit": number("status_subscription_limit", 0, MaxSubscriptionLimit, func(a *models.App) *int { return &a.Settings.StatusSubscriptionLimit }),
	"deviceLimit":             number("device_limit", MinDeviceLimit, MaxDeviceLimit, func(a *models.App) *int { return &a.Settings.DeviceLimit }),
	"friendRequestDailyLimit": number("friend_request_daily_limit", 0, MaxDailyRequests, func(a *models.App) *int { return &a.Settings.FriendRequestDailyLimit }),
}

func toggle(column string, field func(*models.App) *bool) setting {
	return setting{
		column: column,
		set: func(a *models.App, name, text string) error {
			switch text {
			case "true":
				*field(a) = true
			case "false":
				*field(a) = false
			default:
				return fault.Invalid(name, "oneof", "%s must be true or false", name)
			}
			return nil
		},
		get: func(a *models.App) any { return *field(a) },
	}
}

func number(column string, least, most int, field func(*models.App) *int) setting {
	return setting{
		column: column,
		set: func(a *models.App, name, text string) error {
			// For a number that is too large for an int, Atoi returns the nearest int.
			n, err := strconv.Atoi(text)
			refuse := func(rule string) error {
				return fault.Invalid(name, rule, "%s must be a whole number from %d to %d", name, least, most)
			}
			switch {
			case errors.Is(err, strconv.ErrSyntax):
				return refuse("number")
			case n < least:
				return refuse("min")
			case n > most:
				return refuse("max")
			}
			*field(a) = n
			return nil
		},
		get: func(a *models.App) any { return *field(a) },
	}
}

// SettingNames returns the names of the settings that Set can change, sorted.
func SettingNames() []string { return slices.Sorted(maps.Keys(settings)) }

// Stale is the error of Change if other values were replaced since the caller read them.
type Stale struct {
	// Now has the present values of these settings, as texts.
	Now map[string]string
}

// Error names the settings.
func (e *Stale) Error() string {
	return "changed by others: " + strings.Join(slices.Sorted(maps.Keys(e.Now)), ", ")
}

// Check returns the app as it would be with new values for settings, and their refusals by the names
// of the settings. It finds all that Set would refuse, except for a name that another app has.
func Check(app *models.App, values map[string]string) (changed *models.App, refused map[string]*fault.Error) {
	refused = map[string]*fault.Error{}
	add := func(err error) {
		if refusal, ok := fault.As(err); ok && refusal.Field() != nil {
			refused[*refusal.Field()] = refusal
		}
	}
	after := *app
	for name, value := range values {
		if known, ok := settings[name]; ok {
			add(known.set(&after, name, value))
		}
	}
	if refused["edition"] == nil {
		for _, err := range checkSwitches(&after) {
			add(err)
		}
	}
	if _, given := values["registeredUserLimit"]; given && refused["registeredUserLimit"] == nil {
		add(checkUserLimit(&after))
	}
	return &after, refused
}

// Change is like Set for a caller that has read the values in loaded: if a setting that it changes no
// longer has that value, nothing is changed and the error is a *Stale.
func (s *Service) Change(ctx context.Context, key string, values, loaded map[string]string, by models.Actor) (*models.App, error) {
	return s.set(ctx, key, values, loaded, by)
}

// Set changes settings of the app by their names in the API, all or none, and returns the changed
// app, or nil if the key is unknown. It refuses a setting that the app's edition lacks. A limit
// below the present count stops growth and removes nothing. The change has one audit entry with the
// previous values, and an event. If it turns eventFeedEnabled or presenceFeedEnabled on,
// Set returns after a wait of outbox.Freshness: each change that begins later is recorded.
func (s *Service) Set(ctx context.Context, key string, values map[string]string, by models.Actor) (*models.App, error) {
	return s.set(ctx, key, values, nil, by)
}

func (s *Service) set(ctx context.Context, key string, values, loaded map[string]string, by models.Actor) (*models.App, error) {
	if !database.IsASCII(key) {
		return nil, nil
	}
	var app *models.App
	feeds, recorded := false, false
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		app, recorded = &models.App{}, false
		// Locked, so that the audit's previous values and the switches that the edition is checked
		// against are those that the change replaces.
		err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where(&models.App{Key: key}, "key").Take(app).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			app = nil
			return nil
		}
		if err != nil {
			return err
		}
		if app.Deleting() {
			return errDeleting
		}
		hadLimit := app.RegisteredUserLimit() != nil
		had := app.Settings
		if err := stale(app, values, loaded); err != nil {
			return err
		}
		columns := make(map[string]any, len(values))
		var changed, changes []string
		for _, name := range slices.Sorted(maps.Keys(values)) {
			known, ok := settings[name]
			if !ok {
				return fault.Invalid(name, "oneof", "there is no setting %q; the settings are %s", name, strings.Join(SettingNames(), ", "))
			}
			before := known.get(app)
			if err := known.set(app, name, values[name]); err != nil {
				return err
			}
			if after := known.get(app); after != before {
				columns[known.column] = after
				changed = append(changed, name)
				was := fmt.Sprint(before)
				changes = append(changes, SettingChange{Name: name, After: fmt.Sprint(after), Before: &was}.String())
			}
		}
		feeds = app.Settings.EventFeedEnabled && !had.EventFeedEnabled || app.Settings.PresenceFeedEnabled && !had.PresenceFeedEnabled
		if lacking := checkSwitches(app); len(lacking) > 0 {
			return lacking[0]
		}
		if _, given := values["registeredUserLimit"]; given {
			if err := checkUserLimit(app); err != nil {
				return err
			}
		}
		if len(columns) == 0 {
			return nil
		}
		if err := tx.Model(&models.App{}).Where("id = ?", app.ID).Updates(columns).Error; err != nil {
			return err
		}
		// How the users are counted depends on whether the count must be compared with a limit.
		switch hasLimit := app.RegisteredUserLimit() != nil; {
		case hasLimit && !hadLimit:
			err = headcount.Gather(tx, app.ID)
		case hadLimit && !hasLimit:
			err = headcount.Spread(tx, app.ID)
		}
		if err != nil {
			return err
		}
		now := models.TimeOf(s.clock())
		if recorded, err = s.record(tx, app, outbox.AppUpdated, now, outbox.App{Settings: changed}); err != nil {
			return err
		}
		return audit.Write(tx, models.AuditEntry{
			AppID: &app.ID, At: now, Actor: by.Name, ActorKey: by.Key, Action: audit.ActionAppSet,
			Target: app.Key, Detail: strings.Join(changes, " "), Address: by.Address,
		})
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return nil, fault.Invalid("name", "unique", "an app named %q already exists", values["name"])
	}
	var refusal *fault.Error
	var changed *Stale
	if err != nil && !errors.As(err, &refusal) && !errors.As(err, &changed) {
		return nil, fmt.Errorf("setting app: %w", err)
	}
	if err != nil {
		return nil, err
	}
	if app != nil {
		s.bus.PublishAppChanged(ctx, bus.AppChanged{App: app})
	}
	s.bus.PublishEventsRecorded(ctx, recorded)
	if feeds {
		if err := outbox.AwaitFresh(ctx); err != nil {
			return nil, err
		}
	}
	return app, nil
}

// stale returns a *Stale if a setting in values has neither its value in loaded nor the new one.
func stale(app *models.App, values, loaded map[string]string) error {
	now := map[string]string{}
	for name, value := range values {
		before, known := loaded[name]
		if !known || settings[name].get == nil {
			continue
		}
		if present := fmt.Sprint(settings[name].get(app)); present != before && present != value {
			now[name] = present
		}
	}
	if len(now) > 0 {
		return &Stale{now}
	}
	return nil
}

// checkSwitches returns the refusals of an app, as it would be after a change, if its edition lacks
// switches that are on.
func checkSwitches(app *models.App) (refusals []error) {
	if app.Edition != models.EditionStandard {
		return nil
	}
	for _, s := range []struct {
		name string
		on   bool
	}{
		{"statusQueryEnabled", app.Settings.StatusQueryEnabled},
		{"friendStatusNotifyEnabled", app.Settings.FriendStatusNotifyEnabled},
	} {
		if s.on {
			refusals = append(refusals, fault.Invalid(s.name, "edition", "edition STANDARD lacks %s; leave it off, or choose FLAGSHIP or PREMIUM", s.name))
		}
	}
	return refusals
}

// checkUserLimit refuses a limit of users for an app that, as it would be after a change, has no
// limit of its own.
func checkUserLimit(app *models.App) error {
	const name = "registeredUserLimit"
	switch {
	case app.Environment == models.EnvironmentDevelopment:
		return fault.Invalid(name, "environment", "a DEVELOPMENT app always holds at most %d users", models.DevelopmentUserLimit)
	case app.Edition != models.EditionStandard:
		return fault.Invalid(name, "edition", "edition %s has no limit of users", app.Edition)
	}
	return nil
}
