package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/models"
)

// questioned records the number of users in each call of StatusesOf, and returns err if it is set.
type questioned struct {
	Presence
	sizes []int
	err   error
}

func (a *questioned) StatusesOf(ctx context.Context, users []*models.User) ([]models.UserStatus, error) {
	a.sizes = append(a.sizes, len(users))
	if a.err != nil {
		return nil, a.err
	}
	return a.Presence.StatusesOf(ctx, users)
}

func (a *questioned) want(t *testing.T, sizes ...int) {
	t.Helper()
	if fmt.Sprint(a.sizes) != fmt.Sprint(sizes) {
		t.Errorf("asked for statuses in steps of %v, want %v", a.sizes, sizes)
	}
	a.sizes = nil
}

// TestListsAskForStatusesAtOnce: with Redis, each call is a round trip.
func TestListsAskForStatusesAtOnce(t *testing.T) {
	s := onSQLite(t)
	for i := range 24 {
		s.pass(time.Millisecond)
		s.register(s.dev, fmt.Sprintf("u%02d", i), "Somebody")
	}
	s.connect(s.dev, "u20", silent{})
	questions := &questioned{Presence: s.presence}
	s.deps.Presence = questions
	s.serve()
	b := s.as("admin")
	online := `<span class="status ONLINE">`

	got := b.get(usersPath(s.dev))
	got.want(t, http.StatusOK, "u23", online)
	if n := strings.Count(got.body, online); n != 1 {
		t.Errorf("%d users are online", n)
	}
	questions.want(t, pageSizes[0])
	b.get(usersPath(s.dev)+"?show=online").want(t, http.StatusOK, "u20", online, "!u19")
	questions.want(t, 1)
	b.get(usersPath(s.dev)+"/../bulk/ban?id=u20&id=u19&id=nobody").want(t, http.StatusOK, "u20", "u19")
	questions.want(t, 2)
	rows := b.post(usersPath(s.dev)+".csv", nil).table(t)
	if len(rows) != 26 || rows[4][0] != "u20" || rows[4][4] != "ONLINE" || rows[3][4] != "UNLOGINED" {
		t.Errorf("%d rows, the fourth %q, the fifth %q", len(rows), rows[3], rows[4])
	}
	questions.want(t, 25)
}

// TestListsWithoutStatuses: if statuses are unknown, users are shown without them.
func TestListsWithoutStatuses(t *testing.T) {
	s := onSQLite(t)
	s.register(s.dev, "bob", "Bob")
	s.deps.Presence = &questioned{Presence: s.presence, err: errors.New("no Redis")}
	s.serve()
	b := s.as("admin")
	b.get(usersPath(s.dev)).want(t, http.StatusOK, "ann", "bob", `<span class="status UNKNOWN">`)
	if rows := b.post(usersPath(s.dev)+".csv", nil).table(t); len(rows) != 3 || rows[1][4] != "UNKNOWN" {
		t.Errorf("the rows %q", rows)
	}
	if !strings.Contains(s.log.String(), "no Redis") {
		t.Errorf("the log:\n%s", s.log)
	}
}
