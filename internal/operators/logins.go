package operators

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/clientaddr"
	"rollcall/internal/fault"
	"rollcall/internal/throttle"
	"rollcall/models"
)

// The limits of failed logins. A browser that has logged in before is counted by itself, so that
// other clients cannot lock its operator out. Every other attempt counts under accountRule,
// networkRule, and everyoneRule or, if that refuses it, shareRule.
var (
	deviceRule = &throttle.Rule{
		Name: "login-device", Free: 5, Delay: time.Second, MaxDelay: 15 * time.Minute, Memory: time.Hour, Forgive: true,
	}
	// accountRule counts for each pair of a name and a network.
	accountRule = &throttle.Rule{
		Name: "login-account", Free: 5, Delay: time.Second, MaxDelay: 15 * time.Minute, Memory: time.Hour, Forgive: true,
	}
	networkRule = &throttle.Rule{
		Name: "login-network", Free: 30, Delay: 20 * time.Second, MaxDelay: 20 * time.Second, Memory: 10 * time.Minute,
	}
	// everyoneRule limits the total cost of many addresses: hashes, audit entries and counters.
	everyoneRule = &throttle.Rule{
		Name: "login-all", Free: 60, Delay: time.Second, MaxDelay: time.Second, Memory: time.Minute,
	}
	// shareRule grants a few more attempts to each of loginShares groups of sites. So clients that
	// use up everyoneRule keep few others out. All shares together grant about as much as
	// everyoneRule.
	shareRule = &throttle.Rule{
		Name: "login-share", Free: 3, Delay: time.Minute, MaxDelay: time.Minute, Memory: 10 * time.Minute,
	}
)

// loginShares is the number of shares. A hash assigns each site to one.
const loginShares = 64

// shareOf returns the key of the share to which the client's site belongs.
func shareOf(address string) throttle.Key {
	sum := sha256.Sum256([]byte(clientaddr.Site(address)))
	return throttle.Key{Rule: shareRule, Subject: strconv.Itoa(int(sum[0]) % loginShares)}
}

// FailureTime is the time that a failed login takes on a server; one that takes longer is delayed
// to a multiple of it. Otherwise the time would reveal whether the name exists while one of the two
// lanes is busy; see hasher.
const FailureTime = time.Second

const (
	// waitingLogins is the maximum number of logins that wait for a hash or compute one.
	waitingLogins = 16
	// busyRetry is the retry delay for a login beyond waitingLogins. It is longer than the others
	// take.
	busyRetry = 2 * time.Second
)

// The values of the extension `limit` of RATE_LIMITED.
const (
	// LimitPassword means too many wrong passwords for this name or from this browser.
	LimitPassword = "password"
	// LimitLogins means that too many logins fail from this network or in total, or that too many
	// are waiting.
	LimitLogins = "logins"
)

// LoginRequest is what a browser sends to log in.
type LoginRequest struct {
	Name, Password     string
	Address, UserAgent string
	// Device is what an earlier Login returned to the same browser, or "".
	Device string
}

// Login is a new session, or one that still needs a second factor.
type Login struct {
	Operator *models.Operator
	// Pending is the token for FinishLogin if the operator has a second factor. There is no session
	// yet then, and Token and Device are "".
	Pending string
	// Token is the session's token.
	Token string
	// Device marks the browser as one that has logged in as this operator. It is valid until the
	// operator's password changes.
	Device string
}

// Login begins a session if the password is right and the operator has no second factor. Returns the same UNAUTHENTICATED, after the same
// time, for a wrong name and a wrong password. Returns RATE_LIMITED, with the extensions
// retryAfterMs and limit, independently of the password and of whether the name exists. Returns
// FORBIDDEN if operators only log in by SSO.
func (o *Service) Login(ctx context.Context, in LoginRequest) (*Login, error) {
	if !o.LocalLogin() {
		return nil, errLocalLoginOff
	}
	began := time.Now()
	operator, known, err := o.knownDevice(ctx, in)
	if err != nil {
		return nil, err
	}
	if known {
		attempt, refusal := o.throttle.Begin(ctx, throttle.Key{Rule: deviceRule, Subject: in.Device})
		if refusal != nil {
			return nil, rateLimited(refusal)
		}
		return o.login(ctx, in, operator, o.rooms.known, attempt)
	}
	attempt, refusal := o.beginStranger(ctx, in)
	if refusal != nil {
		return nil, rateLimited(refusal)
	}
	login, err := o.login(ctx, in, operator, o.rooms.strangers, attempt)
	if fault.CodeOf(err) == fault.Unauthenticated {
		o.delayFailure(ctx, began)
	}
	return login, err
}

// beginStranger begins the attempt of a browser that has not logged in before.
func (o *Service) beginStranger(ctx context.Context, in LoginRequest) (*throttle.Attempt, *throttle.Refusal) {
	network := clientaddr.Network(in.Address)
	account := throttle.Key{Rule: accountRule, Subject: in.Name + "\x00" + network}
	own := throttle.Key{Rule: networkRule, Subject: network}
	attempt, refusal := o.throttle.Begin(ctx, account, own, throttle.Key{Rule: everyoneRule})
	if refusal == nil || refusal.Rule != everyoneRule {
		return attempt, refusal
	}
	attempt, ofShare := o.throttle.Begin(ctx, account, own, shareOf(in.Address))
	if ofShare != nil {
		return nil, refusal // its delay is shorter
	}
	return attempt, nil
}

// login is Login for an admitted attempt. operator is nil if it has not been read yet.
func (o *Service) login(ctx context.Context, in LoginRequest, operator *models.Operator, place room, attempt *throttle.Attempt) (*Login, error) {
	leave, ok := place.enter()
	if !ok {
		attempt.Cancel(ctx)
		return nil, limited(LimitLogins, busyRetry)
	}
	defer leave()
	login, err := o.compareAndBegin(ctx, in, operator)
	switch {
	case err == nil:
		attempt.Succeed(ctx)
	case fault.CodeOf(err) != fault.Unauthenticated:
		attempt.Cancel(ctx)
	}
	return login, err
}

// compareAndBegin continues the login if the password is the operator's. A wrong password is audited
// and returns UNAUTHENTICATED.
func (o *Service) compareAndBegin(ctx context.Context, in LoginRequest, operator *models.Operator) (*Login, error) {
	var err error
	if operator == nil {
		if operator, err = o.ByName(ctx, in.Name); err != nil {
			return nil, err
		}
	}
	right := false
	if operator == nil || operator.BySSO() {
		err = o.hasher.verifyNothing(ctx, in.Password)
	} else {
		lane := o.hasher.strangers
		if isDevice(operator, in.Device) {
			lane = o.hasher.known
		}
		right, err = o.hasher.verify(ctx, lane, in.Password, operator.PasswordHash)
	}
	if err != nil {
		return nil, fmt.Errorf("comparing password: %w", err)
	}
	if right {
		login, err := o.passed(ctx, in, operator)
		if !errors.Is(err, errOperatorChanged) {
			return login, err
		}
	}
	reason := audit.ReasonWrongPassword
	if operator == nil {
		reason = audit.ReasonUnknownName
	}
	failed := audit.FailedLogin{Operator: operator, Reason: reason, Address: in.Address, Client: ClientOf(in.UserAgent)}
	if err := o.log.AddLoginFailure(ctx, failed); err != nil {
		return nil, err
	}
	return nil, fault.New(fault.Unauthenticated, "the name or the password is wrong")
}

// passed begins the session of a login whose password is right, or lets it wait for the second
// factor. Returns errOperatorChanged if the password is no longer the operator's.
func (o *Service) passed(ctx context.Context, in LoginRequest, operator *models.Operator) (*Login, error) {
	login := &Login{Operator: operator}
	var err error
	if operator.HasSecondFactor {
		login.Pending, err = o.pend(ctx, operator)
		return login, err
	}
	if login.Device = in.Device; !isDevice(operator, in.Device) {
		login.Device = newDevice(operator)
	}
	err = o.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := claim(tx, operator); err != nil {
			return err
		}
		login.Token, err = o.begin(tx, operator, models.MethodPassword, in.Address, in.UserAgent)
		return err
	})
	return login, wrap(err, "beginning session")
}

// delayFailure waits until a multiple of the failure time has passed since began, or until ctx
// ends.
func (o *Service) delayFailure(ctx context.Context, began time.Time) {
	if o.failureTime == 0 {
		return
	}
	timer := time.NewTimer(o.failureTime - time.Since(began)%o.failureTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// rateLimited returns the error for a caller that has failed too often.
func rateLimited(refusal *throttle.Refusal) error {
	limit := LimitLogins
	if refusal.Rule.Forgive {
		limit = LimitPassword
	}
	return limited(limit, refusal.Wait)
}

func limited(limit string, wait time.Duration) error {
	message := "too many wrong passwords"
	if limit == LimitLogins {
		message = "too many logins"
	}
	return fault.TooOften(wait, "%s", message).With("limit", limit)
}

// rooms limit the logins that wait for a hash or compute one. All strangers share one room, whether
// their name exists or not, so that a refusal does not reveal that. They cannot take the places of
// browsers that have logged in before.
type rooms struct{ known, strangers room }

func newRooms() rooms {
	return rooms{known: make(room, waitingLogins), strangers: make(room, waitingLogins)}
}

// room is a semaphore with a limited number of places.
type room chan struct{}

// enter takes a place, which leave gives back. ok reports whether a place was free.
func (r room) enter() (leave func(), ok bool) {
	select {
	case r <- struct{}{}:
		return func() { <-r }, true
	default:
		return nil, false
	}
}

// knownDevice reports whether the request comes from a browser that has logged in as the operator
// before. It reads the operator only if the request has a mark.
func (o *Service) knownDevice(ctx context.Context, in LoginRequest) (operator *models.Operator, known bool, err error) {
	if in.Device == "" {
		return nil, false, nil
	}
	operator, err = o.ByName(ctx, in.Name)
	return operator, operator != nil && isDevice(operator, in.Device), err
}

// newDevice returns a mark for a browser that has logged in as the operator.
func newDevice(operator *models.Operator) string { return deviceOf(operator, rand.Text()) }

// isDevice reports whether device is a mark that newDevice made for the operator.
func isDevice(operator *models.Operator, device string) bool {
	name, _, found := strings.Cut(device, ".")
	return found && !operator.BySSO() && hmac.Equal([]byte(device), []byte(deviceOf(operator, name)))
}

// deviceOf returns the mark with that random name. Its signing key is the password's hash, whose
// salt has 128 random bits. So a mark becomes invalid with the password and needs no key of its
// own.
func deviceOf(operator *models.Operator, name string) string {
	mac := hmac.New(sha256.New, []byte(operator.PasswordHash))
	mac.Write([]byte("rollcall device " + strconv.FormatInt(operator.ID, 10) + " " + name))
	return name + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
