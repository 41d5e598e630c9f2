package console

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"rollcall/models"
)

func TestNotes_AreForOperatorsAndDeletedByAuthorsAndAdmins(t *testing.T) {
	s := onSQLite(t)
	s.operator("mo", models.RoleModerator)
	s.operator("max", models.RoleModerator)
	s.operator("ada", models.RoleAdmin)
	path := userPath(s.dev, "ann")
	mo, admin := s.as("mo"), s.as("ada")
	mo.get(path).want(t, http.StatusOK, "No notes yet", `<textarea id="note"`)
	add := func(b *browser, text string) {
		t.Helper()
		b.post(path+"/notes", url.Values{"text": {text}}).wantRedirect(t, path)
	}
	add(mo, " called <twice>\r\npolite ")
	page := mo.get(path)
	page.want(t, http.StatusOK, "The note about ann was added.", "called &lt;twice&gt;\npolite</p>", "<bdi>mo</bdi>")
	remove := regexp.MustCompile(path + `/notes/\d+/delete`).FindString(page.body)

	s.as("viewer").get(path).want(t, http.StatusOK, "called &lt;twice&gt;", "!<textarea", "!"+remove)
	other := s.as("max")
	other.get(path).want(t, http.StatusOK, "called &lt;twice&gt;", "<textarea", "!"+remove)
	other.get(remove).want(t, http.StatusOK, "another operator", "!Delete note")
	other.post(remove, nil).want(t, http.StatusForbidden, "another operator")
	admin.get(remove).want(t, http.StatusOK, "Delete this note?", "called &lt;twice&gt;")
	s.check(s.deps.Operators.Delete(t.Context(), "mo", setup))
	s.operator("mo", models.RoleModerator)
	namesake := s.as("mo")
	namesake.get(path).want(t, http.StatusOK, "called &lt;twice&gt;", "<bdi>mo</bdi>", "!"+remove)
	namesake.post(remove, nil).want(t, http.StatusForbidden, "another operator")
	mo = namesake
	add(mo, "its own")
	mo.post(regexp.MustCompile(path+`/notes/\d+/delete`).FindString(mo.get(path).body), nil).wantRedirect(t, path)
	admin.post(remove, nil).wantRedirect(t, path)
	mo.get(path).want(t, http.StatusOK, "A note about ann was deleted.", "!called")
	admin.get(remove).want(t, http.StatusNotFound)
	admin.post(remove, nil).wantRedirect(t, path)
	admin.get(path).want(t, http.StatusOK, "had already been deleted")

	for range notesOnUser + 1 {
		add(mo, "one more")
	}
	mo.get(path).want(t, http.StatusOK, "All notes", path+"/notes")
	if n := strings.Count(mo.get(path+"/notes").body, "one more"); n != notesOnUser+1 {
		t.Errorf("%d notes on the page of all", n)
	}

	mo.post(path+"/notes", url.Values{"text": {strings.Repeat("a", 2001)}}).
		want(t, http.StatusUnprocessableEntity, "at most 2,000 characters", strings.Repeat("a", 2001)+"</textarea>")
	mo.post(path+"/notes", url.Values{"text": {" "}}).want(t, http.StatusUnprocessableEntity, `id="note-error"`)
	admin.post(path+"/deactivate", nil).wantCertificate(t)
	admin.get(path).want(t, http.StatusOK, "A deactivated user cannot have notes", "!<textarea")
	mo.post(path+"/notes", url.Values{"text": {"late"}}).wantRedirect(t, path)
	mo.get(path).want(t, http.StatusOK, "the user must be reactivated first", "!late")
}
