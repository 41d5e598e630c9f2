package relations

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/testenv"
)

// decided returns the decisions that have been made, those of each app and reason.
func (w *world) decided() map[string]int64 {
	counts := map[string]int64{}
	w.relations.Decided(func(appID int64, reason DenialReason, total int64) {
		if total > 0 {
			counts[fmt.Sprint(appID, reason)] = total
		}
	})
	return counts
}

func TestDecided_CountsEachDecisionForApps(t *testing.T) {
	w := newWorld(t, testenv.Open(t, testenv.SQLiteURL(t)))
	w.register("ann", "bob")
	w.block("bob", "ann")
	metrics := prometheus.NewRegistry()
	w.relations.Observe(metrics)

	_, err := w.relations.Permission(ctx, w.app, Pair{"ann", "bob"})
	w.ok(err)
	_, _, err = w.relations.PermissionWithSecret(ctx, w.app.ID, Pair{"bob", "ann"})
	w.ok(err)
	_, err = w.relations.Permissions(ctx, w.app, []Pair{{"ann", "bob"}, {"nobody", "bob"}, {"bob", "ann"}})
	w.ok(err)
	// Neither an operator's question nor one about an unknown app counts.
	_, err = w.relations.Explain(ctx, w.app, Pair{"ann", "bob"})
	w.ok(err)
	_, _, err = w.relations.PermissionWithSecret(ctx, w.app.ID+1, Pair{"bob", "ann"})
	w.ok(err)

	app := fmt.Sprint(w.app.ID)
	want := map[string]int64{app: 2, app + "BLOCKED_BY_RECIPIENT": 2, app + "SENDER_NOT_FOUND": 1}
	if got := w.decided(); !maps.Equal(got, want) {
		t.Errorf("decided: %v, want %v", got, want)
	}
	text := `# HELP rollcall_message_permissions_total Decisions whether a message may be sent, by result: allowed, or the reason of the denial.
# TYPE rollcall_message_permissions_total counter
`
	for _, line := range []string{
		"allowed 2", "blocked_by_recipient 2", "not_friends 0", "not_in_whitelist 0", "recipient_deactivated 0",
		"recipient_not_found 0", "sender_banned 0", "sender_deactivated 0", "sender_not_found 1",
	} {
		result, n, _ := strings.Cut(line, " ")
		text += fmt.Sprintf("rollcall_message_permissions_total{result=%q} %s\n", result, n)
	}
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(text)); err != nil {
		t.Error(err)
	}
}

func TestTally_AllocatesNothing(t *testing.T) {
	tally, reason := newTally(), NotFriends
	denied := &Permission{Reason: &reason}
	tally.count(70_000, denied)
	if n := testing.AllocsPerRun(100, func() { tally.count(70_000, denied) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkTally measures what counting adds to a decision, which is the query of a database.
func BenchmarkTally(b *testing.B) {
	tally, reason := newTally(), NotFriends
	for name, p := range map[string]*Permission{"allowed": {Allowed: true}, "denied": {Reason: &reason}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					tally.count(70_000, p)
				}
			})
		})
	}
}
