package transport

import (
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
	closeTooOften    = closing{1013, "RATE_LIMITED: the user connects too often, try again later"}
	closeAbnormally  = closing{1006, ""} // counted, never sent: the link broke
)

// Closings of graphql-transport-ws. Clients stop permanently on all but closeForbidden,
// closeDisconnected and closeInitTimeout.
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
	closeDeviceLimit    = closing{4401, "DEVICE_LIMIT: the user connected a newer device and already had the maximum number"}
	closeDeactivated    = closing{4401, "Unauthorized: the user is deactivated"}
	closeDeleted        = closing{4401, "Unauthorized: the user no longer exists"}
	closeForbidden      = closing{4403, "Forbidden: the user is banned"}
	closeDisconnected   = closing{4403, "Forbidden: disconnected by the app"}
	closeBadSubprotocol = closing{4406, "Subprotocol not acceptable"}
	closeInitTimeout    = closing{4408, "Connection initialisation timeout"}
	closeDuplicateID    = closing{4409, "Subscriber for this id already exists"}
	closeSecondInit     = closing{4429, "Too many initialisation requests"}
	closeInternal       = closing{4500, "Internal server error"}
)

// closingOf returns how a WebSocket ends when presence has cut its device for the reason.
func closingOf(reason status.Reason) closing {
	switch reason {
	case status.ReasonLoggedOut:
		return closeLoggedOut
	case status.ReasonBanned:
		return closeForbidden
	case status.ReasonDisconnected:
		return closeDisconnected
	case status.ReasonDeviceLimit:
		return closeDeviceLimit
	case status.ReasonDeactivated:
		return closeDeactivated
	}
	return closeDeleted
}

// closingFor returns how a WebSocket ends when its principal was refused, or when the server could
// not determine whether the principal may connect.
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

// faultOf returns the error that ends an SSE stream, which has no close codes, when presence has
// cut its device for the reason.
func faultOf(reason status.Reason) *fault.Error {
	switch reason {
	case status.ReasonBanned:
		return fault.New(fault.UserBanned, "the user is banned")
	case status.ReasonDisconnected:
		return fault.New(fault.Forbidden, "disconnected by the app")
	case status.ReasonLoggedOut:
		return fault.New(fault.Unauthenticated, "logged out")
	case status.ReasonDeviceLimit:
		return fault.New(fault.Forbidden, "%s", closeDeviceLimit.reason)
	case status.ReasonDeactivated:
		return fault.New(fault.Unauthenticated, "the user is deactivated")
	}
	return fault.New(fault.Unauthenticated, "the user no longer exists")
}
