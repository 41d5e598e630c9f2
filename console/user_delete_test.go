package console

import (
	"net/http"
	"testing"

	"rollcall/internal/database"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// cut receives the reason for which a device's link was cut.
type cut chan status.Reason

func (c cut) Cut(cause status.Cause) { c <- cause.Reason }
func (cut) Client() status.Client    { return status.Client{} }

func TestDeleteUser(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		link := make(cut, 1)
		s.connect(s.dev, "ann", link)
		b := s.as("admin")
		root, path := usersPath(s.dev), userPath(s.dev, "ann")

		b.get(path+"/delete").want(t, http.StatusOK, "Delete ann?", "Their devices are disconnected", `action="`+path+`/delete"`)
		if !s.there(s.dev, "ann") {
			t.Fatal("asking deleted the user")
		}
		b.post(root+"/ann%20/delete", nil).wantRedirect(t, root)
		b.post(root+"/ANN/delete", nil).wantRedirect(t, root)
		if !s.there(s.dev, "ann") {
			t.Fatal("the ID of another user deleted this one")
		}
		b.get(root).want(t, http.StatusOK, "ANN no longer exists")

		b.post(path+"/delete", nil).wantCertificate(t)
		if s.there(s.dev, "ann") {
			t.Error("the user is still there")
		}
		if !s.there(s.prod, "ann") {
			t.Error("the user of that ID in another app is gone")
		}
		if reason := <-link; reason != status.ReasonDeleted {
			t.Errorf("the device was cut for %v", reason)
		}
		b.get(root).want(t, http.StatusOK, "ann was deleted.", "No users yet", "0 of 100")
		b.get(root).want(t, http.StatusOK, "!ann was deleted.")
		b.get(path).want(t, http.StatusNotFound)

		b.post(path+"/delete", nil).wantRedirect(t, root)
		b.get(root).want(t, http.StatusOK, "ann no longer exists")

		var entries []models.AuditEntry
		s.check(db.Read(t.Context()).Where("action = ?", "user.delete").Find(&entries).Error)
		if len(entries) != 1 || entries[0].Actor != "admin" || entries[0].Target != "ann" {
			t.Errorf("audit %+v", entries)
		}
	})
}

func TestDeleteUser_Production(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		b := s.as("admin")
		path := userPath(s.prod, "ann") + "/delete"
		b.get(path).want(t, http.StatusForbidden, "Users of a production app cannot be deleted")
		b.post(path, nil).want(t, http.StatusForbidden, "Users of a production app cannot be deleted")
		if !s.there(s.prod, "ann") {
			t.Error("the user is gone")
		}
		user := userPath(s.prod, "ann")
		b.get(user).want(t, http.StatusOK, "“Erase and deactivate” erases their data", "!This user is deactivated")
		b.get(user+"/deactivate").want(t, http.StatusOK, "Erase and deactivate ann?", "cannot be restored", "as an empty account", "<dt>Kept</dt>", "!permanently</button>")
		b.post(user+"/deactivate", nil).wantCertificate(t)
		b.get(user).want(t, http.StatusOK, "This user is deactivated: their profile and their lists are erased.", "!erases their data")
	})
}

func TestFlash_IgnoresForgedCookies(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	const done = "eyJUZXh0IjoicGFzc3dvcmQuZG9uZSJ9Cg" // {"Text":"password.done"} and a line's end
	b.head.Set("Cookie", flashCookie+"="+done)
	b.get("/console/").want(t, http.StatusOK, `role="status">`)
	for _, value := range []string{
		"x", "e30", "bnVsbA", "eyJUZXh0IjoibG9nb3V0In0", // {}, null, {"Text":"logout"}
		done[:len(done)-1] + "h", // another encoding of a valid one
	} {
		b.head.Set("Cookie", flashCookie+"="+value)
		b.get("/console/").want(t, http.StatusOK, `!role="status">`)
	}
}
