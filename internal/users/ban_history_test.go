package users

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/internal/testenv"
	"rollcall/migrations"
	"rollcall/models"
)

// bans returns "banned by, reason, state, ended by" of each ban of a user, the newest first.
func (w *world) bans(u *models.User) []string {
	w.t.Helper()
	found, err := w.users.Bans(context.Background(), u, page.Request{First: 50})
	if err != nil {
		w.t.Fatal(err)
	}
	total, err := found.TotalCount(context.Background())
	if err != nil || total != len(found.Nodes()) {
		w.t.Errorf("total %d of %d, %v", total, len(found.Nodes()), err)
	}
	lines := []string{}
	text := func(s *string) string {
		if s == nil {
			return "-"
		}
		return *s
	}
	for _, b := range found.Nodes() {
		lines = append(lines, text(b.BannedBy)+" "+text(b.Reason)+" "+string(b.State(w.users.now()))+" "+text(b.EndedBy))
	}
	return lines
}

func TestBans_KeepEveryBanUntilTheUserIsErased(t *testing.T) {
	each(t, func(w *world) {
		ctx, operator := context.Background(), models.Actor{Name: "olga"}
		ann, bob := w.register(w.app, "ann").User, w.register(w.app, "bob").User
		ids, reason := []string{"ann", "bob"}, "spam"
		ban := func(length time.Duration, reason *string, by models.Actor) {
			w.t.Helper()
			if _, err := w.users.Ban(ctx, w.app, ids, Sentence{Length: length, Reason: reason}, by); err != nil {
				w.t.Fatal(err)
			}
		}
		want := func(u *models.User, lines ...string) {
			w.t.Helper()
			if got := w.bans(u); !slices.Equal(got, lines) {
				w.t.Errorf("%s: %q, want %q", u.ExternalID, got, lines)
			}
		}
		want(ann)
		ban(time.Hour, &reason, operator)
		want(ann, "olga spam IN_FORCE -")
		w.pass(time.Minute)
		ban(time.Hour, nil, audit.AppServer)
		want(ann, "App Server - IN_FORCE -", "olga spam REPLACED App Server")
		w.pass(2 * time.Hour)
		want(ann, "App Server - EXPIRED -", "olga spam REPLACED App Server")
		ids = []string{"ann"}
		if _, err := w.users.Unban(ctx, w.app, ids, operator); err != nil { // ALREADY: nothing to lift
			w.t.Fatal(err)
		}
		ban(time.Hour, &reason, operator)
		w.pass(time.Minute)
		if _, err := w.users.Unban(ctx, w.app, ids, audit.AppServer); err != nil {
			w.t.Fatal(err)
		}
		want(ann, "olga spam LIFTED App Server", "App Server - EXPIRED -", "olga spam REPLACED App Server")
		want(bob, "App Server - EXPIRED -", "olga spam REPLACED App Server")

		for _, s := range testenv.Statements(w.t, w.db, func() { w.bans(ann) }) {
			for _, step := range testenv.Explain(w.t, w.db, s) {
				if step.Index != "ban_records_user" || step.Scans || step.Sorts {
					w.t.Errorf("%s\n%+v", s.SQL, step)
				}
			}
		}

		if _, err := w.users.Deactivate(ctx, w.app, []string{"ann"}, operator); err != nil {
			w.t.Fatal(err)
		}
		want(ann)
		if _, err := w.users.Delete(ctx, w.app, []string{"bob"}, operator); err != nil {
			w.t.Fatal(err)
		}
		want(bob)
	})
}

// banHistoryInsert returns the statement of the migration that fills the history.
func banHistoryInsert(w *world) string {
	w.t.Helper()
	files, folder := migrations.SQLite, "sqlite"
	if w.db.Dialect() == database.MySQL {
		files, folder = migrations.MySQL, "mysql"
	}
	names, err := fs.Glob(files, folder+"/*_ban_history.sql")
	if err != nil || len(names) != 1 {
		w.t.Fatal(names, err)
	}
	text, err := files.ReadFile(names[0])
	if err != nil {
		w.t.Fatal(err)
	}
	_, insert, _ := strings.Cut(string(text), "INSERT INTO")
	insert, _, _ = strings.Cut(insert, ";")
	return "INSERT INTO" + insert
}

func TestBans_AreFilledInByTheMigration(t *testing.T) {
	each(t, func(w *world) {
		ctx, reason := context.Background(), "spam"
		for _, id := range []string{"ann", "bob", "cid"} {
			w.register(w.app, id)
		}
		for _, by := range []models.Actor{audit.AppServer, {Name: "olga"}} {
			w.pass(time.Minute)
			if _, err := w.users.Ban(ctx, w.app, []string{"ann", "bob"}, Sentence{Length: time.Hour, Reason: &reason}, by); err != nil {
				w.t.Fatal(err)
			}
		}
		for _, sql := range []string{"DELETE FROM ban_records", "DELETE FROM audit_entries WHERE target = 'bob'", banHistoryInsert(w)} {
			if err := w.db.Exec(ctx, sql); err != nil {
				w.t.Fatal(err)
			}
		}
		for id, want := range map[string][]string{
			"ann": {"olga spam IN_FORCE -"}, "bob": {"- spam IN_FORCE -"}, "cid": {},
		} {
			u, err := w.users.ByID(ctx, w.app.ID, id)
			if err != nil {
				w.t.Fatal(err)
			}
			if got := w.bans(u); !slices.Equal(got, want) {
				w.t.Errorf("%s: %q, want %q", id, got, want)
			}
		}
	})
}
