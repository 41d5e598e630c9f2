package console

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
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

// exportFormats are the formats of exports, as they end the paths and the names of the files.
var exportFormats = []string{"csv", "ndjson"}

// export is a file that is written in parts, while the browser reads it. The columns have the API's
// names in every language, because programs read the file too.
type export struct {
	// name is the file's name without its ending.
	name, format string
	columns      []string
	begun        bool
}

// exportName returns the name of a file with that content of an app, or of all if app is "".
func (c *console) exportName(content, app string) string {
	if app != "" {
		content += "-" + strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_' {
				return r
			}
			return '-'
		}, app)
	}
	return content + "-" + c.Clock().UTC().Format(time.DateOnly)
}

// write sends rows, and before the first of them the head of the file. A row has a value for each
// column.
func (e *export) write(v *visit, rows [][]string) error {
	var out bytes.Buffer
	if !e.begun && e.format == "csv" {
		out.WriteString(byteOrderMark)
		e.encode(&out, e.columns)
	}
	for _, row := range rows {
		e.encode(&out, row)
	}
	return e.send(v, out.Bytes())
}

// exportTypes are the media types of files, by their formats.
var exportTypes = map[string]string{
	"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson", "json": "application/json", "txt": "text/plain; charset=utf-8",
}

// send sends the next part of the file.
func (e *export) send(v *visit, part []byte) error {
	if !e.begun {
		e.begun = true
		v.w.Header().Set("Content-Type", exportTypes[e.format])
		v.w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": e.name + "." + e.format}))
	}
	// The server's own deadline covers one part, not all of them.
	control := http.NewResponseController(v.w)
	if err := control.SetWriteDeadline(time.Now().Add(exportPatience)); err != nil {
		return err
	}
	if _, err := v.w.Write(part); err != nil {
		return err
	}
	return control.Flush()
}

// encode writes one row. In CSV, no value is a formula; in NDJSON, "" is null.
func (e *export) encode(out *bytes.Buffer, row []string) {
	if e.format == "csv" {
		inert := make([]string, len(row))
		for i, value := range row {
			inert[i] = inertCell(value)
		}
		w := csv.NewWriter(out)
		w.UseCRLF = true
		_ = w.Write(inert) // a buffer does not fail
		w.Flush()
		return
	}
	for i, value := range row {
		separator := byte(',')
		if i == 0 {
			separator = '{'
		}
		out.WriteByte(separator)
		var encoded any
		if value != "" {
			encoded = value
		}
		for j, part := range []any{e.columns[i], encoded} {
			if j > 0 {
				out.WriteByte(':')
			}
			text, _ := json.Marshal(part) // a string does not fail
			out.Write(text)
		}
	}
	out.WriteString("}\n")
}

// end returns the error of an export, or ends the connection if the file has begun, so that the
// browser notices that it is incomplete.
func (c *console) end(v *visit, e *export, err error) error {
	if err != nil && e.begun {
		c.Logger.WarnContext(v.r.Context(), "console export broke off", "requestId", requestID(v.r), "error", err)
		panic(http.ErrAbortHandler)
	}
	return err
}

// userColumns are the columns of an export of users.
var userColumns = []string{"id", "name", "avatarUrl", "state", "presence", "registeredAt", "bannedUntil", "banReason", "deactivatedAt"}

// exportUsers returns the handler that responds with the chosen users, or with all that the list's
// filter selects if none is chosen. It is a POST for admins and is audited, because the file
// contains the data of all these users.
func exportUsers(format string) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		app := v.app
		filter, known := filterOf(v.r.PostForm)
		if !known {
			return c.notFound(v)
		}
		e := &export{name: c.exportName("users", app.Name), format: format, columns: userColumns}
		write := func(users []*models.User) error {
			rows := make([][]string, len(users))
			for i, status := range c.statuses(v, users) {
				rows[i] = c.exportedUser(users[i], status.Presence)
			}
			return e.write(v, rows)
		}
		ids := v.r.PostForm["id"]
		var err error
		switch {
		case len(ids) > maxBulk:
			return errTooMany
		case len(ids) > 0 && !v.r.PostForm.Has("all"):
			err = c.Users.ExportByIDs(v.r.Context(), app, ids, c.actor(v), write)
		default:
			err = c.Users.Export(v.r.Context(), app, filter, c.actor(v), write)
		}
		return c.end(v, e, err)
	}
}

func (c *console) exportedUser(u *models.User, presence models.Presence) []string {
	state := u.State(models.TimeOf(c.Clock()))
	row := []string{
		u.ExternalID, u.Name, textOf(u.AvatarURL), string(state), presenceName(presence),
		u.CreatedAt.String(), "", "", momentOf(u.DeactivatedAt),
	}
	if state == models.UserBanned {
		row[6], row[7] = momentOf(u.BanEnd()), textOf(u.BanReason)
	}
	return row
}

// auditColumns are the columns of an export of the audit.
var auditColumns = []string{"at", "app", "actor", "action", "target", "detail", "address", "apiKey"}

// exportAudit returns the handler that responds with all entries that the filter selects. It is a
// POST for admins and is audited.
func exportAudit(format string) func(*console, *visit) error {
	return func(c *console, v *visit) error {
		shown, filter, err := c.auditFilter(v, v.r.PostForm)
		if err != nil {
			return err
		}
		if wrong := cmp.Or(shown.Errors.Of("from").Key, shown.Errors.Of("until").Key); wrong != "" {
			return problem{http.StatusBadRequest, wrong}
		}
		e := &export{name: c.exportName("audit", ""), format: format, columns: auditColumns}
		err = c.Audit.Export(v.r.Context(), filter, c.actor(v), func(entries []*models.AuditEntry) error {
			list, err := c.withDeleted(v, shown.Apps, entries)
			if err != nil {
				return err
			}
			keys := map[int64]string{}
			for _, app := range list {
				keys[app.ID] = app.Key
			}
			rows := make([][]string, len(entries))
			for i, entry := range entries {
				rows[i] = []string{entry.At.String(), "", entry.Actor, entry.Action, entry.Target, entry.Detail, entry.Address, entry.ActorKey}
				if entry.AppID != nil {
					rows[i][1] = keys[*entry.AppID]
				}
			}
			return e.write(v, rows)
		})
		return c.end(v, e, err)
	}
}

func momentOf(at *models.Time) string {
	if at == nil {
		return ""
	}
	return at.String()
}

func textOf(text *string) string {
	if text == nil {
		return ""
	}
	return *text
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
