package transport

import (
	"strings"
	"testing"

	"rollcall/internal/presence/status"
)

func TestClosing_NamesTheReason(t *testing.T) {
	for reason, want := range map[status.Reason]string{
		status.ReasonLoggedOut:    "logged out",
		status.ReasonBanned:       "banned",
		status.ReasonDeactivated:  "deactivated",
		status.ReasonDeleted:      "no longer exists",
		status.ReasonDisconnected: "disconnected by the app",
		status.ReasonDeviceLimit:  "DEVICE_LIMIT",
	} {
		if got := closingOf(reason).reason; !strings.Contains(strings.ToLower(got), strings.ToLower(want)) {
			t.Errorf("%s: the WebSocket is closed with %q, want %q", reason, got, want)
		}
		if got := faultOf(reason).Message; !strings.Contains(strings.ToLower(got), strings.ToLower(want)) {
			t.Errorf("%s: the stream ends with %q, want %q", reason, got, want)
		}
	}
}
