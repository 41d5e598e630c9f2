package apps

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"rollcall/internal/bus"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/internal/throttle"
	"rollcall/internal/token"
	"rollcall/models"
)

// TestIssueTokenTo_Limits guesses on two nodes, which count together, from one network and from
// many.
func TestIssueTokenTo_Limits(t *testing.T) {
	ctx := context.Background()
	db := testenv.Open(t, testenv.SQLiteURL(t))
	keys, err := token.OpenKeys(ctx, db, "", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	rules := New(db, new(bus.Bus), keys, time.Now)
	app, secret, err := rules.Create(ctx, NewApp{Name: "chat", Environment: models.EnvironmentProduction, Edition: models.EditionFlagship}, shell)
	if err != nil {
		t.Fatal(err)
	}
	for name, guess := range map[string]func(i int) (address, key string){
		"a key and a network": func(i int) (string, string) { return fmt.Sprintf("2001:db8::%x", i), app.Key },
		"a network":           func(i int) (string, string) { return "192.0.2.1", fmt.Sprint("key", i) },
		"all":                 func(i int) (string, string) { return fmt.Sprintf("198.51.100.%d", i), app.Key },
	} {
		free := map[string]int{"a key and a network": secretRule.Free, "a network": secretNetworkRule.Free, "all": secretEveryoneRule.Free}[name]
		url, service := testenv.RedisURL(t), testenv.Service()
		var nodes []*Service
		for range 2 {
			client := testenv.OpenRedis(t, url, service)
			nodes = append(nodes, rules.Limiting(throttle.NewShared(client, time.Now, slog.New(slog.DiscardHandler))))
		}
		code := func(i int) fault.Code {
			address, key := guess(i)
			_, _, err := nodes[i%2].IssueTokenTo(ctx, address, key, "a guess", time.Hour)
			return fault.CodeOf(err)
		}
		for i := range free {
			if got := code(i); got != fault.Unauthenticated {
				t.Fatalf("%s: guess %d: %s", name, i+1, got)
			}
		}
		limited := 0
		for i := range 10 { // the delay of one may pass concurrently
			if code(free+i) == fault.RateLimited {
				limited++
			}
		}
		if limited == 0 {
			t.Errorf("%s: %d guesses are not limited", name, free+10)
		}
		address, _ := guess(free)
		for _, node := range nodes {
			if _, _, err := node.IssueTokenTo(ctx, address, app.Key, secret, time.Hour); err != nil {
				t.Errorf("%s: the right secret: %v", name, err)
			}
		}
	}
}
