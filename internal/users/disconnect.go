package users

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/models"
)

// AuditDisconnect writes down that by has so many of a user's devices
// disconnected, 0 for all. It comes before the disconnecting, which is in no
// transaction, so that none goes unnoticed.
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
