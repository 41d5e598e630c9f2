// Package audit writes and lists the audit: what was done, when and by which actor.
package audit

import (
	"errors"
	"fmt"

	"gorm.io/gorm"

	"rollcall/internal/validate"
	"rollcall/models"
)

// The actions of the audit that concern operators.
const (
	ActionLogin           = "operator.login"
	ActionLoginFailed     = "operator.login_failed"
	ActionConfirmFailed   = "operator.confirm_failed"
	ActionLogout          = "operator.logout"
	ActionOperatorCreate  = "operator.create"
	ActionOperatorSetRole = "operator.set_role"
	ActionOperatorDelete  = "operator.delete"
	// The target of an invitation is the name of the operator.
	ActionOperatorInvite   = "operator.invite"
	ActionInvitationRevoke = "operator.revoke_invitation"
	ActionInvitationAccept = "operator.accept_invitation"
	ActionPasswordSet      = "operator.set_password"
	ActionSessionEnd       = "operator.end_session"
	ActionSessionsEnd      = "operator.end_sessions"

	ActionTOTPAdd            = "operator.add_totp"
	ActionTOTPRemove         = "operator.remove_totp"
	ActionPasskeyAdd         = "operator.add_passkey"
	ActionPasskeyRemove      = "operator.remove_passkey"
	ActionRecoveryCodesRenew = "operator.renew_recovery_codes"
	ActionSecondFactorReset  = "operator.reset_second_factor"

	// The target of an API key is the name of its operator.
	ActionKeyCreate = "operator.create_api_key"
	ActionKeyRevoke = "operator.revoke_api_key"
)

// The lengths of the audit's columns, in characters.
const (
	actorLength   = 64
	targetLength  = 128
	detailLength  = 1024
	addressLength = 64
)

// The actions of the audit that concern a user. The target is the user's ID.
const (
	ActionUserBan          = "user.ban"
	ActionUserUnban        = "user.unban"
	ActionUserDeactivate   = "user.deactivate"
	ActionUserReactivate   = "user.reactivate"
	ActionUserExpireTokens = "user.expire_tokens"
	ActionUserDisconnect   = "user.disconnect"
	// ActionUserSignOut ends all tokens and disconnects all devices.
	ActionUserSignOut      = "user.sign_out"
	ActionUserUnblock      = "user.unblock"
	ActionUserAllow        = "user.allow"
	ActionUserWhitelistOn  = "user.whitelist_on"
	ActionUserWhitelistOff = "user.whitelist_off"
	ActionUserDelete       = "user.delete"
	ActionUserGrantToken   = "user.grant_token"
	// The detail of the next two is the number of the note.
	ActionUserAddNote    = "user.add_note"
	ActionUserDeleteNote = "user.delete_note"
	// ActionUserExportData is the export of all that is stored about the user.
	ActionUserExportData = "user.export_data"
)

// The actions of the audit that concern a signing key of tokens. The target is the key's ID.
const (
	ActionTokenKeyRotate = "token_key.rotate"
	ActionTokenKeyRetire = "token_key.retire"
)

// ActionExport is the export of the audit itself. It has no target.
const ActionExport = "audit.export"

// The actions of the audit that concern a webhook endpoint. The target is the endpoint's ID.
const (
	ActionWebhookCreate       = "webhook.create"
	ActionWebhookUpdate       = "webhook.update"
	ActionWebhookEnable       = "webhook.enable"
	ActionWebhookDelete       = "webhook.delete"
	ActionWebhookRotateSecret = "webhook.rotate_secret"
	ActionWebhookTest         = "webhook.test"
	ActionWebhookReplay       = "webhook.replay"
	// ActionWebhookDisable has no actor: the endpoint has failed for too long, or wants no events.
	ActionWebhookDisable = "webhook.disable"
)

// Actions returns all actions that the audit records.
func Actions() []string {
	return []string{
		ActionUserBan, ActionUserUnban, ActionUserDeactivate, ActionUserReactivate, ActionUserExpireTokens, ActionUserDisconnect, ActionUserSignOut,
		ActionUserWhitelistOn, ActionUserWhitelistOff, ActionUserUnblock, ActionUserAllow, ActionUserDelete,
		ActionUserGrantToken, ActionUserAddNote, ActionUserDeleteNote, ActionUserExportData,
		ActionAppCreate, ActionAppSet, ActionAppDisable, ActionAppEnable, ActionAppDelete, ActionAppRotateSecret, ActionAppGrantToken, ActionAppExportUsers,
		ActionAppCloseConnection, ActionAppCloseConnections,
		ActionLogin, ActionLoginFailed, ActionConfirmFailed, ActionLogout, ActionOperatorCreate, ActionOperatorSetRole, ActionOperatorDelete,
		ActionOperatorInvite, ActionInvitationRevoke, ActionInvitationAccept,
		ActionPasswordSet, ActionSessionEnd, ActionSessionsEnd,
		ActionTOTPAdd, ActionTOTPRemove, ActionPasskeyAdd, ActionPasskeyRemove, ActionRecoveryCodesRenew, ActionSecondFactorReset,
		ActionKeyCreate, ActionKeyRevoke,
		ActionTokenKeyRotate, ActionTokenKeyRetire,
		ActionExport,
		ActionWebhookCreate, ActionWebhookUpdate, ActionWebhookEnable, ActionWebhookDelete, ActionWebhookRotateSecret, ActionWebhookTest, ActionWebhookReplay, ActionWebhookDisable,
	}
}

// The actions of the audit that concern an app. The target is the app's key.
const (
	ActionAppCreate       = "app.create"
	ActionAppSet          = "app.set"
	ActionAppDisable      = "app.disable"
	ActionAppEnable       = "app.enable"
	ActionAppDelete       = "app.delete"
	ActionAppRotateSecret = "app.rotate_secret"
	ActionAppGrantToken   = "app.grant_token"
	ActionAppExportUsers  = "app.export_users"

	ActionAppCloseConnection  = "app.close_connection"
	ActionAppCloseConnections = "app.close_connections"
)

// AppServer is the actor of what an app's own back end does.
var AppServer = models.Actor{Name: "App Server"}

// SSO is the actor of what a login at an OpenID Provider changes: the operator that it creates, and
// its role.
var SSO = models.Actor{Name: "SSO"}

// CommandLine is the actor of what a command does.
var CommandLine = models.Actor{Name: "command line"}

// FirstStart is the actor of what the first start of a service makes.
var FirstStart = models.Actor{Name: "first start"}

// Write adds entries in tx, the transaction of the audited change, so that neither is committed
// without the other. At and Action must be set. Values longer than their column are cut. Detail
// must never contain a secret or a token.
func Write(tx *gorm.DB, entries ...models.AuditEntry) error {
	for i := range entries {
		e := &entries[i]
		if e.At == 0 || e.Action == "" {
			return errors.New("writing audit entry: at or action is missing")
		}
		e.ID = 0
		e.Actor, e.ActorKey = validate.Clip(e.Actor, actorLength), validate.Clip(e.ActorKey, actorLength)
		e.Target = validate.Clip(e.Target, targetLength)
		e.Detail = validate.Clip(e.Detail, detailLength)
		e.Address = validate.ClipASCII(e.Address, addressLength)
	}
	if err := tx.Create(&entries).Error; err != nil {
		return fmt.Errorf("writing audit entries: %w", err)
	}
	return nil
}

// ActorName returns an actor's name as the audit's entries have it. Columns of other tables that
// name actors have the same length.
func ActorName(by models.Actor) string { return validate.Clip(by.Name, actorLength) }
