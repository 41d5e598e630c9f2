package console_test

import (
	"context"
	"testing"
	"time"

	"rollcall/console"
	"rollcall/node"
)

func init() { console.StartNode = startNode }

func startNode(t *testing.T, cfg console.NodeConfig) console.NodeRules {
	t.Helper()
	ctx := context.Background()
	n, err := node.New(ctx, node.Config{
		DB: cfg.DB, Redis: cfg.Redis, Logger: cfg.Logger, Clock: cfg.Clock, Version: "1.2.3",
		LoginFailureTime: time.Millisecond, AdjustConsole: cfg.Adjust,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := n.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return console.NodeRules{
		Apps: n.Apps, Users: n.Users, Relations: n.Relations, Presence: n.Presence, Figures: n.Figures, Jobs: n.Jobs,
	}
}
