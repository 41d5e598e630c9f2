package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall/models"
)

// FuzzRecord parses records, cuts and devices. A text that is accepted can be written again without
// a change.
func FuzzRecord(f *testing.F) {
	f.Add("7 6 2 1790000000123 0 1 1 ann in a meeting")
	f.Add("7 7 0 0 0 1 1 ann ")
	f.Add("7 7 258 0 0 1 1 ann ")
	f.Add("7 7 -1 0 0 1 1 ann ")
	f.Add("1 3 1 device-1 device-2")
	f.Add("1 0 0")
	f.Add("node WEB 1790000000123 7")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := Parse(text); err == nil {
			switch r.Presence {
			case models.PresenceUnlogined, models.PresenceOffline, models.PresenceOnline:
			default:
				t.Errorf("%q has the presence %d", text, r.Presence)
			}
			again, err := Parse(fmt.Sprintf("%d %d %d %d %d %d %d %s %s", r.Version, r.Content, r.Presence,
				int64(r.Since), int64(r.CustomSince), r.ID, r.AppID, r.ExternalID, r.Custom))
			if err != nil || *again != *r {
				t.Errorf("%q is %+v, and written again %+v, %v", text, r, again, err)
			}
		}
		if cut, err := ParseCut(text); err == nil {
			revoked := map[bool]string{true: "1", false: "0"}[cut.Revoked]
			again, err := ParseCut(fmt.Sprint(cut.UserID, " ", cut.Reason, " ", revoked, " ", strings.Join(cut.Devices, " ")))
			if err != nil || !slices.Equal(again.Devices, cut.Devices) || again.Reason != cut.Reason || again.Revoked != cut.Revoked {
				t.Errorf("%q is %+v, and written again %+v, %v", text, cut, again, err)
			}
		}
		if d, _, err := parseDevice("id", text); err == nil && len(strings.Fields(device(d))) != 2 {
			t.Errorf("%q is the device %+v", text, d)
		}
	})
}

func TestParse_RefusesUnknownPresence(t *testing.T) {
	for presence, good := range map[string]bool{"0": true, "1": true, "2": true, "3": false, "-1": false, "258": false} {
		if r, err := Parse("7 7 " + presence + " 0 0 1 1 ann "); (err == nil) != good {
			t.Errorf("presence %s: %+v, %v", presence, r, err)
		}
	}
}

// Errors are logged, so they must not contain a user's ID or custom status.
func TestParse_ErrorsHaveNoTexts(t *testing.T) {
	if r, err := Parse("7 6 2 5 4 3 2 ann in a meeting"); err != nil || r.ExternalID != "ann" || r.Custom != "in a meeting" {
		t.Errorf("%+v, %v", r, err)
	}
	for _, text := range []string{"", "7 6 ann", "7 6 2 5 4 3 ann meeting in a town", "7 6 2 5 4 3 2", "7 6 9 5 4 3 2 ann in a meeting"} {
		if _, err := Parse(text); err == nil || strings.Contains(err.Error(), "ann") || strings.Contains(err.Error(), "meeting") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
