package status

import (
	"testing"

	"rollcall/models"
)

func TestRecordOf_HasNoDevice(t *testing.T) {
	at := models.Time(7)
	for _, test := range []struct {
		row  models.User
		want State
	}{
		{models.User{}, State{Presence: models.PresenceUnlogined}},
		{models.User{Presence: models.PresenceUnlogined, PresenceAt: &at}, State{Presence: models.PresenceUnlogined, Since: 7}},
		{models.User{Presence: models.PresenceOffline, PresenceAt: &at}, State{Presence: models.PresenceOffline, Since: 7}},
		{models.User{Presence: models.PresenceOnline, PresenceAt: &at}, State{Presence: models.PresenceOffline, Since: 7}},
	} {
		test.row.ID, test.row.AppID, test.row.ExternalID = 1, 2, "u"
		account := AccountOf(&test.row)
		if account.Presence != test.row.Presence {
			t.Errorf("the account of %+v is %s", test.row, account.Presence)
		}
		if got, want := RecordOf(account), (Record{ID: 1, AppID: 2, ExternalID: "u", State: test.want}); got != want {
			t.Errorf("the record of %+v is %+v, want %+v", test.row, got, want)
		}
	}
}

func TestRecord_Status(t *testing.T) {
	for _, test := range []struct {
		since, custom, want models.Time // 0: nil
	}{{0, 0, 0}, {5, 0, 5}, {5, 9, 9}, {9, 5, 9}} {
		r := Record{ExternalID: "u", State: State{models.PresenceOnline, test.since}, Custom: "here", CustomSince: test.custom}
		got := r.Status()
		if got.UserID != "u" || got.Presence != models.PresenceOnline || got.CustomStatus != "here" {
			t.Errorf("the status is %+v", got)
		}
		if at := got.ChangedAt; (at == nil) != (test.want == 0) || at != nil && *at != test.want {
			t.Errorf("changed since %d and %d: %v, want %d", test.since, test.custom, at, test.want)
		}
	}
}

func TestRecord_AfterGrows(t *testing.T) {
	r := Record{State: State{Since: 10}, CustomSince: 20}
	for at, want := range map[models.Time]models.Time{30: 30, 21: 21, 20: 21, 5: 21} {
		if got := r.After(at); got != want {
			t.Errorf("after %d: %d, want %d", at, got, want)
		}
	}
}

func TestRevocationOf(t *testing.T) {
	past, later := models.Time(5), models.Time(15)
	for _, test := range []struct {
		row    *models.User
		want   Reason // 0: none
		leaves models.Presence
	}{
		{nil, ReasonDeleted, models.PresenceUnlogined},
		{&models.User{}, 0, 0},
		{&models.User{DeactivatedAt: &past}, ReasonDeactivated, models.PresenceUnlogined},
		{&models.User{BannedUntil: &later}, ReasonBanned, models.PresenceOffline},
		{&models.User{BannedUntil: &past}, 0, 0},
	} {
		got, revoked := RevocationOf(test.row, 10)
		if got.Reason != test.want || revoked != (test.want != 0) || revoked != got.Reason.IsRevocation() {
			t.Errorf("%+v is revoked: %t, %s, want %s", test.row, revoked, got.Reason, test.want)
		}
		if (got.BannedUntil != nil) != (test.want == ReasonBanned) || got.BannedUntil != nil && *got.BannedUntil != later {
			t.Errorf("%+v is banned until %v", test.row, got.BannedUntil)
		}
		if revoked && got.Reason.Leaves() != test.leaves {
			t.Errorf("%s leaves %s, want %s", got.Reason, got.Reason.Leaves(), test.leaves)
		}
	}
	if ReasonDisconnected.IsRevocation() || ReasonLoggedOut.IsRevocation() || ReasonDeviceLimit.IsRevocation() {
		t.Error("a user that may come back counts as revoked")
	}
}
