package console

import (
	"rollcall/internal/page"
	"rollcall/models"
)

const (
	// bansOnUser is the number of bans on a user's page.
	bansOnUser = 5
	// bansPerPage is the number of bans on a page of the whole history.
	bansPerPage = 50
)

// banRow is a ban in a user's history.
type banRow struct {
	*models.BanRecord
	State models.BanState
	// Ended is when the ban ended, or nil if it is in force.
	Ended *models.Time
}

// Ender returns the actor that lifted or replaced the ban, or "" in the other states.
func (r banRow) Ender() string {
	if r.EndedBy == nil {
		return ""
	}
	return *r.EndedBy
}

// banHistory is a page of a user's bans, as shown by user_bans.html and by a user's page.
type banHistory struct {
	Bans []banRow
	// Path is the page with the whole history.
	Path string
	pager
}

// userBansPage is the data of user_bans.html.
type userBansPage struct {
	*userPage
	History *banHistory
}

// banHistory reads a page of the user's bans.
func (c *console) banHistory(v *visit, u userRow, r page.Request) (*banHistory, *page.Info, error) {
	found, err := c.Users.Bans(v.r.Context(), u.User, r)
	if err != nil {
		return nil, nil, err
	}
	now := models.TimeOf(c.Clock())
	h := &banHistory{Path: u.Path + "/bans"}
	for _, b := range found.Nodes() {
		h.Bans = append(h.Bans, banRow{b, b.State(now), b.End(now)})
	}
	return h, found.PageInfo(), nil
}

// recentBans returns the newest of the user's bans. Next is the whole history if there are more.
func (c *console) recentBans(v *visit, u userRow) (*banHistory, error) {
	h, info, err := c.banHistory(v, u, page.Request{First: bansOnUser})
	if err != nil {
		return nil, err
	}
	if info.HasNextPage {
		h.Next = h.Path
	}
	return h, nil
}

// showUserBans shows all bans of a user.
func (c *console) showUserBans(v *visit) error {
	p, err := c.userPage(v)
	if err != nil {
		return err
	}
	p.Tab = userActivity
	request := pageBothWays(v, bansPerPage)
	h, info, err := c.banHistory(v, p.User, request)
	if err != nil {
		return err
	}
	h.pager = pagerBothWays(v, request, info)
	return c.show(v, "user_bans", userBansPage{p, h})
}
