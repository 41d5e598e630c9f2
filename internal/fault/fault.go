// Package fault is how the rules say no: an error with a code that programs
// read and a message that people read. Adapters turn it into a GraphQL error or
// a line on a page; any other error is INTERNAL and its text stays in the log.
package fault

import (
	"errors"
	"fmt"
	"maps"
	"time"
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
	NotOnline             Code = "NOT_ONLINE"
	FeatureDisabled       Code = "FEATURE_DISABLED"
	RateLimited           Code = "RATE_LIMITED"
	Unavailable           Code = "UNAVAILABLE"
	Internal              Code = "INTERNAL"
)

// Error is a refusal. Its fields are all meant for the caller.
type Error struct {
	Code    Code
	Message string
	// Extensions are further facts for programs, such as `field`, `rule`,
	// `limit`, `until`; nil where there are none.
	Extensions map[string]any
}

// New answers an Error with a formatted message.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid answers INVALID_ARGUMENT for field (its place in the arguments, such
// as `input.id`, `ids.3`, `first`) that breaks rule (the validator's tag).
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

// With answers a copy of e that also carries the extension.
func (e *Error) With(key string, value any) *Error {
	out := *e
	out.Extensions = maps.Clone(e.Extensions)
	if out.Extensions == nil {
		out.Extensions = make(map[string]any, 2)
	}
	out.Extensions[key] = value
	return &out
}

// Error is the code and the message.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// CodeOf answers the code of the first Error that err wraps: "" for nil,
// Internal where there is none.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}
