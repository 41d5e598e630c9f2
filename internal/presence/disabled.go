package presence

import (
	"context"
	"fmt"
	"sync"
	"time"

	"rollcall/internal/bus"
	"rollcall/internal/outage"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

const (
	// disabledInterval is how often disabled apps are looked for, in case another node or a command has
	// disabled one.
	disabledInterval = time.Second
	// disabledSpan is for how long the devices of an app are looked for after it was disabled: a device
	// whose token was checked just before may connect a little later.
	disabledSpan = time.Minute
	// cutsAtOnce is how many accounts of a disabled app are disconnected at the same time.
	cutsAtOnce = 64
)

// disabledApps ends the devices here of apps that are disabled.
type disabledApps struct {
	hub *Hub
	// look has room for one request to look for disabled apps now.
	look chan struct{}
	// since are the disabled apps, with the time when this node noticed.
	since map[int64]time.Time
}

func newDisabledApps(h *Hub) *disabledApps {
	return &disabledApps{hub: h, look: make(chan struct{}, 1), since: make(map[int64]time.Time)}
}

// appChanged looks for disabled apps at once if this node has disabled one.
func (a *disabledApps) appChanged(_ context.Context, ev bus.AppChanged) {
	if !ev.App.Disabled() {
		return
	}
	select {
	case a.look <- struct{}{}:
	default: // already requested
	}
}

// run works until the hub closes.
func (a *disabledApps) run() {
	ticker := time.NewTicker(disabledInterval)
	defer ticker.Stop()
	warnings := outage.NewLog(a.hub.log)
	for {
		select {
		case <-ticker.C:
		case <-a.look:
		case <-a.hub.closing.Done():
			return
		}
		if err := a.pass(a.hub.closing); err != nil && a.hub.closing.Err() == nil {
			warnings.Warn(a.hub.closing, "ending the devices of disabled apps failed; retrying", "error", err)
		}
	}
}

// pass ends the devices here of the apps that were disabled less than disabledSpan ago.
func (a *disabledApps) pass(ctx context.Context) error {
	var ids []int64
	err := a.hub.db.Read(ctx).Model(&models.App{}).Where("disabled_at > 0").Pluck("id", &ids).Error
	if err != nil {
		return fmt.Errorf("looking for disabled apps: %w", err)
	}
	before := a.since
	a.since = make(map[int64]time.Time, len(ids))
	ending := make(map[int64]bool)
	for _, id := range ids {
		noticed, known := before[id]
		if !known {
			noticed = time.Now()
		}
		a.since[id] = noticed
		if time.Since(noticed) < disabledSpan {
			ending[id] = true
		}
	}
	if len(ending) == 0 {
		return nil
	}
	return a.cut(ctx, a.hub.registry.AccountsHere(func(appID int64) bool { return ending[appID] }))
}

// cut ends the devices of accounts, and returns one of the errors.
func (a *disabledApps) cut(ctx context.Context, accounts []status.Account) error {
	cause := status.Cause{Reason: status.ReasonAppDisabled}
	var mu sync.Mutex
	var failure error
	var cutting sync.WaitGroup
	room := make(chan struct{}, cutsAtOnce)
	for _, acc := range accounts {
		room <- struct{}{}
		cutting.Go(func() {
			defer func() { <-room }()
			if _, err := a.hub.registry.Cut(ctx, acc, nil, cause.Reason.Leaves(), cause); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failure = err
			}
		})
	}
	cutting.Wait()
	return failure
}
