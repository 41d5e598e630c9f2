package console

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"rollcall/internal/apps"
	"rollcall/internal/fault"
	"rollcall/models"
)

// settingsPage is the data of settings.html.
type settingsPage struct {
	App        appRow
	Path       string
	RotatePath string
	// PreviousEnds is when the previous secret ends, or nil if it has ended.
	PreviousEnds *models.Time
	// Name and Edition are the values of the form.
	Name, Edition string
	Switches      []switchField
	// FriendRequestPolicy is a value of the form as well.
	FriendRequestPolicy string
	Limits              []limitField
	// Loaded is what the form contained when it was loaded. Fields that still have these values are
	// not written, because another operator may have changed them since.
	Loaded map[string]string
	// May is what the visitor may do.
	May rights
	// WrongField is the field that the rules refused, and Wrong the text that explains why.
	WrongField, Wrong string
}

// switchField is a setting that is on or off.
type switchField struct {
	Name string
	On   bool
}

// limitField is a setting that is a number.
type limitField struct {
	Name, Value string
	Min, Max    int
}

// WrongLimit returns the limit that was refused, or zero if none was.
func (p *settingsPage) WrongLimit() limitField {
	for _, l := range p.Limits {
		if l.Name == p.WrongField {
			return l
		}
	}
	return limitField{}
}

// Editions returns the editions to choose from.
func (*settingsPage) Editions() []models.Edition { return editions }

// Policies returns the policies for friend requests to choose from.
func (*settingsPage) Policies() []models.FriendRequestPolicy { return models.FriendRequestPolicies }

var editions = []models.Edition{models.EditionStandard, models.EditionFlagship, models.EditionPremium}

func settingsPath(app *models.App) string { return appPath(app) + "/settings" }

func (c *console) showSettings(v *visit) error {
	app := v.app
	return c.show(v, "settings", c.settingsPage(v, app))
}

func (c *console) settingsPage(v *visit, app *models.App) *settingsPage {
	set := app.Settings
	p := &settingsPage{
		App: c.appRow(v, app), Path: settingsPath(app), RotatePath: appPath(app) + "/rotate-secret",
		PreviousEnds: c.previousEnds(app), Name: app.Name, Edition: string(app.Edition), May: v.rights(),
		Switches: []switchField{
			{"statusQueryEnabled", set.StatusQueryEnabled},
			{"friendStatusNotifyEnabled", set.FriendStatusNotifyEnabled},
			{"onlyFriendsCanMessage", set.OnlyFriendsCanMessage},
			{"profileEditEnabled", set.ProfileEditEnabled},
			{"eventFeedEnabled", set.EventFeedEnabled},
		},
		FriendRequestPolicy: string(set.FriendRequestPolicy),
		Limits: []limitField{
			{"friendLimit", strconv.Itoa(set.FriendLimit), 0, apps.MaxListLimit},
			{"blocklistLimit", strconv.Itoa(set.BlocklistLimit), 0, apps.MaxListLimit},
			{"whitelistLimit", strconv.Itoa(set.WhitelistLimit), 0, apps.MaxListLimit},
			{"statusSubscriptionLimit", strconv.Itoa(set.StatusSubscriptionLimit), 0, apps.MaxSubscriptionLimit},
			{"deviceLimit", strconv.Itoa(set.DeviceLimit), apps.MinDeviceLimit, apps.MaxDeviceLimit},
			{"friendRequestDailyLimit", strconv.Itoa(set.FriendRequestDailyLimit), 0, apps.MaxDailyRequests},
		},
	}
	if app.Environment == models.EnvironmentProduction {
		p.Limits = append(p.Limits, limitField{registeredUserLimit, strconv.Itoa(app.UserLimit), 0, apps.MaxUserLimit})
	}
	p.Loaded = p.values()
	return p
}

// values returns the values of the form, by the names of the settings.
func (p *settingsPage) values() map[string]string {
	values := map[string]string{"name": p.Name, "edition": p.Edition, "friendRequestPolicy": p.FriendRequestPolicy}
	for _, s := range p.Switches {
		values[s.Name] = strconv.FormatBool(s.On)
	}
	for _, l := range p.Limits {
		values[l.Name] = l.Value
	}
	return values
}

// registeredUserLimit is the limit that applies in one edition only.
const registeredUserLimit = "registeredUserLimit"

// loadedPrefix begins the names of the hidden fields with the values that a form was loaded with.
const loadedPrefix = "loaded."

// read copies the form into the page and returns what the operator has changed in it. If the form
// does not contain the values it was loaded with, read returns all fields.
func (p *settingsPage) read(r *http.Request) map[string]string {
	p.Name, p.Edition = strings.TrimSpace(r.PostFormValue("name")), r.PostFormValue("edition")
	p.FriendRequestPolicy = r.PostFormValue("friendRequestPolicy")
	for i := range p.Switches {
		s := &p.Switches[i]
		s.On = r.PostFormValue(s.Name) == "true"
	}
	for i := range p.Limits {
		l := &p.Limits[i]
		l.Value = strings.TrimSpace(r.PostFormValue(l.Name))
	}
	changed := p.values()
	for name, value := range p.values() {
		if r.PostForm.Has(loadedPrefix + name) {
			p.Loaded[name] = r.PostForm.Get(loadedPrefix + name)
			if p.Loaded[name] == value {
				delete(changed, name)
			}
		}
	}
	if p.Edition != string(models.EditionStandard) {
		delete(changed, registeredUserLimit)
	}
	return changed
}

func (c *console) saveSettings(v *visit) error {
	p := c.settingsPage(v, v.app)
	changed := p.read(v.r)
	if len(changed) == 0 {
		if err := c.setFlash(v, "settings.same", ""); err != nil {
			return err
		}
		return v.redirect(p.Path)
	}
	app, err := c.Apps.Set(v.r.Context(), v.app.Key, changed, c.actor(v))
	var refusal *fault.Error
	if errors.As(err, &refusal) && refusal.Code == fault.InvalidArgument {
		p.WrongField, _ = refusal.Extensions["field"].(string)
		rule, _ := refusal.Extensions["rule"].(string)
		switch {
		case p.WrongField == registeredUserLimit && rule == "edition":
			p.Wrong = "settings.wrong.unlimited"
		case rule == "oneof":
			p.Wrong = "wrong.choice"
		case p.WrongField != "name" && (rule == "number" || rule == "min" || rule == "max"):
			p.Wrong = "settings.wrong.limit"
		default:
			p.Wrong = "settings.wrong." + rule
		}
		if !v.locale.has(p.Wrong) {
			p.Wrong = "error.invalid"
		}
		return c.render(v, http.StatusUnprocessableEntity, "settings", p)
	}
	if err != nil {
		return err
	}
	if app == nil {
		return c.notFound(v)
	}
	if err := c.setFlash(v, "settings.done", app.Name); err != nil {
		return err
	}
	return v.redirect(p.Path)
}
