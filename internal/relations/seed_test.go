package relations

import (
	"slices"
	"testing"

	"rollcall/internal/fault"
)

func TestSeed(t *testing.T) {
	each(t, func(w *world) {
		keys := w.populate(250) // more than a batch
		w.befriend("u0", "u1")  // this friendship stays
		old := *w.friendship("u0", "u1")
		w.deactivate("u5")
		var steps []int
		w.ok(w.relations.Seed(ctx, w.app, keys, 6, func(done int) { steps = append(steps, done) }))
		if len(steps) != 2 || steps[0] >= 250 || steps[1] != 250 {
			w.t.Errorf("progress %v", steps)
		}
		w.consistent()
		if got := w.friends("u100"); len(got) != 6 {
			w.t.Errorf("friends %q", got)
		}
		if got := w.friends("u249"); !slices.Contains(got, "u2") || !slices.Contains(got, "u246") || len(got) != 6 {
			w.t.Errorf("the last user is not a friend of the first: %q", got)
		}
		if got := w.friends("u4"); slices.Contains(got, "u5") || len(got) != 5 {
			w.t.Errorf("friends with a deactivated user in the ring: %q", got)
		}
		if now := *w.friendship("u0", "u1"); now.CreatedAt != old.CreatedAt {
			w.t.Errorf("an existing friendship is %+v, was %+v", now, old)
		}
		rows := w.count("SELECT COUNT(*) FROM friendships")
		w.ok(w.relations.Seed(ctx, w.app, keys, 6, func(int) {}))
		if again := w.count("SELECT COUNT(*) FROM friendships"); again != rows {
			w.t.Errorf("again: %d rows, %d before", again, rows)
		}
		w.consistent()
		w.ok(w.relations.Seed(ctx, w.app, keys, 0, func(int) { w.t.Error("progress was called without friends to create") }))
	})
}

func TestSeedRefuses(t *testing.T) {
	each(t, func(w *world) {
		keys := w.populate(10)
		for _, friends := range []int{3, -2, 10, 12} {
			w.refused(w.relations.Seed(ctx, w.app, keys, friends, nil), fault.InvalidArgument)
		}
		w.app.Settings.FriendLimit = 4
		w.refused(w.relations.Seed(ctx, w.app, keys, 6, nil), fault.InvalidArgument)
	})
}
