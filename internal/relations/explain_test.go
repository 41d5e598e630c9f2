package relations

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/internal/testenv"
	"rollcall/internal/users"
	"rollcall/models"
)

// pairState is everything that a decision about two users depends on.
type pairState struct {
	self bool
	// sender and recipient are "active", "banned", "deactivated" or "unknown".
	sender, recipient                       string
	whitelist, listed, block, fond, onlyFew bool
}

// pairStates returns all possible combinations. An unknown or deactivated user has no lists and is
// on none.
func pairStates() []pairState {
	var list []pairState
	both := []bool{false, true}
	for _, few := range both {
		for _, sender := range []string{"active", "banned", "deactivated", "unknown"} {
			for _, whitelist := range both {
				if sender == "active" || sender == "banned" || !whitelist {
					list = append(list, pairState{self: true, sender: sender, recipient: sender, whitelist: whitelist, onlyFew: few})
				}
			}
			for _, recipient := range []string{"active", "banned", "deactivated", "unknown"} {
				for bits := range 16 {
					s := pairState{
						sender: sender, recipient: recipient, onlyFew: few,
						whitelist: bits&1 != 0, listed: bits&2 != 0, block: bits&4 != 0, fond: bits&8 != 0,
					}
					alive := func(state string) bool { return state == "active" || state == "banned" }
					if s.whitelist && !alive(recipient) || (s.listed || s.block || s.fond) && !(alive(sender) && alive(recipient)) {
						continue
					}
					list = append(list, s)
				}
			}
		}
	}
	return list
}

// trial is a state with two users of its own.
type trial struct {
	*world
	from, to string
}

// trials returns a function that creates trials, in an app with room for all their users.
func trials(t *testing.T) func(pairState) *trial {
	w := newWorld(t, testenv.Open(t, testenv.SQLiteURL(t)))
	w.ok(w.db.Exec(ctx, "UPDATE apps SET environment = ?", models.EnvironmentProduction))
	w.app.Environment = models.EnvironmentProduction
	n := 0
	return func(s pairState) *trial {
		n++
		x := &trial{w, fmt.Sprintf("from-%d", n), fmt.Sprintf("to-%d", n)}
		users := map[string]string{x.from: s.sender, x.to: s.recipient}
		if s.self {
			x.to = x.from
			users = map[string]string{x.from: s.sender}
		}
		for id, state := range users {
			if state != "unknown" {
				w.register(id)
			}
		}
		w.app.Settings.OnlyFriendsCanMessage = s.onlyFew
		for _, setting := range []struct {
			on  bool
			act act
		}{
			{s.whitelist, whitelistOn}, {s.listed, enlist}, {s.block, block}, {s.fond, makeFriends},
		} {
			if setting.on {
				w.ok(setting.act(x))
			}
		}
		for id, state := range users {
			switch state {
			case "banned":
				w.ok(ban(&trial{w, id, id}))
			case "deactivated":
				w.deactivate(id)
			}
		}
		return x
	}
}

// act is a change of the two users. If it is already done, that is not an error.
type act func(x *trial) error

func doing(change func(x *trial, ids []string) ([]*batch.Result, error), whom func(x *trial) string) act {
	return func(x *trial) error {
		_, err := change(x, []string{whom(x)})
		return err
	}
}

func sender(x *trial) string    { return x.from }
func recipient(x *trial) string { return x.to }

func deactivating(x *trial, ids []string) ([]*batch.Result, error) {
	return x.users.Deactivate(ctx, x.app, ids, audit.AppServer)
}

func reactivating(x *trial, ids []string) ([]*batch.Result, error) {
	return x.users.Reactivate(ctx, x.app, ids, audit.AppServer)
}

func switching(on bool) func(x *trial, ids []string) ([]*batch.Result, error) {
	return func(x *trial, ids []string) ([]*batch.Result, error) {
		return x.relations.SetWhitelistEnabled(ctx, x.app, ids, on, audit.AppServer)
	}
}

var (
	ban = doing(func(x *trial, ids []string) ([]*batch.Result, error) {
		return x.users.Ban(ctx, x.app, ids, users.Sentence{Length: time.Hour}, audit.AppServer)
	}, sender)
	unban = doing(func(x *trial, ids []string) ([]*batch.Result, error) {
		return x.users.Unban(ctx, x.app, ids, audit.AppServer)
	}, sender)
	enlist = doing(func(x *trial, ids []string) ([]*batch.Result, error) {
		return x.relations.AddToWhitelist(ctx, x.app, x.to, ids)
	}, sender)
	unlist = doing(func(x *trial, ids []string) ([]*batch.Result, error) {
		return x.relations.RemoveFromWhitelist(ctx, x.app, x.to, ids)
	}, sender)
	block = doing(func(x *trial, ids []string) ([]*batch.Result, error) {
		return x.relations.AddToBlocklist(ctx, x.app, x.to, ids)
	}, sender)
	unblock = doing(func(x *trial, ids []string) ([]*batch.Result, error) {
		return x.relations.RemoveFromBlocklist(ctx, x.app, x.to, ids)
	}, sender)
	whitelistOn  = doing(switching(true), recipient)
	whitelistOff = doing(switching(false), recipient)

	registerSender    act = func(x *trial) error { x.register(x.from); return nil }
	registerRecipient act = func(x *trial) error { x.register(x.to); return nil }
	makeFriends       act = func(x *trial) error {
		_, err := x.relations.AddFriend(ctx, x.app, x.to, x.from, nil)
		return err
	}
	unfriend act = func(x *trial) error {
		_, err := x.relations.RemoveFriend(ctx, x.app, x.to, x.from)
		return err
	}
	onlyFriends act = func(x *trial) error { x.app.Settings.OnlyFriendsCanMessage = true; return nil }
	everybody   act = func(x *trial) error { x.app.Settings.OnlyFriendsCanMessage = false; return nil }
)

// ways are the alternatives for each needed change. Each alternative is a list of acts, all of
// which are necessary.
var ways = map[Change][][]act{
	RegisterSender:       {{registerSender}},
	ReactivateSender:     {{doing(reactivating, sender)}},
	LiftBan:              {{unban}},
	RegisterRecipient:    {{registerRecipient}},
	ReactivateRecipient:  {{doing(reactivating, recipient)}},
	AllowSender:          {{enlist}, {whitelistOff}},
	AllowSenderOrUnblock: {{enlist}, {whitelistOff, unblock}},
	Unblock:              {{unblock}},
	Befriend:             {{makeFriends}, {everybody}},
}

// ends are the acts for each change that denies messages.
var ends = map[Change][]act{
	StopSender:          {ban, doing(deactivating, sender)},
	DeactivateRecipient: {doing(deactivating, recipient)},
	DisallowSender:      {unlist},
	WhitelistOn:         {whitelistOn},
	WhitelistOff:        {whitelistOff},
	BlockSender:         {block},
	Unfriend:            {unfriend},
	FriendsOnly:         {onlyFriends},
}

// plans returns all combinations of acts that make the needed changes.
func plans(needs []Change) [][]act {
	list := [][]act{nil}
	for _, need := range needs {
		var longer [][]act
		for _, begun := range list {
			for _, way := range ways[need] {
				longer = append(longer, slices.Concat(begun, way))
			}
		}
		list = longer
	}
	return list
}

// TestExplain_AdviceIsTrue follows the advice in every state: the needed changes together allow the
// message, and all but one of them do not. Each change among Stops denies it, and no other does.
func TestExplain_AdviceIsTrue(t *testing.T) {
	begin := trials(t)
	given := make(map[Change]int)
	for _, s := range pairStates() {
		explain := func(x *trial) *Explanation {
			t.Helper()
			e, err := x.relations.Explain(ctx, x.app, Pair{x.from, x.to})
			x.ok(err)
			p, err := x.relations.Permission(ctx, x.app, Pair{x.from, x.to})
			x.ok(err)
			if e.Allowed != p.Allowed || !e.Allowed && *e.Reason != *p.Reason {
				t.Fatalf("%+v: explained as %v, decided as %v", s, e.Permission, p)
			}
			return e
		}
		advice := explain(begin(s))
		for _, change := range slices.Concat(advice.Needs, advice.Stops) {
			given[change]++
		}
		if advice.Allowed {
			if len(advice.Needs) != 0 {
				t.Errorf("%+v: allowed, but needs %v", s, advice.Needs)
			}
			for change, acts := range ends {
				for _, do := range acts {
					x := begin(s)
					if err := do(x); err != nil && !s.self {
						t.Fatalf("%+v: %s: %v", s, change, err)
					}
					stopped := !explain(x).Allowed
					// For a message to oneself, only StopSender applies.
					if s.self && change == DeactivateRecipient {
						change = StopSender
					}
					if stopped != slices.Contains(advice.Stops, change) {
						t.Errorf("%+v: %s stops it: %v, but the advice is %v", s, change, stopped, advice.Stops)
					}
				}
			}
			continue
		}
		if len(advice.Stops) != 0 || len(advice.Needs) == 0 {
			t.Errorf("%+v: denied, needs %v, stopped by %v", s, advice.Needs, advice.Stops)
		}
		for _, plan := range plans(advice.Needs) {
			for left := -1; left < len(plan); left++ { // the whole plan, and then all but one act
				x := begin(s)
				var err error
				for i, do := range plan {
					if i != left && err == nil {
						err = do(x)
					}
				}
				if left < 0 {
					x.ok(err)
				}
				if allowed := explain(x).Allowed; allowed != (left < 0) {
					t.Errorf("%+v: %v without %d allows it: %v", s, advice.Needs, left, allowed)
				}
			}
		}
	}
	for _, change := range Changes {
		if given[change] == 0 {
			t.Errorf("%s is never in the advice", change)
		}
	}
	if len(given) != len(Changes) {
		t.Errorf("the advice is %v", given)
	}
}

// TestExplain_Advice has the cases that were once wrong.
func TestExplain_Advice(t *testing.T) {
	begin := trials(t)
	for _, c := range []struct {
		state        pairState
		needs, stops string
	}{
		{state: pairState{whitelist: true, listed: true}, stops: "STOP_SENDER DEACTIVATE_RECIPIENT DISALLOW_SENDER FRIENDS_ONLY"},
		{state: pairState{whitelist: true, listed: true, block: true, fond: true}, stops: "STOP_SENDER DEACTIVATE_RECIPIENT DISALLOW_SENDER WHITELIST_OFF"},
		{state: pairState{fond: true, onlyFew: true}, stops: "STOP_SENDER DEACTIVATE_RECIPIENT WHITELIST_ON BLOCK_SENDER UNFRIEND"},
		{state: pairState{listed: true, fond: true}, stops: "STOP_SENDER DEACTIVATE_RECIPIENT BLOCK_SENDER"},
		{state: pairState{self: true, whitelist: true, onlyFew: true}, stops: "STOP_SENDER"},
		{state: pairState{whitelist: true, block: true}, needs: "ALLOW_SENDER_OR_UNBLOCK"},
		{state: pairState{whitelist: true, onlyFew: true}, needs: "ALLOW_SENDER BEFRIEND"},
		{state: pairState{block: true, onlyFew: true, sender: "banned"}, needs: "LIFT_BAN UNBLOCK BEFRIEND"},
		{state: pairState{onlyFew: true, sender: "unknown", recipient: "deactivated"}, needs: "REGISTER_SENDER REACTIVATE_RECIPIENT BEFRIEND"},
	} {
		for _, user := range []*string{&c.state.sender, &c.state.recipient} {
			if *user == "" {
				*user = "active"
			}
		}
		x := begin(c.state)
		e, err := x.relations.Explain(ctx, x.app, Pair{x.from, x.to})
		x.ok(err)
		join := func(list []Change) string { return strings.Trim(fmt.Sprint(list), "[]") }
		if join(e.Needs) != c.needs || join(e.Stops) != c.stops {
			t.Errorf("%+v: needs %v, stopped by %v", c.state, e.Needs, e.Stops)
		}
	}
}
