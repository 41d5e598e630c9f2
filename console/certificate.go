package console

import (
	"strconv"

	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/internal/page"
	"rollcall/models"
)

// certificatePage is the data of certificate.html: what the audit has about the erasure of a user.
type certificatePage struct {
	App   appRow
	Entry *models.AuditEntry
	// Counts are what was erased, or nil if the entry is of a release that did not record it.
	Counts []erasedCount
	// Path is the page.
	Path string
}

// erasedCount is how much of a kind was erased.
type erasedCount struct {
	Kind  string
	Count int
}

// Deleted reports whether the user was deleted, not deactivated.
func (p certificatePage) Deleted() bool { return p.Entry.Action == audit.ActionUserDelete }

// UserPath returns the page of the user, unless it was deleted.
func (p certificatePage) UserPath() string { return userPath(p.App.App, p.Entry.Target) }

// certificatePath returns the page about the erasure that is in the audit under that
// audit_entries.id.
func certificatePath(app *models.App, entry int64) string {
	return appPath(app) + "/erasures/" + strconv.FormatInt(entry, 10)
}

// certificate reads the entry in the path.
func (c *console) certificate(v *visit) (*certificatePage, error) {
	id, err := strconv.ParseInt(v.r.PathValue("entry"), 10, 64)
	if err != nil {
		return nil, c.notFound(v)
	}
	entry, err := c.Audit.Erasure(v.r.Context(), v.app, id)
	if err != nil {
		return nil, err
	}
	if entry == nil {
		return nil, c.notFound(v)
	}
	p := &certificatePage{App: c.appRow(v, v.app), Entry: entry, Path: certificatePath(v.app, id)}
	if erased := audit.ReadErased(entry.Detail); erased != nil {
		for _, kind := range audit.ErasedKinds() {
			p.Counts = append(p.Counts, erasedCount{kind, erased[kind]})
		}
	}
	return p, nil
}

// showCertificate shows what was erased of a user, when and by which actor, to print it.
func (c *console) showCertificate(v *visit) error {
	p, err := c.certificate(v)
	if err != nil {
		return err
	}
	return c.show(v, "certificate", p)
}

// saveCertificate responds with the same as a JSON file.
func (c *console) saveCertificate(v *visit) error {
	p, err := c.certificate(v)
	if err != nil {
		return err
	}
	action := "DEACTIVATED"
	if p.Deleted() {
		action = "DELETED"
	}
	e := &export{name: "erasure-" + strconv.FormatInt(p.Entry.ID, 10), format: "json"}
	return e.send(v, append(appendJSON(nil, struct {
		App struct {
			Key  string `json:"key"`
			Name string `json:"name"`
		} `json:"app"`
		UserID     string       `json:"userId"`
		Action     string       `json:"action"`
		At         string       `json:"at"`
		By         string       `json:"by"`
		Erased     audit.Erased `json:"erased"`
		AuditEntry int64        `json:"auditEntry"`
	}{
		App: struct {
			Key  string `json:"key"`
			Name string `json:"name"`
		}{v.app.Key, v.app.Name},
		UserID: p.Entry.Target, Action: action, At: p.Entry.At.String(), By: p.Entry.Actor,
		Erased: audit.ReadErased(p.Entry.Detail), AuditEntry: p.Entry.ID,
	}, ""), '\n'))
}

// showErased redirects to the certificate of the newest erasure of a user by that action, or to other if
// nothing was erased.
func (c *console) showErased(v *visit, result *batch.Result, action, other string) error {
	if result.Outcome != models.OutcomeDone {
		return v.redirect(other)
	}
	filter := audit.Filter{App: v.app, Target: result.UserID, Action: action}
	found, err := c.Audit.List(v.r.Context(), filter, page.Request{First: 1})
	if err != nil || len(found.Nodes()) == 0 {
		// The user is erased, so the response is not an error.
		c.Logger.WarnContext(v.r.Context(), "the certificate of an erasure cannot be shown", "requestId", requestID(v.r), "error", err)
		return v.redirect(other)
	}
	return v.redirect(certificatePath(v.app, found.Nodes()[0].ID))
}
