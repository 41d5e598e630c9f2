package users

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/page"
	"rollcall/models"
)

// exportPage is how many users Export reads at once.
const exportPage = 500

// Export answers all users that f keeps, newest first, to write in pages, so that
// it holds no more than one of them whatever their number. It is written down
// before the first page is read: whoever takes everybody along is in the audit,
// also when the transfer breaks off. An error of write ends it.
func (s *Service) Export(ctx context.Context, app *models.App, f Filter, by models.Actor, write func([]*models.User) error) error {
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		return audit.Write(tx, models.AuditEntry{
			AppID: &app.ID, At: s.now(), Actor: by.Name, Action: audit.ActionAppExportUsers,
			Target: app.Key, Detail: f.audited(), Address: by.Address,
		})
	})
	if err != nil {
		return fmt.Errorf("auditing an export: %w", err)
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

// audited is what the audit says of a filter: not the text of a search, which may
// be somebody's name.
func (f Filter) audited() string {
	detail := fmt.Sprintf("searched=%t", f.Search != "")
	if f.Online != nil {
		detail += fmt.Sprintf(" online=%t", *f.Online)
	}
	for _, state := range f.States {
		detail += " state=" + string(state)
	}
	return detail
}
