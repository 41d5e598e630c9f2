package console

import (
	"context"
	"encoding/json"

	"rollcall/internal/audit"
	"rollcall/internal/page"
	"rollcall/internal/webhooks"
	"rollcall/models"
)

// dataPage is the number of entries of a list that a file with a user's data reads at once.
const dataPage = 200

// userDataFile is a JSON object with all that is stored about a user. It is written in parts, so that it
// needs memory for one part of one list. It contains nothing that other users have entered about the user
// except the friend requests to it, and no names of operators.
type userDataFile struct {
	*export
	v *visit
	// fields counts the fields that have been written.
	fields int
}

// field writes a field of the object.
func (f *userDataFile) field(name string, value any) error {
	return f.write(name, func(part []byte) []byte { return appendJSON(part, value, "  ") })
}

// list writes a field with a list. next returns the next items, or none at the end.
func (f *userDataFile) list(name string, next func() ([]any, error)) error {
	if err := f.write(name, func(part []byte) []byte { return append(part, '[') }); err != nil {
		return err
	}
	for n := 0; ; {
		items, err := next()
		if err != nil {
			return err
		}
		if len(items) == 0 {
			return f.endList(n)
		}
		if err := f.items(n, items); err != nil {
			return err
		}
		n += len(items)
	}
}

// items writes items of a list, of which n have been written.
func (f *userDataFile) items(n int, items []any) error {
	var part []byte
	for i, item := range items {
		if n+i > 0 {
			part = append(part, ',')
		}
		part = appendJSON(append(part, "\n    "...), item, "    ")
	}
	return f.send(f.v, part)
}

// endList ends a list of n items.
func (f *userDataFile) endList(n int) error {
	if n == 0 {
		return f.send(f.v, []byte("]"))
	}
	return f.send(f.v, []byte("\n  ]"))
}

func (f *userDataFile) write(name string, value func(part []byte) []byte) error {
	part := []byte("{\n  ")
	if f.fields > 0 {
		part = []byte(",\n  ")
	}
	f.fields++
	return f.send(f.v, value(append(appendJSON(part, name, ""), ": "...)))
}

func appendJSON(part []byte, value any, prefix string) []byte {
	text, _ := json.MarshalIndent(value, prefix, "  ") // texts, numbers and JSON do not fail
	return append(part, text...)
}

// exportUserData responds with all that is stored about a user, for the answer to its request for access
// to its data; see docs/privacy.md. It is a POST for admins and is audited.
func (c *console) exportUserData(v *visit) error {
	p, err := c.userPage(v)
	if err != nil {
		return err
	}
	if err := c.Users.AuditDataExport(v.r.Context(), v.app, p.User.ExternalID, c.actor(v)); err != nil {
		return err
	}
	f := &userDataFile{export: &export{name: c.exportName("user-"+p.User.ExternalID, v.app.Name), format: "json"}, v: v}
	return c.end(v, f.export, c.writeUserData(v, f, p))
}

func (c *console) writeUserData(v *visit, f *userDataFile, p *userPage) error {
	for _, field := range []struct {
		name  string
		value any
	}{
		{"exportedAt", models.TimeOf(c.Clock()).String()},
		{"app", map[string]string{"key": v.app.Key, "name": v.app.Name}},
		{"user", dataOf(p.User)},
		{"devices", c.devicesData(v, p)},
	} {
		if err := f.field(field.name, field.value); err != nil {
			return err
		}
	}
	ctx, u := v.r.Context(), p.User.User
	for _, l := range peopleLists {
		entry := func(other person) any {
			data := personData{UserID: other.ExternalID, Since: other.Since.String(), Expires: momentText(other.Expires)}
			if other.Expires != nil {
				data.Message = other.Remark
			} else {
				data.Remark = other.Remark
			}
			return data
		}
		read := func(r page.Request) ([]person, *page.Info, error) { return l.read(c.Deps, ctx, u, r) }
		if err := f.list(dataNames[l], itemsOf(read, entry)); err != nil {
			return err
		}
	}
	subscribers, err := c.Subscriptions.SubscriberCount(ctx, u)
	if err != nil {
		return err
	}
	if err := f.field("subscriberCount", subscribers); err != nil {
		return err
	}
	if err := f.list("bans", itemsOf(c.bansFor(ctx, u), banData)); err != nil {
		return err
	}
	if err := f.list("notes", itemsOf(c.notesFor(ctx, u), noteData)); err != nil {
		return err
	}
	if err := f.list("audit", itemsOf(c.auditFor(ctx, v.app, u), auditData)); err != nil {
		return err
	}
	if err := c.writeEvents(ctx, f, v.app, u); err != nil {
		return err
	}
	return f.send(v, []byte("\n}\n"))
}

// dataNames are the names of the user's lists in the file.
var dataNames = map[*peopleList]string{
	friendList: "friends", incomingList: "friendRequestsReceived", outgoingList: "friendRequestsSent",
	blockList: "blocklist", whiteList: "whitelist", subscriptionList: "subscriptions",
}

// itemsOf returns a function that reads a list page by page, for userDataFile.list.
func itemsOf[T any](read func(page.Request) ([]T, *page.Info, error), entry func(T) any) func() ([]any, error) {
	r, more := page.Request{First: dataPage}, true
	return func() ([]any, error) {
		if !more {
			return nil, nil
		}
		found, info, err := read(r)
		if err != nil {
			return nil, err
		}
		more, r.After = info.HasNextPage, info.EndCursor
		items := make([]any, len(found))
		for i, one := range found {
			items[i] = entry(one)
		}
		return items, nil
	}
}

// userData is what the row of a user contains, and its status.
type userData struct {
	ID                  string                      `json:"id"`
	Name                string                      `json:"name"`
	AvatarURL           *string                     `json:"avatarUrl"`
	RegisteredAt        string                      `json:"registeredAt"`
	UpdatedAt           string                      `json:"updatedAt"`
	State               models.UserState            `json:"state"`
	DeactivatedAt       *string                     `json:"deactivatedAt"`
	BannedAt            *string                     `json:"bannedAt"`
	BannedUntil         *string                     `json:"bannedUntil"`
	BanReason           *string                     `json:"banReason"`
	Presence            string                      `json:"presence"`
	PresenceChangedAt   *string                     `json:"presenceChangedAt"`
	CustomStatus        *string                     `json:"customStatus"`
	TokensValidFrom     *string                     `json:"tokensValidFrom"`
	WhitelistEnabled    bool                        `json:"whitelistEnabled"`
	FriendRequestPolicy *models.FriendRequestPolicy `json:"friendRequestPolicy"`
}

func dataOf(u userRow) userData {
	data := userData{
		ID: u.ExternalID, Name: u.Name, AvatarURL: u.AvatarURL, RegisteredAt: u.CreatedAt.String(), UpdatedAt: u.UpdatedAt.String(),
		State: u.State, DeactivatedAt: momentText(u.DeactivatedAt),
		BannedAt: momentText(u.BannedAt), BannedUntil: momentText(u.BanEnd()), BanReason: u.BanReason,
		Presence: presenceName(u.Status.Presence), PresenceChangedAt: momentText(u.Status.ChangedAt),
		WhitelistEnabled: u.WhitelistEnabled, FriendRequestPolicy: u.FriendRequestPolicy,
	}
	if u.Status.CustomStatus != "" {
		data.CustomStatus = &u.Status.CustomStatus
	}
	if u.TokensValidFrom != 0 {
		data.TokensValidFrom = momentText(&u.TokensValidFrom)
	}
	return data
}

// devicesData returns the user's devices, or nil if Redis does not respond.
func (c *console) devicesData(v *visit, p *userPage) []deviceData {
	if !p.DevicesKnown {
		return nil
	}
	devices := make([]deviceData, len(p.Devices))
	for i, d := range c.withClients(v, p, p.Devices) {
		devices[i] = deviceData{ID: d.ID, Platform: d.Platform, ConnectedAt: d.ConnectedAt.String()}
		if d.Client == nil {
			continue
		}
		devices[i].Address, devices[i].UserAgent = &d.Client.Address, &d.Client.UserAgent
		if d.Client.HeardAt != 0 {
			devices[i].LastHeardAt = momentText(&d.Client.HeardAt)
		}
	}
	return devices
}

// deviceData is a connected device. Address, UserAgent and LastHeardAt are nil if they are unknown.
type deviceData struct {
	ID          string          `json:"id"`
	Platform    models.Platform `json:"platform"`
	ConnectedAt string          `json:"connectedAt"`
	Address     *string         `json:"address"`
	UserAgent   *string         `json:"userAgent"`
	LastHeardAt *string         `json:"lastHeardAt"`
}

// personData is an entry of one of the user's lists. Remark is that of a friend, and Message that of a
// request.
type personData struct {
	UserID  string  `json:"userId"`
	Since   string  `json:"since"`
	Remark  *string `json:"remark,omitempty"`
	Message *string `json:"message,omitempty"`
	Expires *string `json:"expiresAt,omitempty"`
}

func (c *console) bansFor(ctx context.Context, u *models.User) func(page.Request) ([]*models.BanRecord, *page.Info, error) {
	return func(r page.Request) ([]*models.BanRecord, *page.Info, error) { return nodes(c.Users.Bans(ctx, u, r)) }
}

func banData(b *models.BanRecord) any {
	return struct {
		BannedAt    string           `json:"bannedAt"`
		BannedUntil *string          `json:"bannedUntil"`
		Reason      *string          `json:"reason"`
		EndedAt     *string          `json:"endedAt"`
		Ending      *models.BanState `json:"ending"`
	}{b.BannedAt.String(), momentText(b.Until()), b.Reason, momentText(b.EndedAt), b.Ending}
}

func (c *console) notesFor(ctx context.Context, u *models.User) func(page.Request) ([]*models.UserNote, *page.Info, error) {
	return func(r page.Request) ([]*models.UserNote, *page.Info, error) { return nodes(c.Users.Notes(ctx, u, r)) }
}

func noteData(n *models.UserNote) any {
	return struct {
		WrittenAt string `json:"writtenAt"`
		Text      string `json:"text"`
	}{n.CreatedAt.String(), n.Text}
}

func (c *console) auditFor(ctx context.Context, app *models.App, u *models.User) func(page.Request) ([]*models.AuditEntry, *page.Info, error) {
	filter := audit.Filter{App: app, Target: u.ExternalID, Kind: audit.KindUser}
	return func(r page.Request) ([]*models.AuditEntry, *page.Info, error) {
		return nodes(c.Audit.List(ctx, filter, r))
	}
}

func auditData(e *models.AuditEntry) any {
	return struct {
		At     string `json:"at"`
		Action string `json:"action"`
		Detail string `json:"detail,omitempty"`
	}{e.At.String(), e.Action, e.Detail}
}

// writeEvents writes the events about the user.
func (c *console) writeEvents(ctx context.Context, f *userDataFile, app *models.App, u *models.User) error {
	n := 0
	if err := f.write("events", func(part []byte) []byte { return append(part, '[') }); err != nil {
		return err
	}
	err := c.Webhooks.EventsAbout(ctx, app, u.ExternalID, func(events []*webhooks.FeedEvent) error {
		items := make([]any, len(events))
		for i, e := range events {
			items[i] = struct {
				ID         string          `json:"id"`
				Type       string          `json:"type"`
				OccurredAt string          `json:"occurredAt"`
				Data       json.RawMessage `json:"data"`
			}{e.UID, e.Type, e.OccurredAt.String(), json.RawMessage(e.Data)}
		}
		if err := f.items(n, items); err != nil {
			return err
		}
		n += len(items)
		return nil
	})
	if err != nil {
		return err
	}
	return f.endList(n)
}

// nodes returns the items of a page, unless err is not nil.
func nodes[T any](found *page.Connection[T], err error) ([]T, *page.Info, error) {
	if err != nil {
		return nil, nil, err
	}
	return found.Nodes(), found.PageInfo(), nil
}

// momentText returns the time in the form of the API, or nil.
func momentText(at *models.Time) *string {
	if at == nil {
		return nil
	}
	text := at.String()
	return &text
}
