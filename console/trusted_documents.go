package console

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/trusted"
	"rollcall/models"
)

// trustedPerPage is the number of documents on a page.
const trustedPerPage = 50

// trustedHead is what the pages of trusted documents begin with.
type trustedHead struct {
	App                    appRow
	SettingsPath, ListPath string
	// Document is the document of the page, or nil on the list.
	Document *trustedRow
}

func (c *console) trustedHead(v *visit) trustedHead {
	return trustedHead{App: c.appRow(v, v.app), SettingsPath: settingsPath(v.app), ListPath: trustedPath(v.app)}
}

// trustedPage is the data of trusted_documents.html.
type trustedPage struct {
	trustedHead
	// Setting is the value of ROLLCALL_TRUSTED_DOCUMENTS, or "" if it is not set, and File the name of
	// the app's file in it.
	Setting, File string
	// Node is the name of the node whose documents these are.
	Node string
	// ReadAt, FailedAt and Problem are trusted.Status.
	ReadAt, FailedAt models.Time
	Problem          string
	// Restricted is true if the app accepts only its documents from users.
	Restricted bool
	Files      []trustedFile
	// Count is the number of all documents, and Found of those that contain the text Search.
	Count, Found int
	Search       string
	Documents    []trustedRow
	pager
}

// trustedFile is a file with documents.
type trustedFile struct {
	Path      string
	Documents int
	Changed   models.Time
}

// trustedRow is a document on a page.
type trustedRow struct {
	*trusted.Document
	Path string
}

// Hash returns the SHA-256 hash of the document, which front ends usually take as its ID.
func (r trustedRow) Hash() string {
	sum := sha256.Sum256([]byte(r.Text))
	return hex.EncodeToString(sum[:])
}

// Bytes returns the length of the document.
func (r trustedRow) Bytes() int { return len(r.Text) }

// Named returns the names of the operations, or the ID if they have none.
func (r trustedRow) Named() string {
	var names []string
	for _, op := range r.Operations {
		if op.Name != "" {
			names = append(names, op.Name)
		}
	}
	if len(names) == 0 {
		return r.ID
	}
	return strings.Join(names, ", ")
}

// contains reports whether the ID or the name of an operation contains the text, a models.SearchForm.
func (r trustedRow) contains(text string) bool {
	return strings.Contains(models.SearchForm(r.ID+"\n"+r.Named()), text)
}

// trustedPath returns the page that lists the app's trusted documents.
func trustedPath(app *models.App) string { return settingsPath(app) + "/trusted-documents" }

// trustedRowOf returns the row of a document. Its ID is not part of the path, because it may contain
// any characters.
func trustedRowOf(app *models.App, doc *trusted.Document) trustedRow {
	return trustedRow{doc, trustedPath(app) + "/document?" + url.Values{"id": {doc.ID}}.Encode()}
}

func (c *console) listTrusted(v *visit) error {
	app := v.app
	p := trustedPage{
		trustedHead: c.trustedHead(v), File: app.Key + ".json", Node: c.Node.Name,
		Search: searchText(v.r.URL.Query().Get("q")),
	}
	if c.Trusted == nil {
		return c.show(v, "trusted_documents", p)
	}
	status := c.Trusted.Status()
	p.Setting, p.ReadAt = c.Trusted.Path(), models.TimeOf(status.ReadAt)
	if status.Err != nil {
		p.FailedAt, p.Problem = models.TimeOf(status.FailedAt), status.Err.Error()
	}
	docs := c.Trusted.For(app.Key)
	if docs == nil {
		return c.show(v, "trusted_documents", p)
	}
	p.Restricted, p.Count = true, len(docs.All)
	for _, f := range docs.Files {
		p.Files = append(p.Files, trustedFile{c.belowSetting(f.Path), f.Documents, models.TimeOf(f.Changed)})
	}
	found := docs.All
	if text := models.SearchForm(p.Search); text != "" {
		found = slices.DeleteFunc(slices.Clone(found), func(doc *trusted.Document) bool {
			return !trustedRow{Document: doc}.contains(text)
		})
	}
	p.Found = len(found)
	found, p.pager = pageOfRows(v, found, trustedPerPage)
	for _, doc := range found {
		p.Documents = append(p.Documents, trustedRowOf(app, doc))
	}
	return c.show(v, "trusted_documents", p)
}

// belowSetting returns the path of a file below the path of the setting, or its name if they are the
// same.
func (c *console) belowSetting(path string) string {
	below, err := filepath.Rel(c.Trusted.Path(), path)
	if err != nil || below == "." {
		return filepath.Base(path)
	}
	return below
}

// pageOfRows returns the page of rows that the query asks for, by the number of rows before it, and the
// links to the others.
func pageOfRows[T any](v *visit, rows []T, size int) ([]T, pager) {
	query := v.r.URL.Query()
	at, _ := strconv.Atoi(query.Get("after"))
	at = min(max(at, 0), len(rows))
	link := func(at int) string {
		query.Del("after")
		if at > 0 {
			query.Set("after", strconv.Itoa(at))
		}
		return strings.TrimSuffix(v.r.URL.EscapedPath()+"?"+query.Encode(), "?")
	}
	var p pager
	if at > 0 {
		p.First, p.Previous = link(0), link(at-size)
	}
	end := min(at+size, len(rows))
	if end < len(rows) {
		p.Next = link(end)
	}
	return rows[at:end], p
}

// trustedDocumentPage is the data of trusted_document.html.
type trustedDocumentPage struct {
	trustedHead
	// File is the path of the document's file.
	File string
}

func (c *console) showTrusted(v *visit) error {
	app := v.app
	var docs *trusted.Documents
	if c.Trusted != nil {
		docs = c.Trusted.For(app.Key)
	}
	doc := docs.ByID(v.r.URL.Query().Get("id"))
	if doc == nil {
		return c.notFound(v)
	}
	row := trustedRowOf(app, doc)
	p := trustedDocumentPage{c.trustedHead(v), c.belowSetting(doc.File)}
	p.Document = &row
	return c.show(v, "trusted_document", p)
}

// trustedCount returns the number of the app's trusted documents. restricted is false if the app
// accepts any.
func (c *console) trustedCount(app *models.App) (count int, restricted bool) {
	docs := c.Trusted.For(app.Key)
	if docs == nil {
		return 0, false
	}
	return len(docs.All), true
}
