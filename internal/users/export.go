package users

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/models"
)

// exportPage is the number of users that Export reads at once.
const exportPage = 500

// Export calls write with all users that f selects, newest first, in pages, so that it needs memory
// for one page only. It is audited before the first page is read, so an export is in the audit even
// if the transfer breaks off. If write returns an error, Export stops and returns it.
func (s *Service) Export(ctx context.Context, app *models.App, f Filter, by models.Actor, write func([]*models.User) error) error {
	if err := s.auditExport(ctx, app, f.audited(), by); err != nil {
		return err
	}
	for r := (page.Request{First: exportPage}); ; {
		found, err := s.List(ctx, app, f, r)
		if err != nil {
			return err
		}
		if err := write(found.Nodes()); err != nil {
			return err
		}
		if !found.PageInfo().HasNextPage {
			return nil
		}
		r.After = found.PageInfo().EndCursor
	}
}

// ExportByIDs calls write once with the users with these IDs, those that exist. It is audited first.
func (s *Service) ExportByIDs(ctx context.Context, app *models.App, ids []string, by models.Actor, write func([]*models.User) error) error {
	if err := s.auditExport(ctx, app, fmt.Sprintf("users=%d", len(ids)), by); err != nil {
		return err
	}
	found, err := s.ByIDs(ctx, app.ID, ids)
	if err != nil {
		return err
	}
	return write(slices.DeleteFunc(found, func(u *models.User) bool { return u == nil }))
}

// AuditDataExport writes to the audit that all data of a user is exported. The caller then reads the data
// from the rules.
func (s *Service) AuditDataExport(ctx context.Context, app *models.App, id string, by models.Actor) error {
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		return audit.Write(tx, s.entry(app, by, audit.ActionUserExportData, id, ""))
	})
	return fault.Wrap(err, "auditing an export")
}

// auditExport writes that users are exported.
func (s *Service) auditExport(ctx context.Context, app *models.App, detail string, by models.Actor) error {
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		return audit.Write(tx, models.AuditEntry{
			AppID: &app.ID, At: s.now(), Actor: by.Name, Action: audit.ActionAppExportUsers,
			Target: app.Key, Detail: detail, Address: by.Address,
		})
	})
	if err != nil {
		return fmt.Errorf("auditing an export: %w", err)
	}
	return nil
}

// audited returns the filter for the audit. It does not contain the text of a search, which may be
// a user's name.
func (f Filter) audited() string {
	detail := fmt.Sprintf("searched=%t", f.Search != "")
	for _, presence := range f.Presences {
		detail += " presence=" + presence.String()
	}
	for _, state := range f.States {
		detail += " state=" + string(state)
	}
	return detail
}
