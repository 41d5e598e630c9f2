package transport

import (
	"github.com/gobwas/ws"

	"rollcall/internal/fault"
	"rollcall/internal/outage"
	"rollcall/internal/presence"
)

// closing is how a WebSocket ends: the code that a client's program reads and
// the reason that its author reads. Clients such as graphql-ws come back after
// some codes and stop for good after others; the comment at each says which.
type closing struct {
	code   ws.StatusCode
	reason string
}

// Error makes a closing the error of a message reader.
func (c closing) Error() string { return c.reason }

// The closings of RFC 6455's own codes. Clients stop for good on 1002, 1007 and
// 1009, which only a broken or hostile one gets, and come back after the others.
var (
	closeSilent      = closing{ws.StatusGoingAway, "Nothing heard for too long"}
	closeBrokenWS    = closing{ws.StatusProtocolError, "WebSocket protocol violated"}
	closeNotUTF8     = closing{ws.StatusInvalidFramePayloadData, "Text is not UTF-8"}
	closeTooBig      = closing{ws.StatusMessageTooBig, "Message too big"}
	closeGoingAway   = closing{1012, "Service restart"}
	closeTooSlow     = closing{1013, "Client reads too slowly"}
	closeLateMessage = closing{1013, "Message arrives too slowly"}
	closeUnavailable = closing{1013, "Temporarily unavailable, try again later"}
	closeTooOften    = closing{1013, "RATE_LIMITED: the user connects too often, try again later"}
	closeAbnormally  = closing{1006, ""} // counted, never sent: the link broke
)

// The closings of graphql-transport-ws. Clients stop for good on all but
// closeForbidden, closeDisconnected and closeInitTimeout.
var (
	closeBadMessage     = closing{4400, "Invalid message"}
	closeNotText        = closing{4400, "Invalid message: text frames only"}
	closeUnknownType    = closing{4400, "Invalid message: unknown type"}
	closeBadPayload     = closing{4400, "Invalid message: payload of the wrong type"}
	closeBadID          = closing{4400, "Invalid message: the operation's id must be a string of 1 to 256 bytes"}
	closeUnauthorized   = closing{4401, "Unauthorized"}
	closeNoToken        = closing{4401, "Unauthorized: no token"}
	closeByOperator     = closing{4401, "Unauthorized: closed by an operator"}
	closeTokenEnded     = closing{4401, "Unauthorized: the token has expired or was revoked"}
	closeLoggedOut      = closing{4401, "Logged out"}
	closeDeviceLimit    = closing{4401, "DEVICE_LIMIT: the user has connected a newer device, and has as many as it may have"}
	closeRevoked        = closing{4401, "Unauthorized: the account is gone"}
	closeForbidden      = closing{4403, "Forbidden: the user is banned"}
	closeDisconnected   = closing{4403, "Forbidden: disconnected by the app"}
	closeBadSubprotocol = closing{4406, "Subprotocol not acceptable"}
	closeInitTimeout    = closing{4408, "Connection initialisation timeout"}
	closeDuplicateID    = closing{4409, "Subscriber for this id already exists"}
	closeSecondInit     = closing{4429, "Too many initialisation requests"}
	closeInternal       = closing{4500, "Internal server error"}
)

// closingOf answers how a WebSocket ends because presence cut its device.
func closingOf(reason presence.Reason) closing {
	switch reason {
	case presence.ReasonLoggedOut:
		return closeLoggedOut
	case presence.ReasonBanned:
		return closeForbidden
	case presence.ReasonDisconnected:
		return closeDisconnected
	case presence.ReasonDeviceLimit:
		return closeDeviceLimit
	}
	return closeRevoked
}

// closingFor returns how a WebSocket ends because its principal was refused, or because the server
// could not find out whether it may connect.
func closingFor(err error) closing {
	switch outage.CodeOf(err) {
	case fault.Unavailable:
		return closeUnavailable
	case fault.Unauthenticated:
		return closeUnauthorized
	case fault.UserBanned:
		return closeForbidden
	case fault.RateLimited:
		return closeTooOften
	}
	return closeInternal
}

// faultOf says in an SSE stream, which has no close codes, why it was cut.
func faultOf(reason presence.Reason) *fault.Error {
	switch reason {
	case presence.ReasonBanned:
		return fault.New(fault.UserBanned, "the user is banned")
	case presence.ReasonDisconnected:
		return fault.New(fault.Forbidden, "disconnected by the app")
	case presence.ReasonLoggedOut:
		return fault.New(fault.Unauthenticated, "logged out")
	case presence.ReasonDeviceLimit:
		return fault.New(fault.Forbidden, "%s", closeDeviceLimit.reason)
	}
	return fault.New(fault.Unauthenticated, "the account is gone")
}
