package console

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/outbox"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// TestUserData_HasAllAboutTheUserAndNothingOfOthers: lists are longer than a part of the file.
func TestUserData_HasAllAboutTheUserAndNothingOfOthers(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		ctx, path := t.Context(), userPath(s.dev, "ann")
		must := func(_ any, err error) {
			t.Helper()
			s.check(err)
		}
		_, err := s.apps.Change(ctx, s.dev.Key, map[string]string{"eventFeedEnabled": "true"}, nil, setup)
		s.check(err)
		for _, id := range []string{"bob", "cid", "dan"} {
			s.register(s.dev, id, "Secret name of "+id)
		}
		text := func(text string) *string { return &text }
		must(s.relations.AddFriend(ctx, s.dev, "ann", "bob", text("from school")))
		must(s.relations.SetFriendRemark(ctx, s.dev, "bob", "ann", "bob's remark"))
		must(s.relations.SendFriendRequest(ctx, s.dev, "cid", "ann", text("hello ann")))
		must(s.relations.AddToBlocklist(ctx, s.dev, "dan", []string{"ann"}))
		must(s.relations.AddToWhitelist(ctx, s.dev, "ann", []string{"cid"}))
		must(s.deps.Subscriptions.Subscribe(ctx, s.dev, s.user(s.dev, "bob"), []string{"ann"}))
		s.connect(s.dev, "ann", silent{})
		mo := s.as("admin")
		mo.post(path+"/notes", url.Values{"text": {"called twice"}}).wantRedirect(t, path)
		mo.post(path+"/ban", url.Values{"length": {"60"}, "reason": {"spam"}}).wantRedirect(t, path)
		const many = dataPage + 3
		notes, ann := make([]models.UserNote, many), s.user(s.dev, "ann").ID
		for i := range notes {
			notes[i] = models.UserNote{UserID: ann, CreatedAt: models.TimeOf(s.clock()), Author: "mo", Text: "polite"}
		}
		s.check(db.Tx(ctx, func(tx *gorm.DB) error {
			if err := tx.Create(notes).Error; err != nil {
				return err
			}
			_, err := outbox.New(db).Write(tx, s.dev.ID, func() ([]outbox.Event, error) {
				events := make([]outbox.Event, many)
				for i := range events {
					events[i] = outbox.Event{Type: outbox.UserUpdated, Subject: "ann", At: models.TimeOf(s.clock()), Personal: outbox.Personal{Name: "Former"}}
				}
				return events, nil
			})
			return err
		}))

		got := mo.post(path+"/data.json", nil)
		got.want(t, http.StatusOK, "!Secret name", "!dan", "!bob's remark", "!admin", "!192.0.2")
		var file struct {
			User struct{ ID, Name, State, BanReason, Presence string }
			App  struct{ Key string }
			// The lists, as far as the test looks.
			Devices                []struct{ Platform string }
			Friends                []struct{ UserID, Remark string }
			FriendRequestsReceived []struct{ UserID, Message string }
			FriendRequestsSent     []any
			Blocklist, Whitelist   []struct{ UserID string }
			Subscriptions          []any
			SubscriberCount        int
			Bans                   []struct{ Reason string }
			Notes                  []struct{ Text string }
			Audit                  []struct{ Action string }
			Events                 []struct {
				Type string
				Data struct{ User struct{ Name string } }
			}
		}
		decoder := json.NewDecoder(strings.NewReader(got.body))
		s.check(decoder.Decode(&file))
		if file.User.ID != "ann" || file.User.BanReason != "spam" || file.App.Key != s.dev.Key || len(file.Devices) > 1 ||
			len(file.Friends) != 1 || file.Friends[0].UserID != "bob" || file.Friends[0].Remark != "from school" ||
			len(file.FriendRequestsReceived) != 1 || file.FriendRequestsReceived[0].Message != "hello ann" || len(file.FriendRequestsSent) != 0 ||
			len(file.Blocklist) != 0 || len(file.Whitelist) != 1 || file.SubscriberCount != 1 ||
			len(file.Bans) != 1 || file.Bans[0].Reason != "spam" || len(file.Notes) != many+1 || file.Notes[many].Text != "called twice" ||
			len(file.Audit) != 3 || file.Audit[0].Action != "user.export_data" ||
			len(file.Events) < many {
			t.Errorf("%s", got.body)
		}
		named := 0
		for _, e := range file.Events {
			if e.Data.User.Name == "Former" {
				named++
			}
		}
		if named != many {
			t.Errorf("%d events with a name, want %d", named, many)
		}
		if disposition := got.Header.Get("Content-Disposition"); !strings.Contains(disposition, "user-ann-demo-"+s.clock().Format(time.DateOnly)+".json") {
			t.Error(disposition)
		}

		s.operator("mo", models.RoleModerator)
		s.as("mo").get(path).want(t, http.StatusOK, "!data.json")
		mo.get(path).want(t, http.StatusOK, `formaction="`+path+`/data.json"`)
		mo.post(path+"/deactivate", nil).wantCertificate(t)
		mo.post(path+"/data.json", nil).want(t, http.StatusOK, `"name": ""`, "!spam", "!called twice", "!Former")
	})
}
