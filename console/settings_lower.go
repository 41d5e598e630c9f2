package console

import (
	"maps"
	"slices"
	"strings"

	"rollcall/internal/relations"
	"rollcall/models"
)

const (
	// acceptedPrefix begins the names of the fields with the lowered limits that the operator has
	// accepted. Their values are the limits.
	acceptedPrefix = "accepted."
	// changeValues is the button that returns to the settings, with what was typed.
	changeValues = "change-values"
)

// lowerQuestion is the data of settings_lower.html, which asks before limits are set that users
// exceed. It contains the form of settings.html and sends it again.
type lowerQuestion struct {
	question
	App     appRow
	Lowered []loweredLimit
	// Fields are those of the form.
	Fields []formField
}

// loweredLimit is a new limit that users exceed, or may exceed.
type loweredLimit struct {
	// Name is the name of the setting.
	Name string
	// Was is the present limit, or nil if there is none. Limit is the new one.
	Was   *int
	Limit int
	// Counted is true for a limit of each user if the users that exceed it were counted: there are
	// Users of them, or at least that many if All is false. For the limit of users, Users is how many
	// the app has.
	Counted, All bool
	Users        int
}

// Present returns the present limit, which must not be nil.
func (l loweredLimit) Present() int { return *l.Was }

// question returns the question whether to lower the limits.
func (p *settingsPage) question(v *visit, lowered []loweredLimit) lowerQuestion {
	q := lowerQuestion{
		question: question{Path: p.Path, Back: p.Path, Fits: true, Danger: true},
		App:      p.App, Lowered: lowered,
	}
	for _, name := range slices.Sorted(maps.Keys(v.r.PostForm)) {
		if name != onceField && !strings.HasPrefix(name, acceptedPrefix) {
			q.Fields = append(q.Fields, formField{name, v.r.PostForm.Get(name)})
		}
	}
	return q
}

// loweredLimits returns the limits that the form changes so that users have more than they allow, or
// may have. after is the app with the values of the form.
func (c *console) loweredLimits(v *visit, after *models.App, changed map[string]string) ([]loweredLimit, error) {
	lowered, err := c.exceededUserLimit(v, after, changed)
	if err != nil {
		return nil, err
	}
	was, now := v.app.Settings, after.Settings
	var lists relations.Excess
	if now.FriendLimit < was.FriendLimit || now.BlocklistLimit < was.BlocklistLimit || now.WhitelistLimit < was.WhitelistLimit {
		if lists, err = c.Relations.Excess(v.r.Context(), v.app, now); err != nil {
			return nil, err
		}
	}
	subscribed := loweredLimit{
		Name: "statusSubscriptionLimit", Was: &was.StatusSubscriptionLimit, Limit: now.StatusSubscriptionLimit, Counted: true,
	}
	if subscribed.Limit < *subscribed.Was {
		subscribed.Users, subscribed.All, err = c.Subscriptions.Excess(v.r.Context(), v.app, subscribed.Limit)
		if err != nil {
			return nil, err
		}
	}
	for _, l := range []loweredLimit{
		{Name: "friendLimit", Was: &was.FriendLimit, Limit: now.FriendLimit, Counted: true, Users: lists.Friends, All: lists.All},
		{Name: "blocklistLimit", Was: &was.BlocklistLimit, Limit: now.BlocklistLimit, Counted: true, Users: lists.Blocks, All: lists.All},
		{Name: "whitelistLimit", Was: &was.WhitelistLimit, Limit: now.WhitelistLimit, Counted: true, Users: lists.Whitelist, All: lists.All},
		subscribed,
		{Name: "deviceLimit", Was: &was.DeviceLimit, Limit: now.DeviceLimit},
		{Name: "friendRequestDailyLimit", Was: &was.FriendRequestDailyLimit, Limit: now.FriendRequestDailyLimit},
	} {
		none := l.Counted && l.All && l.Users == 0
		if l.Limit < *l.Was && !none {
			lowered = append(lowered, l)
		}
	}
	return lowered, nil
}

// exceededUserLimit returns the limit of users if the form changes it and the app has more.
func (c *console) exceededUserLimit(v *visit, after *models.App, changed map[string]string) ([]loweredLimit, error) {
	_, edition := changed["edition"]
	_, number := changed[registeredUserLimit]
	limit := after.RegisteredUserLimit()
	if limit == nil || !edition && !number {
		return nil, nil
	}
	counts, err := c.Apps.UserCounts(v.r.Context(), v.app)
	if err != nil {
		return nil, err
	}
	users := counts[v.app.ID].Registered
	if users <= *limit {
		return nil, nil
	}
	return []loweredLimit{{Name: registeredUserLimit, Was: v.app.RegisteredUserLimit(), Limit: *limit, Users: users}}, nil
}
