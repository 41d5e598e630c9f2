package users

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// notes returns "author text" of the notes about a user, the newest first.
func (w *world) notes(u *models.User) []string {
	w.t.Helper()
	found, err := w.users.Notes(context.Background(), u, page.Request{First: 10})
	if err != nil {
		w.t.Fatal(err)
	}
	lines := []string{}
	for _, n := range found.Nodes() {
		lines = append(lines, n.Author+" "+n.Text)
	}
	if n, err := found.TotalCount(context.Background()); err != nil || n != len(lines) {
		w.t.Errorf("%d notes in total, %v, want %d", n, err, len(lines))
	}
	return lines
}

func TestNotes_AreAddedDeletedAuditedAndErased(t *testing.T) {
	each(t, func(w *world) {
		ctx, olga, mo := context.Background(), models.Actor{OperatorID: 1, Name: "olga"}, models.Actor{OperatorID: 2, Name: "mo"}
		ann, bob := w.register(w.app, "ann").User, w.register(w.app, "bob").User
		add := func(id, text string, by models.Actor) *models.UserNote {
			w.t.Helper()
			w.pass(time.Second)
			n, err := w.users.AddNote(ctx, w.app, id, text, by)
			if err != nil {
				w.t.Fatal(err)
			}
			return n
		}
		first := add("ann", "called twice\n\tpolite", olga)
		second := add("ann", strings.Repeat("丽", MaxNote), mo)
		add("bob", "of bob", mo)
		if got, want := w.notes(ann), []string{"mo " + second.Text, "olga called twice\n\tpolite"}; !slices.Equal(got, want) {
			t.Errorf("notes %q, want %q", got, want)
		}
		for _, s := range testenv.Statements(w.t, w.db, func() { w.notes(ann) }) {
			for _, step := range testenv.Explain(w.t, w.db, s) {
				if step.Index != "user_notes_user" || step.Scans || step.Sorts {
					t.Errorf("%s\n%+v", s.SQL, step)
				}
			}
		}

		for _, other := range []models.Actor{mo, {OperatorID: 3, Name: "olga"}} { // the second has the name of a former one
			if _, err := w.users.DeleteNote(ctx, w.app, "ann", first.ID, false, other); fault.CodeOf(err) != fault.Forbidden {
				t.Errorf("another operator's note: %v", err)
			}
		}
		if (&models.UserNote{Author: "olga"}).By(0) {
			t.Error("a note of an unknown author has one")
		}
		for _, c := range []struct {
			id       string
			note     *models.UserNote
			ofOthers bool
			deleted  bool
		}{
			{"bob", first, true, false}, // the note of another user
			{"ann", first, true, true},
			{"ann", first, true, false},
			{"ann", second, false, true},
		} {
			if deleted, err := w.users.DeleteNote(ctx, w.app, c.id, c.note.ID, c.ofOthers, mo); deleted != c.deleted || err != nil {
				t.Errorf("%+v: %v, %v", c, deleted, err)
			}
		}
		var entries []models.AuditEntry
		if err := w.db.Read(ctx).Where("action LIKE '%note'").Order("id").Find(&entries).Error; err != nil {
			t.Fatal(err)
		}
		var audited []string
		for _, e := range entries {
			audited = append(audited, e.Actor+" "+e.Action+" "+e.Target+" "+e.Detail)
		}
		want := []string{
			"olga user.add_note ann note=1", "mo user.add_note ann note=2", "mo user.add_note bob note=3",
			"mo user.delete_note ann note=1", "mo user.delete_note ann note=2",
		}
		if !slices.Equal(audited, want) {
			t.Errorf("audit %q", audited)
		}

		if _, err := w.users.Deactivate(ctx, w.app, []string{"bob"}, olga); err != nil {
			t.Fatal(err)
		}
		if got := w.notes(bob); len(got) > 0 {
			t.Errorf("notes after the deactivation: %q", got)
		}
		for id, code := range map[string]fault.Code{"bob": fault.UserDeactivated, "unknown": fault.UserNotFound} {
			if _, err := w.users.AddNote(ctx, w.app, id, "x", olga); fault.CodeOf(err) != code {
				t.Errorf("a note about %s: %v", id, err)
			}
		}
		for rule, text := range map[string]string{
			"notblank": " \n\u200b", "max": strings.Repeat("a", MaxNote+1), "nocontrol": "a\x00", "utf8": "\xff",
		} {
			_, err := w.users.AddNote(ctx, w.app, "ann", text, olga)
			if refusal, _ := fault.As(err); refusal == nil || refusal.Rule() == nil || *refusal.Rule() != rule {
				t.Errorf("%s: %v", rule, err)
			}
		}
	})
}
