//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"gorm.io/gorm"

	"rollcall/bench/kit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	delivery "rollcall/internal/fanout"
	"rollcall/internal/opaque"
	"rollcall/internal/presence"
	"rollcall/internal/presence/circles"
	"rollcall/internal/presence/status"
	"rollcall/internal/relations"
	"rollcall/internal/subscriptions"
	"rollcall/models"
)

// watchMemory belongs to row 5: the memory of watching one more user. It counts bytes in this
// process, so it has no floor.
var watchMemory = row{name: "watch", number: 5, run: runWatchMemory}

func runWatchMemory(ctx context.Context, lab *kit.Lab) (figures []kit.Figure, err error) {
	users, friends := kit.Pick(lab, 10_000, 500), kit.Pick(lab, 200, 20)
	dir, err := lab.Dir()
	if err != nil {
		return nil, err
	}
	db, err := database.Open(ctx, "sqlite:"+filepath.Join(dir, "watch.db"))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	lab.Log("making %d users, half of them with %d friends each", users, friends)
	events := new(bus.Bus)
	app, accounts, err := acquainted(ctx, db, events, users, friends)
	if err != nil {
		return nil, err
	}
	hub := presence.New(db, events, circles.Interests{Friends: relations.Friends, Subscriptions: subscriptions.Lists}, presence.Options{})
	if err := hub.Start(ctx); err != nil {
		return nil, err
	}
	defer func() { err = closing(ctx, hub, err) }()

	lab.Log("watching")
	half := users / 2
	// The first half has no friends and watches only itself.
	alone, err := watchCircles(ctx, hub, app, accounts[:half])
	if err != nil {
		return nil, err
	}
	together, err := watchCircles(ctx, hub, app, accounts[half:])
	if err != nil {
		return nil, err
	}
	watch := (together - alone) / float64(friends)
	return []kit.Figure{{
		Work: fmt.Sprintf("memory of one watch: %d accounts watch %d users each", half, friends), Goal: "≤ 64 bytes",
		Ours: fmt.Sprintf("%.0f bytes", watch), Met: kit.AtMost(watch, 64),
		Note: fmt.Sprintf("live heap; an account that watches only itself: %.0f bytes", alone),
	}}, nil
}

// acquainted creates an app and users. The second half of them are friends in a ring.
func acquainted(ctx context.Context, db *database.DB, events *bus.Bus, users, friends int) (*models.App, []status.Account, error) {
	if err := db.Migrate(ctx); err != nil {
		return nil, nil, err
	}
	app := &models.App{
		Key: "bench", Name: "bench", Environment: models.EnvironmentProduction, Edition: models.EditionFlagship,
		SecretHash: []byte("none"), Settings: models.DefaultAppSettings(), CreatedAt: 1,
	}
	app.Settings.FriendStatusNotifyEnabled = true
	rows := make([]*models.User, users)
	err := db.Tx(ctx, func(tx *gorm.DB) error {
		if err := tx.Create(app).Error; err != nil {
			return err
		}
		for i := range rows {
			rows[i] = &models.User{AppID: app.ID, ExternalID: strconv.Itoa(i), Name: "user", CreatedAt: 1, UpdatedAt: 1}
		}
		return tx.CreateInBatches(rows, 500).Error
	})
	if err != nil {
		return nil, nil, err
	}
	keys, accounts := make([]int64, users), make([]status.Account, users)
	for i, u := range rows {
		keys[i], accounts[i] = u.ID, status.AccountOf(u)
	}
	err = relations.New(db, events, opaque.Secret{}, time.Now).Seed(ctx, app, keys[users/2:], friends, func(int) {})
	return app, accounts, err
}

// watchCircles begins a statusChanged for each account, and returns how much each has added to the live
// heap.
func watchCircles(ctx context.Context, hub *presence.Hub, app *models.App, accounts []status.Account) (float64, error) {
	before := liveHeap()
	for _, acc := range accounts {
		// The watch lasts until this process ends.
		if _, err := hub.WatchCircle(ctx, app, acc, nowhere{}); err != nil {
			return 0, err
		}
	}
	// The watches are listed in the background, in order, so these are the last.
	listed := new(sync.WaitGroup)
	listed.Add(len(accounts))
	stop, err := hub.WatchUsers(ctx, accounts, counting{listed}, true)
	if err != nil {
		return 0, err
	}
	listed.Wait()
	stop()
	return (liveHeap() - before) / float64(len(accounts)), nil
}

// nowhere is a sink that discards everything.
type nowhere struct{}

func (nowhere) Deliver(*delivery.Event) {}

// counting is a sink that counts down.
type counting struct{ *sync.WaitGroup }

func (c counting) Deliver(*delivery.Event) { c.Done() }

func liveHeap() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

func closing(ctx context.Context, hub *presence.Hub, err error) error {
	if closed := hub.Close(ctx); err == nil {
		return closed
	}
	return err
}
