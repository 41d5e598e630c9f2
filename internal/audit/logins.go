package audit

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"rollcall/models"
)

// clientMark begins the part of an entry's detail that names the client. It is the last part,
// because the name has spaces.
const clientMark = " client="

// LoginDetail returns the detail of an entry with the action ActionLogin. client is what the client
// calls itself, or "".
func LoginDetail(method models.LoginMethod, client string) string {
	return "method=" + string(method) + withClient(client)
}

func withClient(client string) string {
	if client == "" {
		return ""
	}
	return clientMark + client
}

// ReadLogin reads the detail of an entry with the action ActionLogin.
func ReadLogin(detail string) (method models.LoginMethod, client string) {
	rest, client, _ := strings.Cut(detail, clientMark)
	text, _ := strings.CutPrefix(rest, "method=")
	return models.LoginMethod(text), client
}

// Logins returns the last logins of the operator and the failed ones, newest first. Failures that
// share an entry with those of other accounts are not among them.
func (l *Log) Logins(ctx context.Context, operator *models.Operator, limit int) ([]*models.AuditEntry, error) {
	var entries []*models.AuditEntry
	if err := l.logins(ctx, operator, limit).Find(&entries).Error; err != nil {
		return nil, fmt.Errorf("listing logins: %w", err)
	}
	return entries, nil
}

// logins leaves out what another operator of the same name did, which was deleted before.
func (l *Log) logins(ctx context.Context, operator *models.Operator, limit int) *gorm.DB {
	return l.db.Read(ctx).Table(l.db.Using("audit_entries", "audit_entries_app_target")).
		Where("app_id IS NULL AND target = ? AND at >= ? AND action IN ?",
			operator.Name, operator.CreatedAt, []string{ActionLogin, ActionLoginFailed}).
		Order("at DESC, id DESC").Limit(limit)
}
