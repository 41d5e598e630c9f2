package audit

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"rollcall/internal/page"
	"rollcall/models"
)

// exportPage is the number of entries that Export reads at once.
const exportPage = 500

// Export calls write with all entries that f selects, newest first, in pages. It is audited before
// the first page is read, and the entry is part of the export if f selects it. If write returns an
// error, Export stops and returns it.
func (l *Log) Export(ctx context.Context, f Filter, by models.Actor, write func([]*models.AuditEntry) error) error {
	err := l.db.Tx(ctx, func(tx *gorm.DB) error {
		entry := models.AuditEntry{At: models.TimeOf(l.clock()), Actor: by.Name, Action: ActionExport, Detail: f.audited(), Address: by.Address}
		if f.App != nil {
			entry.AppID = &f.App.ID
		}
		return Write(tx, entry)
	})
	if err != nil {
		return fmt.Errorf("auditing an export: %w", err)
	}
	for r := (page.Request{First: exportPage}); ; {
		found, err := l.List(ctx, f, r)
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

// audited returns which parts the filter has, and its action. It contains no actor, target and text,
// which may be mistyped passwords.
func (f Filter) audited() string {
	detail := fmt.Sprintf("actor=%t target=%t text=%t days=%t", f.Actor != "", f.Target != "", f.Text != "", f.From != 0 || f.Until != 0)
	if f.Action != "" {
		detail += " action=" + f.Action
	}
	return detail
}
