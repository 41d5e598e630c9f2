package webhooks

import (
	"fmt"
	"strings"
	"testing"

	"gorm.io/gorm"

	"rollcall/models"
)

// TestEventsAbout_HaveNoDataOfOtherUsers: events of one user only come in parts, and an event with the
// statuses of several users has one of them.
func TestEventsAbout_HaveNoDataOfOtherUsers(t *testing.T) {
	each(t, func(w *world) {
		const n = aboutPage + 5
		at := w.webhooks.now()
		var events []*models.Event
		for i := range 2 * n {
			events = append(events, &models.Event{
				UID: fmt.Sprintf("%036d", i), AppID: w.app.ID, Type: "user.updated", Subject: []string{"ann", "bo"}[i%2],
				Version: at + models.Time(i/7), OccurredAt: at, Data: `{"user":{"id":"x","version":1}}`,
			})
		}
		text := `{"ann":"on the train","bo":"asleep"}`
		events = append(events, &models.Event{
			UID: strings.Repeat("9", 36), AppID: w.app.ID, Type: "presence.changed", Version: at, OccurredAt: at, Personal: &text,
			Data: `[{"userId":"ann","presence":"ONLINE","changedAt":"x","version":1},{"userId":"bo","presence":"ONLINE","changedAt":"x","version":1}]`,
		})
		w.must(w.db.Tx(ctx, func(tx *gorm.DB) error {
			if err := tx.CreateInBatches(events, 100).Error; err != nil {
				return err
			}
			last := events[len(events)-1]
			return tx.Create([]*models.EventUser{
				{EventID: last.ID, AppID: w.app.ID, Subject: "ann", OccurredAt: at}, {EventID: last.ID, AppID: w.app.ID, Subject: "bo", OccurredAt: at},
			}).Error
		}))
		seen := map[string]bool{}
		var last *FeedEvent
		w.must(w.webhooks.EventsAbout(ctx, w.app, "ann", func(part []*FeedEvent) error {
			if len(part) > aboutPage {
				t.Errorf("a part has %d events", len(part))
			}
			for _, e := range part {
				if e.Subject == "bo" || seen[e.UID] {
					t.Errorf("%+v", e)
				}
				seen[e.UID], last = true, e
			}
			return nil
		}))
		want := `[{"userId":"ann","presence":"ONLINE","customStatus":"on the train","changedAt":"x","version":1}]`
		if len(seen) != n+1 || last.Data != want || last.Body != "" {
			t.Errorf("%d events, want %d; the last is %+v", len(seen), n+1, last)
		}
	})
}
