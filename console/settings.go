package console

import (
	"errors"
	"maps"
	"net/http"
	"slices"
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
	// TrustedPath is the page of the app's trusted documents, and TrustedCount their number. Restricted
	// is true if users may send no others.
	TrustedPath  string
	TrustedCount int
	Restricted   bool
	// PreviousEnds is when the previous secret ends, or nil if it has ended.
	PreviousEnds *models.Time
	// Name and Edition are the values of the form.
	Name, Edition string
	Switches      []switchField
	// FriendRequestPolicy is a value of the form as well.
	FriendRequestPolicy string
	// BanPresets are a preset a line.
	BanPresets string
	Limits     []limitField
	// Loaded is what the form contained when it was loaded. Fields that still have these values are
	// not written, because another operator may have changed them since.
	Loaded map[string]string
	// May is what the visitor may do.
	May rights
	// Errors are what is wrong with fields.
	Errors faults
	// Stale is true if the Errors are of the settings that were changed since the form was loaded, by other
	// operators or in another tab. The form then asks whether to replace them.
	Stale bool
	// Lowered are limits that the operator has accepted.
	Lowered []loweredLimit
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

// settingsSection is a part of the form with a heading.
type settingsSection struct {
	Name   string
	Fields []settingField
}

// settingField is a field of the form: a switch, a limit, or one with a template of its own.
type settingField struct {
	Name   string
	Switch *switchField
	Limit  *limitField
}

// settingsSections are the parts of the form, and the settings in each.
var settingsSections = []struct {
	name     string
	settings []string
}{
	{"app", []string{"name", "edition", registeredUserLimit}},
	{"users", []string{"profileEditEnabled", "deviceLimit", "banPresets"}},
	{"relationships", []string{
		"onlyFriendsCanMessage", "friendRequestPolicy", "friendRequestDailyLimit", "friendLimit", "blocklistLimit", "whitelistLimit",
	}},
	{"status", []string{"statusQueryEnabled", "friendStatusNotifyEnabled", "statusSubscriptionLimit"}},
	{"events", []string{"eventFeedEnabled", "presenceFeedEnabled"}},
}

// Sections returns the parts of the form.
func (p *settingsPage) Sections() []settingsSection {
	var sections []settingsSection
	for _, s := range settingsSections {
		section := settingsSection{Name: s.name}
		for _, name := range s.settings {
			f := settingField{Name: name}
			if at := slices.IndexFunc(p.Switches, func(s switchField) bool { return s.Name == name }); at >= 0 {
				f.Switch = &p.Switches[at]
			}
			if at := slices.IndexFunc(p.Limits, func(l limitField) bool { return l.Name == name }); at >= 0 {
				f.Limit = &p.Limits[at]
			}
			if name == registeredUserLimit && f.Limit == nil {
				continue
			}
			section.Fields = append(section.Fields, f)
		}
		sections = append(sections, section)
	}
	return sections
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
		App: c.appRow(v, app), Path: settingsPath(app), RotatePath: appPath(app) + "/rotate-secret", TrustedPath: trustedPath(app),
		PreviousEnds: c.previousEnds(app), Errors: faults{}, Name: app.Name, Edition: string(app.Edition), May: v.rights(),
		Switches: []switchField{
			{"statusQueryEnabled", set.StatusQueryEnabled},
			{"friendStatusNotifyEnabled", set.FriendStatusNotifyEnabled},
			{"onlyFriendsCanMessage", set.OnlyFriendsCanMessage},
			{"profileEditEnabled", set.ProfileEditEnabled},
			{"eventFeedEnabled", set.EventFeedEnabled},
			{"presenceFeedEnabled", set.PresenceFeedEnabled},
		},
		FriendRequestPolicy: string(set.FriendRequestPolicy), BanPresets: app.BanPresets,
		Limits: []limitField{
			{"friendLimit", strconv.Itoa(set.FriendLimit), 0, apps.MaxListLimit},
			{"blocklistLimit", strconv.Itoa(set.BlocklistLimit), 0, apps.MaxListLimit},
			{"whitelistLimit", strconv.Itoa(set.WhitelistLimit), 0, apps.MaxListLimit},
			{"statusSubscriptionLimit", strconv.Itoa(set.StatusSubscriptionLimit), 0, apps.MaxSubscriptionLimit},
			{"deviceLimit", strconv.Itoa(set.DeviceLimit), apps.MinDeviceLimit, apps.MaxDeviceLimit},
			{"friendRequestDailyLimit", strconv.Itoa(set.FriendRequestDailyLimit), 0, apps.MaxDailyRequests},
		},
	}
	p.TrustedCount, p.Restricted = c.trustedCount(app)
	p.offerUserLimit()
	p.Loaded = p.values()
	return p
}

// offerUserLimit adds the limit of users to the form, or removes it, according to the edition in the
// form: other editions have no limit.
func (p *settingsPage) offerUserLimit() {
	at := slices.IndexFunc(p.Limits, func(l limitField) bool { return l.Name == registeredUserLimit })
	limited := p.App.Environment == models.EnvironmentProduction && p.Edition == string(models.EditionStandard)
	switch {
	case limited && at < 0:
		p.Limits = append(p.Limits, limitField{registeredUserLimit, strconv.Itoa(p.App.UserLimit), 0, apps.MaxUserLimit})
	case !limited && at >= 0:
		p.Limits = slices.Delete(p.Limits, at, at+1)
	}
}

// values returns the values of the form, by the names of the settings.
func (p *settingsPage) values() map[string]string {
	values := map[string]string{"name": p.Name, "edition": p.Edition, "friendRequestPolicy": p.FriendRequestPolicy, "banPresets": p.BanPresets}
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
	if r.PostForm.Has("banPresets") {
		p.BanPresets = withoutReturns(r.PostFormValue("banPresets"))
	}
	for i := range p.Switches {
		s := &p.Switches[i]
		s.On = r.PostFormValue(s.Name) == "true"
	}
	p.offerUserLimit()
	for i := range p.Limits {
		l := &p.Limits[i]
		if l.Name == registeredUserLimit && !r.PostForm.Has(l.Name) {
			continue // the form had another edition when it was loaded
		}
		l.Value = strings.TrimSpace(r.PostFormValue(l.Name))
	}
	changed := p.values()
	for name, value := range p.values() {
		if r.PostForm.Has(loadedPrefix + name) {
			p.Loaded[name] = withoutReturns(r.PostForm.Get(loadedPrefix + name))
			if p.Loaded[name] == value {
				delete(changed, name)
			}
		}
	}
	return changed
}

// withoutReturns returns a text of several lines as it is stored: browsers send line breaks as CR LF.
func withoutReturns(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }

// MaxBanPresets returns the maximum number of presets for bans.
func (*settingsPage) MaxBanPresets() int { return apps.MaxBanPresets }

func (c *console) saveSettings(v *visit) error {
	p := c.settingsPage(v, v.app)
	changed := p.read(v.r)
	if len(changed) == 0 {
		if err := c.setFlash(v, "settings.same", ""); err != nil {
			return err
		}
		return v.redirect(p.Path)
	}
	if v.r.PostForm.Has(changeValues) {
		return c.show(v, "settings", p)
	}
	after, refused := apps.Check(v.app, changed)
	for name, refusal := range refused {
		p.refuse(v, name, refusal)
	}
	if len(p.Errors) > 0 {
		return c.render(v, http.StatusUnprocessableEntity, "settings", p)
	}
	lowered, err := c.loweredLimits(v, after, changed)
	if err != nil {
		return err
	}
	for _, l := range lowered {
		if v.r.PostForm.Get(acceptedPrefix+l.Name) != strconv.Itoa(l.Limit) {
			return c.render(v, http.StatusConflict, "settings_lower", p.question(v, lowered))
		}
	}
	app, err := c.Apps.Change(v.r.Context(), v.app.Key, changed, p.Loaded, c.actor(v))
	var stale *apps.Stale
	if errors.As(err, &stale) {
		p.Lowered = lowered // which has been accepted
		p.showPresent(v, stale)
		maps.Copy(p.Loaded, stale.Now) // the next submission replaces what the operator now sees
		return c.render(v, http.StatusConflict, "settings", p)
	}
	var refusal *fault.Error
	if errors.As(err, &refusal) && refusal.Code == fault.InvalidArgument {
		field, _ := refusal.Extensions["field"].(string)
		p.refuse(v, field, refusal)
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

// showPresent shows the present values of settings that were changed since the form was loaded.
func (p *settingsPage) showPresent(v *visit, stale *apps.Stale) {
	p.Stale = true
	for name, value := range stale.Now {
		text := ""
		switch {
		case name == "edition":
			text = "edition." + value
		case name == "friendRequestPolicy":
			text = "policy." + value
		case slices.ContainsFunc(p.Switches, func(s switchField) bool { return s.Name == name }):
			text = "settings.is." + value
		}
		if shown, err := v.locale.text(text); err == nil {
			value = shown
		}
		p.Errors[name] = faultText{Key: "settings.stale.now", Value: value}
	}
}

// refuse records what is wrong with a field.
func (p *settingsPage) refuse(v *visit, field string, refusal *fault.Error) {
	rule, _ := refusal.Extensions["rule"].(string)
	wrong := faultText{Key: "settings.wrong." + rule}
	limit := slices.IndexFunc(p.Limits, func(l limitField) bool { return l.Name == field })
	switch {
	case field == registeredUserLimit && rule == "edition":
		wrong.Key = "settings.wrong.unlimited"
	case field == "banPresets":
		wrong = wrongPresets(refusal, p.BanPresets)
	case rule == "oneof":
		wrong.Key = "wrong.choice"
	case limit >= 0:
		wrong = faultText{Key: "settings.wrong.limit", Args: []any{"min", p.Limits[limit].Min, "max", p.Limits[limit].Max}}
	}
	if !v.locale.has(wrong.Key) {
		wrong.Key = "wrong.other"
	}
	p.Errors[field] = wrong
}

// wrongPresets returns what is wrong with the ban presets, which are a preset a line.
func wrongPresets(refusal *fault.Error, presets string) faultText {
	line, found := refusal.Extensions["line"].(int)
	if lines := strings.Split(presets, "\n"); found && line <= len(lines) {
		return faultText{Key: "settings.wrong.presets", Args: []any{"line", line}, Value: lines[line-1]}
	}
	if rule := refusal.Rule(); rule != nil && *rule == "max" {
		return faultText{Key: "settings.wrong.presets.max", Args: []any{"count", apps.MaxBanPresets}}
	}
	return faultText{Key: "wrong.other"}
}
