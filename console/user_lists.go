package console

import (
	"context"

	"rollcall/internal/page"
	"rollcall/internal/relations"
	"rollcall/internal/subscriptions"
	"rollcall/models"
)

const (
	// peopleOnUser is the number of entries of each list on a user's page.
	peopleOnUser = 5
	// peoplePerPage is the number of entries on a page of one list.
	peoplePerPage = 50
)

// peopleList is a list of users that a user has. The name ends the list's path and begins the keys
// of its texts.
type peopleList struct {
	name string
	read func(Deps, context.Context, *models.User, page.Request) ([]person, *page.Info, error)
}

// person is an entry of a list.
type person struct {
	*models.User
	Path  string
	Since models.Time
	// Remark is the owner's name for a friend, or the message of a request.
	Remark *string
	// Blocked is true if the friend is on the owner's blocklist.
	Blocked bool
	// Expires is when a request expires.
	Expires *models.Time
}

var (
	friendList = &peopleList{"friends", func(d Deps, ctx context.Context, u *models.User, p page.Request) ([]person, *page.Info, error) {
		found, err := d.Relations.Friends(ctx, u, p)
		return people(found, err, func(f *relations.Friendship) person {
			return person{User: f.User, Since: f.CreatedAt, Remark: f.Remark, Blocked: f.Blocked}
		})
	}}
	incomingList = &peopleList{"incoming", func(d Deps, ctx context.Context, u *models.User, p page.Request) ([]person, *page.Info, error) {
		found, err := d.Relations.Requests(ctx, u, true, p)
		return people(found, err, func(q *relations.FriendRequest) person {
			return person{User: q.From, Since: q.CreatedAt, Remark: q.Message, Expires: &q.ExpiresAt}
		})
	}}
	outgoingList = &peopleList{"outgoing", func(d Deps, ctx context.Context, u *models.User, p page.Request) ([]person, *page.Info, error) {
		found, err := d.Relations.Requests(ctx, u, false, p)
		return people(found, err, func(q *relations.FriendRequest) person {
			return person{User: q.To, Since: q.CreatedAt, Remark: q.Message, Expires: &q.ExpiresAt}
		})
	}}
	blockList = &peopleList{"blocklist", func(d Deps, ctx context.Context, u *models.User, p page.Request) ([]person, *page.Info, error) {
		found, err := d.Relations.Blocklist(ctx, u, p)
		return people(found, err, func(b *relations.Block) person {
			return person{User: b.User, Since: b.CreatedAt}
		})
	}}
	whiteList = &peopleList{"whitelist", func(d Deps, ctx context.Context, u *models.User, p page.Request) ([]person, *page.Info, error) {
		found, err := d.Relations.Whitelist(ctx, u, p)
		return people(found, err, func(w *relations.WhitelistEntry) person {
			return person{User: w.User, Since: w.CreatedAt}
		})
	}}
	// subscriptionList has the users whose status the user has subscribed to.
	subscriptionList = &peopleList{"subscriptions", func(d Deps, ctx context.Context, u *models.User, p page.Request) ([]person, *page.Info, error) {
		found, err := d.Subscriptions.List(ctx, u, p)
		return people(found, err, func(s *subscriptions.Subscription) person {
			return person{User: s.User, Since: s.SubscribedAt}
		})
	}}
	peopleLists = []*peopleList{friendList, incomingList, outgoingList, blockList, whiteList, subscriptionList}
)

// people converts a page of entries to persons by convert, unless err is not nil.
func people[T any](found *page.Connection[T], err error, convert func(T) person) ([]person, *page.Info, error) {
	if err != nil {
		return nil, nil, err
	}
	list := make([]person, len(found.Nodes()))
	for i, entry := range found.Nodes() {
		list[i] = convert(entry)
	}
	return list, found.PageInfo(), nil
}

// peopleView is a page of a list, as shown by people.html and by a user's page.
type peopleView struct {
	Name   string
	People []person
	// Path is the page with the whole list.
	Path string
	pager
}

// Marked reports whether the list's entries have a remark or a message.
func (p peopleView) Marked() bool { return p.Requests() || p.Name == friendList.name }

// Requests reports whether it is a list of friend requests.
func (p peopleView) Requests() bool {
	return p.Name == incomingList.name || p.Name == outgoingList.name
}

// peoplePage is the data of people.html.
type peoplePage struct {
	*userPage
	List *peopleView
}

// showPeople returns the handler of the list's pages.
func showPeople(l *peopleList) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		p, err := c.userPage(v)
		if err != nil {
			return err
		}
		p.Tab = userRelations
		request := pageOf(v, peoplePerPage)
		list, info, err := c.people(v, p, l, request)
		if err != nil {
			return err
		}
		list.pager = pagerOf(v, request, info)
		return c.show(v, "people", peoplePage{p, list})
	}
}

// people reads a page of a user's list.
func (c *console) people(v *visit, p *userPage, l *peopleList, r page.Request) (*peopleView, *page.Info, error) {
	list, info, err := l.read(c.Deps, v.r.Context(), p.User.User, r)
	if err != nil {
		return nil, nil, err
	}
	for i := range list {
		list[i].Path = userPath(p.App.App, list[i].ExternalID)
	}
	return &peopleView{Name: l.name, People: list, Path: p.User.Path + "/" + l.name}, info, nil
}
