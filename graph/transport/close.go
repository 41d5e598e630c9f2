package transport

import (
	"errors"

	"github.com/gobwas/ws"

	"rollcall/internal/fault"
	"rollcall/internal/outage"
	"rollcall/internal/presence/status"
)

// closing is how a WebSocket ends: the code, which the client's program reads, and the reason,
// which its developer reads. Clients such as graphql-ws reconnect after some codes and stop
// permanently after others; the comment at each group states which.
type closing struct {
	code   ws.StatusCode
	reason string
}

// Error lets a message reader return a closing as its error.
func (c closing) Error() string { return c.reason }

// Closings with codes of RFC 6455. Clients stop permanently on 1002, 1007 and 1009, which only a
// broken or hostile client causes, and reconnect after the others.
var (
	closeSilent      = closing{ws.StatusGoingAway, "No data received for too long"}
	closeBrokenWS    = closing{ws.StatusProtocolError, "WebSocket protocol violated"}
	closeNotUTF8     = closing{ws.StatusInvalidFramePayloadData, "Text is not UTF-8"}
	closeTooBig      = closing{ws.StatusMessageTooBig, "Message too big"}
	closeGoingAway   = closing{1012, "Service restart"}
	closeTooSlow     = closing{1013, "Client reads too slowly"}
	closeLateMessage = closing{1013, "Message arrives too slowly"}
	closeUnavailable = closing{1013, "Temporarily unavailable, try again later"}
	closeTooOften    = closing{1013, "RATE_LIMITED: the user or its app connects too often, try again later"}
	closeAbnormally  = closing{1006, ""} // counted, never sent: the link broke
)

// Closings of graphql-transport-ws. Clients stop permanently on all but closeDisconnected and
// closeInitTimeout.
var (
	closeBadMessage     = closing{4400, "Invalid message"}
	closeNotText        = closing{4400, "Invalid message: text frames only"}
	closeUnknownType    = closing{4400, "Invalid message: unknown type"}
	closeBadPayload     = closing{4400, "Invalid message: payload of the wrong type"}
	closeBadID          = closing{4400, "Invalid message: the operation's id must be a string of 1 to 256 bytes"}
	closeDisconnected   = closing{4403, "Disconnected"}
	closeBadSubprotocol = closing{4406, "Subprotocol not acceptable"}
	closeInitTimeout    = closing{4408, "Connection initialisation timeout"}
	closeDuplicateID    = closing{4409, "Subscriber for this id already exists"}
	closeSecondInit     = closing{4429, "Too many initialisation requests"}
	closeInternal       = closing{4500, "Internal server error"}
)

// Closings with 4401. The first word of the reason is a code for the client's program.
var (
	closeUnauthenticated = closing{4401, "UNAUTHENTICATED"}
	closeNoToken         = closing{4401, "UNAUTHENTICATED (no token)"}
	closeNotReady        = closing{4401, "UNAUTHENTICATED (operation before connection_ack)"}
	closeByOperator      = closing{4401, "UNAUTHENTICATED (closed by an operator)"}
	closeDeleted         = closing{4401, "UNAUTHENTICATED (the user no longer exists)"}
	closeDeactivated     = closing{4401, "USER_DEACTIVATED"}
	closeLoggedOut       = closing{4401, "LOGGED_OUT"}
	closeDeviceLimit     = closing{4401, "DEVICE_LIMIT"}
	closeAppDisabled     = closing{4401, "APP_DISABLED"}
)

// closeBanned returns the closing for a USER_BANNED.
func closeBanned(err *fault.Error) closing {
	reason := string(fault.UserBanned)
	if until, ends := err.Extensions["until"].(string); ends {
		reason += " until " + until
	}
	return closing{4401, reason}
}

// closingFor returns how a WebSocket ends when its principal was refused, or when the server could
// not determine whether the principal may connect.
func closingFor(err error) closing {
	if errors.Is(err, fault.AppDisabled) {
		return closeAppDisabled
	}
	switch outage.CodeOf(err) {
	case fault.Unavailable:
		return closeUnavailable
	case fault.Unauthenticated:
		return closeUnauthenticated
	case fault.UserBanned:
		refusal, _ := fault.As(err)
		return closeBanned(refusal)
	case fault.RateLimited:
		return closeTooOften
	}
	return closeInternal
}

// linkEnding is why an acknowledged link ends: how a WebSocket is closed, and the error that ends an
// SSE stream, which has no close codes.
type linkEnding struct {
	closing closing
	err     *fault.Error
}

var (
	// tokenEnded ends a link whose token has expired or been revoked.
	tokenEnded = linkEnding{
		closeUnauthenticated, fault.New(fault.Unauthenticated, "the token has expired or was revoked"),
	}
	// appDisabled ends the links of an app that was disabled.
	appDisabled = linkEnding{closeAppDisabled, fault.AppDisabled}
	// operatorClosed ends a link that an operator has closed.
	operatorClosed = linkEnding{
		closeByOperator, fault.New(fault.Unauthenticated, "an operator has closed the connection"),
	}
)

// endingOf returns why a link ends whose device presence has cut.
func endingOf(cause status.Cause) linkEnding {
	switch cause.Reason {
	case status.ReasonLoggedOut:
		return linkEnding{closeLoggedOut, fault.New(fault.Unauthenticated, "LOGGED_OUT: the user has logged out")}
	case status.ReasonBanned:
		err := fault.Banned(cause.BannedUntil)
		return linkEnding{closeBanned(err), err}
	case status.ReasonDeactivated:
		return linkEnding{closeDeactivated, fault.New(fault.UserDeactivated, "the user is deactivated")}
	case status.ReasonDisconnected:
		return linkEnding{closeDisconnected, fault.New(fault.Forbidden, "disconnected by the App Server or an operator")}
	case status.ReasonAppDisabled:
		return appDisabled
	case status.ReasonDeviceLimit:
		return linkEnding{closeDeviceLimit, fault.New(fault.Forbidden,
			"DEVICE_LIMIT: the user connected a newer device and already had the maximum number")}
	}
	return linkEnding{closeDeleted, fault.New(fault.Unauthenticated, "the user no longer exists")}
}
