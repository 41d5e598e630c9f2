package relations

import (
	"testing"
	"time"
)

func TestExcess_CountsTheNewestUsersThatHaveMore(t *testing.T) {
	each(t, func(w *world) {
		for _, newer := range []string{"cid", "dan"} { // than the others
			w.pass(time.Millisecond)
			w.register(newer)
		}
		w.befriend("ann", "bob", "cid")
		w.befriend("bob", "cid")
		w.block("dan", "ann")
		w.allow("cid", "ann", "bob")
		limits := w.app.Settings
		limits.FriendLimit, limits.BlocklistLimit, limits.WhitelistLimit = 1, 1, 1
		for most, want := range map[int]Excess{
			5: {Friends: 3, Whitelist: 1, All: true},
			4: {Friends: 3, Whitelist: 1},
			2: {Friends: 1, Whitelist: 1},
		} {
			if got, err := w.relations.excess(ctx, w.app, limits, most); err != nil || got != want {
				t.Errorf("of %d users: %+v, %v; want %+v", most, got, err, want)
			}
		}
		limits.BlocklistLimit = 0
		if got, err := w.relations.Excess(ctx, w.app, limits); err != nil || got.Blocks != 1 {
			t.Errorf("%+v, %v", got, err)
		}
	}, "ann", "bob")
}
