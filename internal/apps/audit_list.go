package apps

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"rollcall/internal/page"
	"rollcall/models"
)

// AuditFilter keeps some of the audit's entries; its zero value keeps all.
type AuditFilter struct {
	// App keeps what was done in that app.
	App *models.App
	// Actor, Action and Target keep the entries that have exactly this.
	Actor, Action, Target string
}

// Audit answers a page of the audit, the newest first. Errors: INVALID_ARGUMENT
// for a cursor that is none of this list.
func (s *Service) Audit(ctx context.Context, f AuditFilter, r page.Request) (*page.Connection[*models.AuditEntry], error) {
	query := func(ctx context.Context) *gorm.DB {
		query := s.db.Read(ctx).Model(&models.AuditEntry{})
		if f.App != nil {
			query = query.Where("app_id = ?", f.App.ID)
		}
		for column, value := range map[string]string{"actor": f.Actor, "action": f.Action, "target": f.Target} {
			if value != "" {
				query = query.Where(column+" = ?", value)
			}
		}
		return query
	}
	order := page.Order{List: "audit", At: "at", ID: "id"}
	if f.App != nil {
		order.Owner = f.App.ID
	}
	rows, err := order.Limit(query(ctx), r)
	if err != nil {
		return nil, err
	}
	var entries []*models.AuditEntry
	if err := rows.Find(&entries).Error; err != nil {
		return nil, fmt.Errorf("listing the audit: %w", err)
	}
	keys := make([]page.Key, len(entries))
	for i, e := range entries {
		keys[i] = page.Key{At: e.At, ID: e.ID}
	}
	return page.Of(order, r, entries, keys, func(ctx context.Context) (int, error) {
		var n int64
		err := query(ctx).Count(&n).Error
		return int(n), err
	}), nil
}
