package users

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/models"
)

// AuditDisconnect records that by disconnects that many of a user's devices, or all if devices is
// 0. It must be called before the disconnecting, which is not part of a transaction, so that no
// disconnecting is missing from the audit.
func (s *Service) AuditDisconnect(ctx context.Context, app *models.App, id string, devices int, by models.Actor) error {
	detail := ""
	if devices > 0 {
		detail = fmt.Sprintf("devices=%d", devices)
	}
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		return audit.Write(tx, s.entry(app, by, audit.ActionUserDisconnect, id, detail))
	})
	if err != nil {
		return fmt.Errorf("auditing a disconnect: %w", err)
	}
	return nil
}
