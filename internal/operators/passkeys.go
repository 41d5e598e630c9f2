package operators

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/clientaddr"
	"rollcall/internal/fault"
	"rollcall/internal/strictbase64"
	"rollcall/internal/throttle"
	"rollcall/internal/validate"
	"rollcall/models"
)

const (
	// MaxPasskeys is how many passkeys an operator may have.
	MaxPasskeys = 20
	// ChallengeLifetime is how long a browser has to sign a challenge.
	ChallengeLifetime = 10 * time.Minute
	// challengeRandom is how many random bytes a challenge has.
	challengeRandom = 16
)

var errWrongPasskey = fault.Invalid("passkey", "wrong", "the passkey was not accepted")

// RelyingParty is the console as browsers see it. A passkey belongs to its ID.
type RelyingParty struct {
	// ID is the host name, and Origin the scheme, the host name and the port.
	ID, Origin string
}

func (rp RelyingParty) webauthn() (*webauthn.WebAuthn, error) {
	return webauthn.New(&webauthn.Config{RPID: rp.ID, RPDisplayName: totpIssuer, RPOrigins: []string{rp.Origin}})
}

// passkeyUser is an operator as the library wants it.
type passkeyUser struct {
	operator    *models.Operator
	credentials []webauthn.Credential
}

// WebAuthnID returns what passkeys call the operator.
func (u passkeyUser) WebAuthnID() []byte { return strconv.AppendInt(nil, u.operator.ID, 10) }

// WebAuthnName returns the operator's name.
func (u passkeyUser) WebAuthnName() string { return u.operator.Name }

// WebAuthnDisplayName returns the operator's name.
func (u passkeyUser) WebAuthnDisplayName() string { return u.operator.Name }

// WebAuthnCredentials returns the operator's passkeys.
func (u passkeyUser) WebAuthnCredentials() []webauthn.Credential { return u.credentials }

// The purposes of challenges. A challenge for one cannot be used for another.
func registration(operator *models.Operator, session *models.OperatorSession) string {
	return fmt.Sprintf("register a passkey of %d in %d", operator.ID, session.ID)
}

func confirmation(session *models.OperatorSession) string {
	return fmt.Sprintf("confirm by a passkey in %d", session.ID)
}

const passkeyLogin = "log in by a passkey"

// challenge returns a new challenge. It contains its own end, encrypted, so that guests cannot fill
// the database with challenges, and every node accepts it.
func (o *Service) challenge(ctx context.Context, purpose string) ([]byte, error) {
	now := models.TimeOf(o.clock())
	ring, err := o.vault.Read(o.db.Read(ctx), now)
	if err != nil {
		return nil, err
	}
	data := make([]byte, challengeRandom, challengeRandom+8)
	rand.Read(data)
	return ring.Ticket(binary.BigEndian.AppendUint64(data, uint64(now.Add(ChallengeLifetime))), purpose)
}

// useChallenge accepts a challenge once, or returns errWrongPasskey.
func (o *Service) useChallenge(tx *gorm.DB, text, purpose string) error {
	now := models.TimeOf(o.clock())
	raw, err := strictbase64.Decode(base64.RawURLEncoding, text)
	if err != nil {
		return errWrongPasskey
	}
	ring, err := o.vault.Read(tx, now)
	if err != nil {
		return err
	}
	data, ok := ring.OpenTicket(raw, purpose)
	if !ok || len(data) != challengeRandom+8 || models.Time(binary.BigEndian.Uint64(data[challengeRandom:])) <= now {
		return errWrongPasskey
	}
	hash := sha256.Sum256(raw)
	err = tx.Create(&models.OperatorChallenge{ChallengeHash: hash[:], UsedAt: now}).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return errWrongPasskey
	}
	return err
}

// PasskeyRegistration returns the options, as JSON, with which a browser makes a passkey of the
// operator, in its session.
func (o *Service) PasskeyRegistration(ctx context.Context, rp RelyingParty, operator *models.Operator, session *models.OperatorSession) (string, error) {
	web, err := rp.webauthn()
	if err != nil {
		return "", err
	}
	challenge, err := o.challenge(ctx, registration(operator, session))
	if err != nil {
		return "", fmt.Errorf("making a challenge: %w", err)
	}
	present, err := passkeysOf(o.db.Read(ctx), operator)
	if err != nil {
		return "", err
	}
	user := passkeyUser{operator: operator}
	var exclude []protocol.CredentialDescriptor
	for _, row := range present {
		credential, err := credentialOf(row)
		if err != nil {
			return "", err
		}
		exclude = append(exclude, credential.Descriptor())
	}
	creation, _, err := web.BeginRegistration(user,
		webauthn.WithExclusions(exclude),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired,
		}),
		func(options *protocol.PublicKeyCredentialCreationOptions) error {
			options.Challenge = challenge
			return nil
		})
	if err != nil {
		return "", fmt.Errorf("preparing a passkey: %w", err)
	}
	text, err := json.Marshal(creation.Response)
	return string(text), err
}

// NewPasskey is what a browser sends to add a passkey.
type NewPasskey struct {
	Name string
	// Response is the browser's PublicKeyCredential as JSON.
	Response string
}

// AddPasskey stores a passkey that the browser has made with the options of PasskeyRegistration. It
// returns new recovery codes if the operator had none; they cannot be read later. Returns
// INVALID_ARGUMENT for the field name, or for passkey with the rule wrong or max.
func (o *Service) AddPasskey(ctx context.Context, rp RelyingParty, operator *models.Operator, session *models.OperatorSession, in NewPasskey, by models.Actor) (recovery []string, err error) {
	if operator.BySSO() {
		return nil, errBySSO(operator)
	}
	if err := validate.Name(in.Name); err != nil {
		return nil, err
	}
	web, err := rp.webauthn()
	if err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(in.Response))
	if err != nil {
		return nil, errWrongPasskey
	}
	challenge := parsed.Response.CollectedClientData.Challenge
	user := passkeyUser{operator: operator}
	credential, err := web.CreateCredential(user, webauthn.SessionData{
		Challenge: challenge, RelyingPartyID: rp.ID, UserID: user.WebAuthnID(), UserVerification: protocol.VerificationRequired,
		CredParams: webauthn.CredentialParametersDefault(),
	}, parsed)
	if err != nil {
		return nil, errWrongPasskey
	}
	credential.Attestation = webauthn.CredentialAttestation{} // it was not asked for
	stored, err := json.Marshal(credential)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(credential.ID)
	err = o.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := lockOperator(tx, operator); err != nil {
			return err
		}
		if err := o.useChallenge(tx, challenge, registration(operator, session)); err != nil {
			return err
		}
		present, err := passkeysOf(tx, operator)
		if err != nil {
			return err
		}
		if len(present) >= MaxPasskeys {
			return fault.Invalid("passkey", "max", "an operator may have %d passkeys", MaxPasskeys)
		}
		err = tx.Create(&models.OperatorPasskey{
			OperatorID: operator.ID, Name: in.Name, CredentialHash: hash[:], Credential: stored, CreatedAt: models.TimeOf(o.clock()),
		}).Error
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			return errWrongPasskey
		}
		if err != nil {
			return err
		}
		if err := updateHasSecondFactor(tx, operator); err != nil {
			return err
		}
		if recovery, err = firstRecoveryCodes(tx, operator); err != nil {
			return err
		}
		return o.audit(tx, by, audit.ActionPasskeyAdd, operator.Name, in.Name)
	})
	if err != nil {
		return nil, wrap(err, "adding a passkey")
	}
	return recovery, nil
}

// RemovePasskey removes one of the operator's passkeys, and its recovery codes if it has no other
// second factor. It reports whether there was that passkey.
func (o *Service) RemovePasskey(ctx context.Context, operator *models.Operator, id int64, by models.Actor) (removed bool, err error) {
	err = o.db.Tx(ctx, func(tx *gorm.DB) error {
		removed = false
		if err := lockOperator(tx, operator); err != nil {
			return err
		}
		row := &models.OperatorPasskey{}
		err := tx.Where("id = ? AND operator_id = ?", id, operator.ID).Take(row).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := tx.Delete(row).Error; err != nil {
			return err
		}
		if err := updateHasSecondFactor(tx, operator); err != nil {
			return err
		}
		removed = true
		return o.audit(tx, by, audit.ActionPasskeyRemove, operator.Name, row.Name)
	})
	return removed, wrap(err, "removing a passkey")
}

// PasskeyLogin returns the options, as JSON, with which a browser logs in by a passkey.
func (o *Service) PasskeyLogin(ctx context.Context, rp RelyingParty) (string, error) {
	return o.passkeyOptions(ctx, rp, passkeyLogin)
}

// PasskeyConfirmation returns the options, as JSON, with which a browser confirms the identity of the
// operator of that session.
func (o *Service) PasskeyConfirmation(ctx context.Context, rp RelyingParty, session *models.OperatorSession) (string, error) {
	return o.passkeyOptions(ctx, rp, confirmation(session))
}

func (o *Service) passkeyOptions(ctx context.Context, rp RelyingParty, purpose string) (string, error) {
	web, err := rp.webauthn()
	if err != nil {
		return "", err
	}
	challenge, err := o.challenge(ctx, purpose)
	if err != nil {
		return "", fmt.Errorf("making a challenge: %w", err)
	}
	assertion, _, err := web.BeginDiscoverableLogin(
		webauthn.WithChallenge(challenge), webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return "", fmt.Errorf("preparing a passkey: %w", err)
	}
	text, err := json.Marshal(assertion.Response)
	return string(text), err
}

// PasskeyRequest is what a browser sends to log in by a passkey.
type PasskeyRequest struct {
	// Response is the browser's PublicKeyCredential as JSON.
	Response string
	// Pending is what Login has returned if the password came before, or "".
	Pending            string
	Address, UserAgent string
	// Device is what an earlier Login returned to the same browser, or "".
	Device string
}

// LoginByPasskey begins a session by a passkey, which replaces the password and the second factor:
// it is on a device of the operator, which has verified the user. Returns INVALID_ARGUMENT for the
// field passkey if it is unknown, its signature is wrong, the challenge was used or has expired, or
// its counter shows that there is a copy of it; these failures are audited. Returns RATE_LIMITED.
func (o *Service) LoginByPasskey(ctx context.Context, rp RelyingParty, in PasskeyRequest) (*Login, error) {
	attempt, refusal := o.throttle.Begin(ctx, throttle.Key{Rule: networkRule, Subject: clientaddr.Network(in.Address)})
	if refusal != nil {
		return nil, rateLimited(refusal)
	}
	login := &Login{}
	err := o.db.Tx(ctx, func(tx *gorm.DB) error {
		operator, err := o.usePasskey(tx, rp, in.Response, passkeyLogin)
		login.Operator = operator
		if err != nil {
			return err
		}
		since := models.TimeOf(o.clock()).Add(-PendingLifetime)
		pending := tx.Where("token_hash = ? AND operator_id = ? AND created_at > ?", hashToken(in.Pending), operator.ID, since).
			Delete(&models.OperatorPendingLogin{})
		if pending.Error != nil {
			return pending.Error
		}
		method := models.MethodPasskey
		if pending.RowsAffected > 0 {
			method = models.MethodPasswordPasskey
		}
		login.Token, err = o.begin(tx, operator, method, in.Address, in.UserAgent)
		return err
	})
	switch {
	case err == nil:
		attempt.Succeed(ctx)
		if login.Device = in.Device; !isDevice(login.Operator, in.Device) {
			login.Device = newDevice(login.Operator)
		}
		return login, nil
	case errors.Is(err, errWrongPasskey):
		failed := audit.FailedLogin{
			Operator: login.Operator, Reason: audit.ReasonWrongPasskey, Address: in.Address, Client: ClientOf(in.UserAgent),
		}
		if err := o.log.AddLoginFailure(ctx, failed); err != nil {
			return nil, err
		}
		return nil, errWrongPasskey
	}
	attempt.Cancel(ctx)
	return nil, wrap(err, "logging in by a passkey")
}

// ConfirmByPasskey is Confirm by a passkey, for the options of PasskeyConfirmation. Returns
// INVALID_ARGUMENT for the field passkey; RATE_LIMITED; UNAUTHENTICATED if the session has ended.
func (o *Service) ConfirmByPasskey(ctx context.Context, rp RelyingParty, operator *models.Operator, session *models.OperatorSession, response string, by models.Actor) error {
	err := o.compare(ctx, operator, session, by, func() (string, error) {
		err := o.db.Tx(ctx, func(tx *gorm.DB) error {
			user, err := o.usePasskey(tx, rp, response, confirmation(session))
			if err == nil && user.ID != operator.ID {
				err = errWrongPasskey
			}
			return err
		})
		if errors.Is(err, errWrongPasskey) {
			return audit.ReasonWrongPasskey, err
		}
		return "", err
	})
	if err != nil {
		return err
	}
	return o.noteConfirmed(ctx, session)
}

// usePasskey checks the response of a passkey to a challenge for that purpose, and returns its
// operator, locked. Returns errWrongPasskey, with the operator if the passkey is known.
func (o *Service) usePasskey(tx *gorm.DB, rp RelyingParty, response, purpose string) (*models.Operator, error) {
	web, err := rp.webauthn()
	if err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(response))
	if err != nil {
		return nil, errWrongPasskey
	}
	hash := sha256.Sum256(parsed.RawID)
	row := &models.OperatorPasskey{}
	err = tx.Where("credential_hash = ?", hash[:]).Take(row).Error
	operator := &models.Operator{ID: row.OperatorID}
	if err == nil {
		if err = lockOperator(tx, operator); errors.Is(err, errSessionEnded) {
			return nil, errWrongPasskey
		}
	}
	if err == nil {
		err = tx.Where("credential_hash = ?", hash[:]).Take(row).Error // as it is under the lock
	}
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, errWrongPasskey
	}
	if err != nil {
		return nil, err
	}
	credential, err := credentialOf(row)
	if err != nil {
		return nil, err
	}
	user := passkeyUser{operator, []webauthn.Credential{*credential}}
	_, used, err := web.ValidatePasskeyLogin(
		func(_, handle []byte) (webauthn.User, error) {
			if !bytes.Equal(handle, user.WebAuthnID()) {
				return nil, errWrongPasskey
			}
			return user, nil
		},
		webauthn.SessionData{
			Challenge: parsed.Response.CollectedClientData.Challenge, RelyingPartyID: rp.ID, UserVerification: protocol.VerificationRequired,
		}, parsed)
	// A counter that did not grow means that another authenticator has the same key.
	if err != nil || used.Authenticator.CloneWarning {
		return operator, errWrongPasskey
	}
	if err := o.useChallenge(tx, parsed.Response.CollectedClientData.Challenge, purpose); err != nil {
		return operator, err
	}
	if row.Credential, err = json.Marshal(used); err != nil {
		return nil, err
	}
	row.LastUsedAt = models.TimeOf(o.clock())
	return operator, tx.Model(row).Select("credential", "last_used_at").Updates(row).Error
}

// passkeysOf returns the operator's passkeys, the oldest first.
func passkeysOf(tx *gorm.DB, operator *models.Operator) ([]*models.OperatorPasskey, error) {
	var list []*models.OperatorPasskey
	if err := tx.Where("operator_id = ?", operator.ID).Order("id").Find(&list).Error; err != nil {
		return nil, fmt.Errorf("reading passkeys: %w", err)
	}
	return list, nil
}

func credentialOf(row *models.OperatorPasskey) (*webauthn.Credential, error) {
	credential := &webauthn.Credential{}
	if err := json.Unmarshal(row.Credential, credential); err != nil {
		return nil, fmt.Errorf("reading a passkey: %w", err)
	}
	return credential, nil
}
