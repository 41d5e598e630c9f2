package console

import (
	"encoding/csv"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode"

	"rollcall/models"
)

// exportPatience is how long the browser may take to read a part of an export.
const exportPatience = time.Minute

// byteOrderMark marks a file as UTF-8 for spreadsheets, which otherwise decode names with the local
// code page. Other readers of CSV skip it.
const byteOrderMark = "\uFEFF"

// exportColumns have the API's names in every language, because programs read the file too.
var exportColumns = []string{"id", "name", "avatarUrl", "state", "presence", "registeredAt", "bannedUntil", "banReason", "deactivatedAt"}

// exportUsers responds with all users that the list's filter selects, as CSV. It is a POST for
// admins and is audited, because the file contains the data of all these users.
func (c *console) exportUsers(v *visit) error {
	app := v.app
	filter, known := showFilters[v.r.PostFormValue("show")]
	if !known {
		return c.notFound(v)
	}
	filter.Search = searchText(v.r.PostFormValue("q"))
	out := csv.NewWriter(v.w)
	out.UseCRLF = true
	control := http.NewResponseController(v.w)
	begun := false
	err := c.Users.Export(v.r.Context(), app, filter, c.actor(v), func(users []*models.User) error {
		if !begun {
			begun = true
			v.w.Header().Set("Content-Type", "text/csv; charset=utf-8")
			v.w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": c.exportName(app)}))
			_, _ = v.w.Write([]byte(byteOrderMark)) // an error is reported again by Flush
			_ = out.Write(exportColumns)
		}
		// The server's own deadline covers one page, not all of them.
		if err := control.SetWriteDeadline(time.Now().Add(exportPatience)); err != nil {
			return err
		}
		for i, status := range c.statuses(v, users) {
			_ = out.Write(c.exportRow(users[i], status.Presence))
		}
		if out.Flush(); out.Error() != nil {
			return out.Error()
		}
		return control.Flush()
	})
	if err != nil && begun {
		c.Logger.WarnContext(v.r.Context(), "console export broke off", "requestId", requestID(v.r), "error", err)
		panic(http.ErrAbortHandler) // so that the browser notices that the file is incomplete
	}
	return err
}

// exportName returns the file's name, which contains the app and the day.
func (c *console) exportName(app *models.App) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, app.Name)
	return "users-" + name + "-" + c.Clock().UTC().Format(time.DateOnly) + ".csv"
}

func (c *console) exportRow(u *models.User, presence models.Presence) []string {
	moment := func(at *models.Time) string {
		if at == nil {
			return ""
		}
		return at.String()
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	state := u.State(models.TimeOf(c.Clock()))
	row := []string{
		u.ExternalID, u.Name, text(u.AvatarURL), string(state), presence.String(),
		u.CreatedAt.String(), "", "", moment(u.DeactivatedAt),
	}
	if state == models.UserBanned {
		row[6], row[7] = moment(u.BanEnd()), text(u.BanReason)
	}
	for i := range row {
		row[i] = inertCell(row[i])
	}
	return row
}

// formulaStarts are the characters that make a spreadsheet execute a cell instead of showing it.
const formulaStarts = "=+-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20"

// inertCell returns text in a form that no spreadsheet takes for a formula: after an apostrophe,
// which it does not show. Names and even IDs may begin like a formula, and users choose them.
func inertCell(text string) string {
	if text != "" && strings.ContainsRune(formulaStarts, []rune(text)[0]) {
		return "'" + text
	}
	return text
}
