// Package fault defines the refusals of the rules: errors with a code for programs and a message for
// people. Adapters turn a refusal into a GraphQL error or into a line on a page. Any other error is
// INTERNAL to callers, and its text goes to the log only.
package fault

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"rollcall/models"
)

// Code is a machine-readable reason, the same in the API, the console and logs.
type Code string

// The codes of the public contract.
const (
	Unauthenticated       Code = "UNAUTHENTICATED"
	Forbidden             Code = "FORBIDDEN"
	InvalidArgument       Code = "INVALID_ARGUMENT"
	QueryTooComplex       Code = "QUERY_TOO_COMPLEX"
	TooManyOperations     Code = "TOO_MANY_OPERATIONS"
	UserNotFound          Code = "USER_NOT_FOUND"
	UserDeactivated       Code = "USER_DEACTIVATED"
	UserBanned            Code = "USER_BANNED"
	UserLimitReached      Code = "USER_LIMIT_REACHED"
	FriendLimitReached    Code = "FRIEND_LIMIT_REACHED"
	BlocklistLimitReached Code = "BLOCKLIST_LIMIT_REACHED"
	WhitelistLimitReached Code = "WHITELIST_LIMIT_REACHED"
	SelfReference         Code = "SELF_REFERENCE"
	AlreadyFriends        Code = "ALREADY_FRIENDS"
	NotFriends            Code = "NOT_FRIENDS"
	Blocked               Code = "BLOCKED"
	NotInWhitelist        Code = "NOT_IN_WHITELIST"
	RequestNotFound       Code = "REQUEST_NOT_FOUND"
	RequestsNotAccepted   Code = "REQUESTS_NOT_ACCEPTED"
	NotOnline             Code = "NOT_ONLINE"
	WebhookNotFound       Code = "WEBHOOK_NOT_FOUND"
	WebhookLimitReached   Code = "WEBHOOK_LIMIT_REACHED"
	FeatureDisabled       Code = "FEATURE_DISABLED"
	RateLimited           Code = "RATE_LIMITED"
	Unavailable           Code = "UNAVAILABLE"
	Internal              Code = "INTERNAL"

	// The codes of requests that are not executed.
	BadRequest                 Code = "BAD_REQUEST"
	ParseFailed                Code = "GRAPHQL_PARSE_FAILED"
	ValidationFailed           Code = "GRAPHQL_VALIDATION_FAILED"
	PersistedQueryNotFound     Code = "PERSISTED_QUERY_NOT_FOUND"
	PersistedQueryNotSupported Code = "PERSISTED_QUERY_NOT_SUPPORTED"
)

// Error is a refusal. All of its fields are shown to the caller.
type Error struct {
	Code    Code
	Message string
	// Extensions are further facts for programs, such as `field`, `rule`, `limit` and `until`; nil if
	// there are none.
	Extensions map[string]any
}

// AppDisabled is returned for the tokens and the secret of a disabled app. They are valid again once
// the app is enabled.
var AppDisabled = New(Unauthenticated, "APP_DISABLED: the app is disabled")

// New returns an Error with a formatted message.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid returns INVALID_ARGUMENT for an argument. field is its path, such as `input.id`, `ids.3` or
// `first`, and rule is the tag of the validator's rule that it violates.
func Invalid(field, rule, format string, args ...any) *Error {
	return New(InvalidArgument, format, args...).With("field", field).With("rule", rule)
}

// TooOften returns RATE_LIMITED with retryAfterMs for a call that may be repeated after wait. The
// message is the formatted limit and the wait.
func TooOften(wait time.Duration, format string, args ...any) *Error {
	ms := int64((wait + time.Millisecond - 1) / time.Millisecond)
	limit := fmt.Sprintf(format, args...)
	return New(RateLimited, "%s; try again in %d ms", limit, ms).With("retryAfterMs", ms)
}

// Banned returns USER_BANNED with until, the end of the ban; nil if it has none.
func Banned(until *models.Time) *Error {
	if until == nil {
		return New(UserBanned, "the user is banned").With("until", nil)
	}
	return New(UserBanned, "the user is banned until %s", until).With("until", until.String())
}

// With returns a copy of e with one more extension.
func (e *Error) With(key string, value any) *Error {
	out := *e
	out.Extensions = maps.Clone(e.Extensions)
	if out.Extensions == nil {
		out.Extensions = make(map[string]any, 2)
	}
	out.Extensions[key] = value
	return &out
}

// Field returns the path of the argument that is invalid, or nil if none is.
func (e *Error) Field() *string { return extension[string](e, "field") }

// Rule returns the name of the rule that the argument violates, or nil if there is none.
func (e *Error) Rule() *string { return extension[string](e, "rule") }

// Limit returns the limit that is reached, or nil if there is none.
func (e *Error) Limit() *int { return extension[int](e, "limit") }

func extension[T any](e *Error, key string) *T {
	if value, ok := e.Extensions[key].(T); ok {
		return &value
	}
	return nil
}

// Error returns the code and the message.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// As returns the first Error in err's tree, and reports whether there is one.
func As(err error) (*Error, bool) { return errors.AsType[*Error](err) }

// All returns the Errors in err's tree, in their order. Rules that check several arguments join what
// is wrong with each, as errors.Join does; callers that show only one of them use As.
func All(err error) []*Error {
	switch e := err.(type) {
	case *Error:
		return []*Error{e}
	case interface{ Unwrap() error }:
		return All(e.Unwrap())
	case interface{ Unwrap() []error }:
		var all []*Error
		for _, one := range e.Unwrap() {
			all = append(all, All(one)...)
		}
		return all
	}
	return nil
}

// CodeOf returns the code of the first Error in err's tree: "" for nil, and Internal if there is no
// Error.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := As(err); ok {
		return e.Code
	}
	return Internal
}

// Wrap adds the operation that failed to an error that is not shown to callers. It returns nil and
// refusals as they are.
func Wrap(err error, operation string) error {
	if _, refused := As(err); err == nil || refused {
		return err
	}
	return fmt.Errorf("%s: %w", operation, err)
}
