package operators

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/validate"
	"rollcall/models"
)

const (
	// InvitationLifetime is how long an invitation can be accepted.
	InvitationLifetime = 72 * time.Hour
	// invitationMemory is how long an invitation is stored, so that its link can explain why it no
	// longer works.
	invitationMemory = 30 * 24 * time.Hour
)

// invitationSubject is the name under which attempts with unknown links are counted. No operator has
// it.
const invitationSubject = "\x00invitation"

// errInvitation returns the refusal for a link: unknown, accepted, revoked, expired, or name_taken.
func errInvitation(rule, message string) error {
	return fault.Invalid("invitation", rule, "%s", message)
}

// Invite makes an invitation, and returns it with the token of its link, which cannot be read later.
// Returns INVALID_ARGUMENT for the fields name, role and apps. A name that an operator or an open
// invitation has breaks the rules unique and invited. Returns FORBIDDEN if operators only log in by
// SSO.
func (o *Service) Invite(ctx context.Context, name string, grant models.Grant, by models.Actor) (*models.OperatorInvitation, string, error) {
	if !o.LocalLogin() {
		return nil, "", errLocalLoginOff
	}
	if err := errors.Join(checkName(name), checkGrant(grant)); err != nil {
		return nil, "", err
	}
	token, hash := newToken()
	now := models.TimeOf(o.clock())
	var invitation *models.OperatorInvitation
	err := o.db.Tx(ctx, func(tx *gorm.DB) error {
		detail, err := prepareGrant(tx, &grant)
		if err != nil {
			return err
		}
		// As all that decides by all operators does, so that a concurrent invitation of the same name
		// is visible here.
		all, err := lockAll(tx)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(o *models.Operator) bool { return o.Name == name }) {
			return errNameTaken(name)
		}
		var open []int64
		err = openInvitations(tx, now).Where("name = ?", name).Model(&models.OperatorInvitation{}).Limit(1).Pluck("id", &open).Error
		if err != nil {
			return err
		}
		if len(open) > 0 {
			return fault.Invalid("name", "invited", "%q is already invited", name)
		}
		invitation = &models.OperatorInvitation{
			TokenHash: hash, Name: name, Grant: grant, InvitedBy: by.Name, State: models.InvitationOpen, CreatedAt: now,
		}
		if err := tx.Create(invitation).Error; err != nil {
			return err
		}
		return o.audit(tx, by, audit.ActionOperatorInvite, name, detail)
	})
	if err != nil {
		return nil, "", wrap(err, "inviting operator")
	}
	return invitation, token, nil
}

// openInvitations selects the invitations that can be accepted.
func openInvitations(tx *gorm.DB, now models.Time) *gorm.DB {
	return tx.Where("state = ? AND created_at > ?", models.InvitationOpen, now.Add(-InvitationLifetime))
}

// Invitations returns the invitations that can be accepted, newest first.
func (o *Service) Invitations(ctx context.Context) ([]*models.OperatorInvitation, error) {
	var list []*models.OperatorInvitation
	err := openInvitations(o.db.Read(ctx), models.TimeOf(o.clock())).Order("created_at DESC, id DESC").Find(&list).Error
	if err != nil {
		return nil, fmt.Errorf("listing invitations: %w", err)
	}
	return list, nil
}

// RevokeInvitation makes an invitation's link useless. It returns the invitation, or nil if it could
// not be accepted any longer.
func (o *Service) RevokeInvitation(ctx context.Context, id int64, by models.Actor) (revoked *models.OperatorInvitation, err error) {
	now := models.TimeOf(o.clock())
	err = o.db.Tx(ctx, func(tx *gorm.DB) error {
		revoked = &models.OperatorInvitation{}
		err := openInvitations(tx.Clauses(forUpdate), now).Where("id = ?", id).Take(revoked).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			revoked = nil
			return nil
		}
		if err != nil {
			return err
		}
		if err := tx.Model(revoked).Update("state", models.InvitationRevoked).Error; err != nil {
			return err
		}
		return o.audit(tx, by, audit.ActionInvitationRevoke, revoked.Name, "")
	})
	if err != nil {
		return nil, fmt.Errorf("revoking invitation: %w", err)
	}
	return revoked, nil
}

// revokeInvitationsOf revokes the open invitations of an operator that is no longer an owner.
func revokeInvitationsOf(tx *gorm.DB, name string) error {
	return tx.Model(&models.OperatorInvitation{}).Where("invited_by = ? AND state = ?", name, models.InvitationOpen).
		Update("state", models.InvitationRevoked).Error
}

// Invitation returns the invitation whose link has that token. Returns INVALID_ARGUMENT for the
// field invitation, with a rule that explains why it cannot be accepted: unknown, accepted, revoked,
// expired, or name_taken if an operator has been given the name. Unknown links are limited as wrong
// passwords are (RATE_LIMITED).
func (o *Service) Invitation(ctx context.Context, token, address string) (*models.OperatorInvitation, error) {
	attempt, refusal := o.beginStranger(ctx, LoginRequest{Name: invitationSubject, Address: address})
	if refusal != nil {
		return nil, rateLimited(refusal)
	}
	invitation := &models.OperatorInvitation{}
	err := o.db.Read(ctx).Where("token_hash = ?", hashToken(token)).Take(invitation).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, errInvitation("unknown", "there is no such invitation")
	}
	attempt.Cancel(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading invitation: %w", err)
	}
	if err := o.checkOpen(invitation); err != nil {
		return invitation, err
	}
	var taken int64
	if err := o.db.Read(ctx).Model(&models.Operator{}).Where("name = ?", invitation.Name).Count(&taken).Error; err != nil {
		return nil, fmt.Errorf("reading operator of invitation: %w", err)
	}
	if taken > 0 {
		return invitation, errInvitationTaken(invitation.Name)
	}
	return invitation, nil
}

// checkOpen returns the refusal for an invitation that cannot be accepted any longer.
func (o *Service) checkOpen(i *models.OperatorInvitation) error {
	switch {
	case i.State == models.InvitationAccepted:
		return errInvitation("accepted", "the invitation was already accepted")
	case i.State == models.InvitationRevoked:
		return errInvitation("revoked", "the invitation was revoked")
	case models.TimeOf(o.clock()) >= i.CreatedAt.Add(InvitationLifetime):
		return errInvitation("expired", "the invitation has expired")
	}
	return nil
}

// AcceptRequest is what a browser sends to accept an invitation.
type AcceptRequest struct {
	Token, Password    string
	Address, UserAgent string
}

// AcceptInvitation creates the operator that was invited, with the password, and begins its first
// session. Returns INVALID_ARGUMENT for the field password, and for the field invitation as
// Invitation does; RATE_LIMITED.
func (o *Service) AcceptInvitation(ctx context.Context, in AcceptRequest) (*Login, error) {
	invitation, err := o.Invitation(ctx, in.Token, in.Address)
	if err != nil {
		return nil, err
	}
	if err := CheckPassword(in.Password); err != nil {
		return nil, err
	}
	leave, ok := o.rooms.strangers.enter()
	if !ok {
		return nil, limited(LimitLogins, busyRetry)
	}
	defer leave()
	hash, err := o.hasher.hash(ctx, in.Password)
	if err != nil {
		return nil, fmt.Errorf("hashing password: %w", err)
	}
	login := &Login{}
	err = o.db.Tx(ctx, func(tx *gorm.DB) error {
		fresh := &models.OperatorInvitation{}
		if err := tx.Clauses(forUpdate).Where("id = ?", invitation.ID).Take(fresh).Error; err != nil {
			return err
		}
		if err := o.checkOpen(fresh); err != nil {
			return err
		}
		if err := tx.Model(fresh).Update("state", models.InvitationAccepted).Error; err != nil {
			return err
		}
		operator := &models.Operator{Name: fresh.Name, PasswordHash: hash, Grant: fresh.Grant, CreatedAt: models.TimeOf(o.clock())}
		if err := tx.Create(operator).Error; err != nil {
			return err
		}
		by := models.Actor{OperatorID: operator.ID, Name: operator.Name, Address: in.Address}
		if err := o.audit(tx, by, audit.ActionInvitationAccept, operator.Name, ""); err != nil {
			return err
		}
		login.Operator, login.Device = operator, newDevice(operator)
		var err error
		login.Token, err = o.begin(tx, operator, models.MethodInvitation, in.Address, in.UserAgent)
		return err
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return nil, errInvitationTaken(invitation.Name)
	}
	if err != nil {
		return nil, wrap(err, "accepting invitation")
	}
	return login, nil
}

// checkName refuses the names that no operator may have.
func checkName(name string) error {
	if err := validate.Name(name); err != nil {
		return err
	}
	if slices.Contains(reservedNames, name) {
		return fault.Invalid("name", "unique", "the name %q is reserved", name)
	}
	return nil
}

func errInvitationTaken(name string) error {
	return errInvitation("name_taken", fmt.Sprintf("an operator named %q exists by now", name))
}

func errNameTaken(name string) error {
	return fault.Invalid("name", "unique", "an operator named %q already exists", name)
}
