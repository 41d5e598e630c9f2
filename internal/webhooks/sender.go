package webhooks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/audit"
	"rollcall/internal/outage"
	"rollcall/internal/token"
	"rollcall/models"
)

const (
	// batchSize is how many deliveries a batch has at most, and concurrency how many of them are
	// sent at the same time.
	batchSize   = 256
	concurrency = 8
	// endpointsAtOnce is how many endpoints a node sends to at the same time, and failingAtOnce how
	// many of them may be failing. Each of these can take a whole attempt's time to respond, so they
	// must leave room for those that work.
	endpointsAtOnce = 64
	failingAtOnce   = endpointsAtOnce / 2
	// leaseTime is how long a node may send a batch. An attempt begins only if it ends leaseMargin
	// before that.
	leaseTime   = 30 * time.Second
	leaseMargin = 5 * time.Second
	// pollInterval is how often a node looks for deliveries that it was not notified of: those that
	// are due again, and those of nodes that have stopped.
	pollInterval = time.Second
	// gather is how long a node waits after it was notified, and pace the time from one look for
	// deliveries to the next, unless a batch was full: the more changes share a batch, the less work it is,
	// which the changes would otherwise have to wait for.
	gather = 10 * time.Millisecond
	pace   = 100 * time.Millisecond
	// tidyInterval is how often the deliveries of disabled and deleted endpoints are ended.
	tidyInterval = 10 * time.Second
	// unopenedInterval is the time between two attempts to decrypt the secret of an endpoint, and
	// unopenedWarning between two entries in the log about that.
	unopenedInterval = 10 * time.Second
	unopenedWarning  = time.Minute
	// disableAfter is how long an endpoint may fail before it is disabled.
	disableAfter = 5 * 24 * time.Hour
	// minPause and maxPause bound the pause after a batch in which all attempts have failed. It is
	// pausePart of the time for which the endpoint has failed. They also bound the pause after a batch
	// of which the receiver could take only a part.
	minPause  = time.Second
	maxPause  = 5 * time.Minute
	pausePart = 4
)

// schedule has the times between an attempt and the next one, each changed by up to a fifth at
// random. After the last, the delivery has failed.
var schedule = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour,
	14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// timing has the durations that tests shorten.
type timing struct {
	attempt, lease, margin, poll, pace, tidy, unopened time.Duration
}

var usualTiming = timing{
	attempt: attemptTimeout, lease: leaseTime, margin: leaseMargin, poll: pollInterval, pace: pace,
	tidy: tidyInterval, unopened: unopenedInterval,
}

var forUpdate = clause.Locking{Strength: clause.LockingStrengthUpdate}

// Run distributes events and sends deliveries until ctx ends, and then returns when running attempts
// have ended. It cuts those that last longer than drain; they are sent again later.
func (s *Service) Run(ctx context.Context, drain time.Duration) {
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drain, cut) })()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { s.keepTidy(ctx) })
	r := &rounds{
		Service: s, sending: sending, running: &running, busy: make(map[int64]bool), done: make(chan delivered, endpointsAtOnce),
		unopened: &unopenedEndpoints{service: s, until: make(map[int64]time.Time)}, warnings: outage.NewLog(s.opts.Logger),
	}
	poll := time.NewTicker(s.timing.poll)
	defer poll.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	planned, began := time.Now(), time.Time{} // the next round, if there is one, and the last one
	plan := func(at time.Time) {
		if planned.IsZero() || at.Before(planned) {
			planned = at
			next.Reset(time.Until(at))
		}
	}
	for {
		paced := began.Add(s.timing.pace)
		select {
		case <-ctx.Done():
			return
		case d := <-r.done:
			r.ended(ctx, d)
			if d.full {
				paced = time.Now()
			}
			plan(paced)
		case <-poll.C:
			plan(paced)
		case <-s.wake:
			if gathered := time.Now().Add(gather); gathered.After(paced) {
				paced = gathered
			}
			plan(paced)
		case began = <-next.C:
			planned = time.Time{}
			if r.begin(ctx) {
				plan(began)
			}
		}
	}
}

// rounds are the rounds of Run: each distributes what is new and begins to send what is due.
type rounds struct {
	*Service
	sending context.Context
	running *sync.WaitGroup
	// busy are the endpoints that this node sends to, of which so many are failing.
	busy     map[int64]bool
	failing  int
	done     chan delivered
	unopened *unopenedEndpoints
	warnings *outage.Log
}

// begin begins a round. It reports whether there may be more to distribute.
func (r *rounds) begin(ctx context.Context) (more bool) {
	more, err := r.distributeAll(ctx)
	if err != nil && !outage.CallerGone(ctx, err) {
		r.warnings.Warn(ctx, "distributing webhook events failed; retrying", "error", err)
	}
	due, err := r.dueEndpoints(ctx, r.unopened.now()...)
	if err != nil && !outage.CallerGone(ctx, err) {
		r.warnings.Warn(ctx, "looking for webhook deliveries failed; retrying", "error", err)
	}
	for _, e := range due {
		if r.busy[e.ID] || len(r.busy) >= endpointsAtOnce || e.Failing && r.failing >= failingAtOnce {
			continue
		}
		r.busy[e.ID] = true
		if e.Failing {
			r.failing++
		}
		r.running.Go(func() {
			full, err := r.deliver(r.sending, e.ID)
			var keyErr *token.KeyError
			if err != nil && !errors.As(err, &keyErr) && !outage.CallerGone(r.sending, err) {
				r.warnings.Warn(ctx, "delivering webhook events failed; retrying", "endpoint", e.ID, "error", err)
			}
			r.done <- delivered{e, full, keyErr}
		})
	}
	return more
}

// ended notes the end of a batch.
func (r *rounds) ended(ctx context.Context, d delivered) {
	delete(r.busy, d.ID)
	if d.Failing {
		r.failing--
	}
	if d.err != nil {
		r.unopened.add(ctx, d)
	}
}

// dueEndpoint is an endpoint with deliveries that are due.
type dueEndpoint struct {
	ID      int64
	Failing bool
}

// delivered is the end of a batch to an endpoint.
type delivered struct {
	dueEndpoint
	// full means that there are probably more deliveries that are due.
	full bool
	// err is why this node cannot decrypt the endpoint's secret, or nil.
	err *token.KeyError
}

// unopenedEndpoints are the endpoints whose secrets this node could not decrypt recently. It does not
// look for their deliveries, so that these are in the way of no others.
type unopenedEndpoints struct {
	service *Service
	until   map[int64]time.Time
	warned  time.Time
}

// now returns the IDs of the endpoints.
func (u *unopenedEndpoints) now() []int64 {
	maps.DeleteFunc(u.until, func(_ int64, until time.Time) bool { return time.Now().After(until) })
	return slices.Collect(maps.Keys(u.until))
}

// add adds an endpoint, and logs the problem at most once in unopenedWarning.
func (u *unopenedEndpoints) add(ctx context.Context, d delivered) {
	now := time.Now()
	u.until[d.ID] = now.Add(u.service.timing.unopened)
	if now.Sub(u.warned) >= unopenedWarning {
		u.warned = now
		u.service.warnUnopened(ctx, "endpoint", d.ID, d.err)
	}
}

// dueEndpoints returns the endpoints with deliveries that are due, which no node sends to: first
// those that work, and of these the ones that have waited longest. Those in except are left out, and
// those of disabled apps, whose deliveries wait until the app is enabled.
func (s *Service) dueEndpoints(ctx context.Context, except ...int64) (list []dueEndpoint, err error) {
	now := s.now()
	if len(except) == 0 {
		except = []int64{0}
	}
	err = s.db.Read(ctx).Raw(`SELECT e.id, e.failing_since > 0 AS failing FROM webhook_endpoints e
		JOIN apps a ON a.id = e.app_id AND a.disabled_at = 0
		WHERE e.state = ? AND e.resume_at <= ? AND e.id NOT IN ? AND e.lease_until < `+s.db.Now()+` AND `+s.nextAttempt()+` <= ?
		ORDER BY e.failing_since > 0, e.resume_at, e.id LIMIT ?`,
		models.EndpointEnabled, now, except, models.DeliveryPending, now, 2*endpointsAtOnce).Scan(&list).Error
	return list, err
}

// nextAttempt returns a subquery for the earliest attempt to the endpoint e. Its argument is the
// state PENDING. It seeks for each endpoint: for EXISTS or MIN, MariaDB may read all deliveries.
func (s *Service) nextAttempt() string {
	return "(SELECT d.next_attempt_at FROM " + s.db.Using("deliveries d", "deliveries_due") +
		" WHERE d.endpoint_id = e.id AND d.state = ? ORDER BY d.next_attempt_at LIMIT 1)"
}

// deliver sends a batch of deliveries to an endpoint, unless another node does. It reports whether the
// batch was full.
func (s *Service) deliver(ctx context.Context, id int64) (full bool, err error) {
	// The lease ends later than this node assumes.
	end := time.Now().Add(s.timing.lease - s.timing.margin)
	lease := rand.Int64N(1<<62) + 1
	to, err := s.claim(ctx, id, lease)
	if err != nil || to == nil {
		return false, err
	}
	results := []*result(nil)
	deliveries, err := s.batch(ctx, id)
	if err == nil {
		results = s.send(ctx, to, deliveries, end)
	}
	// What was sent is recorded also if the node stops.
	if finishErr := s.finish(context.WithoutCancel(ctx), to.endpoint, lease, results); err == nil {
		err = finishErr
	}
	return len(deliveries) == batchSize, err
}

// errAppDisabled undoes a claim.
var errAppDisabled = errors.New("the app is disabled")

// claim takes the lease of an endpoint. It returns nil if the endpoint or its app is disabled, if the
// endpoint pauses, or if another node has the lease. If this node cannot decrypt the endpoint's secret, it takes no lease and
// returns a *token.KeyError: another node may have the key.
//
// The UPDATE is atomic, so that of several nodes one gets the lease. Leases are compared by the
// database's clock, because those of the nodes differ.
func (s *Service) claim(ctx context.Context, id, lease int64) (*target, error) {
	var to *target
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		to = nil
		claimed := tx.Exec(`UPDATE webhook_endpoints SET lease_id = ?, lease_until = `+s.db.Now()+` + ?
			WHERE id = ? AND state = ? AND resume_at <= ? AND lease_until < `+s.db.Now(),
			lease, s.timing.lease.Milliseconds(), id, models.EndpointEnabled, s.now())
		if claimed.Error != nil || claimed.RowsAffected == 0 {
			return claimed.Error
		}
		e := &models.WebhookEndpoint{}
		if err := tx.Take(e, id).Error; err != nil {
			return err
		}
		app := &models.App{}
		if err := tx.Select("key", "disabled_at").Take(app, e.AppID).Error; err != nil {
			return err
		}
		if app.Disabled() {
			return errAppDisabled
		}
		ring, err := s.vault.Read(tx, s.now())
		if err != nil {
			return err
		}
		secrets, err := secretsOf(ring, e, s.now())
		to = &target{endpoint: e, appKey: app.Key, secrets: secrets}
		return err
	})
	if errors.Is(err, errAppDisabled) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("claiming webhook endpoint: %w", err)
	}
	return to, nil
}

// batch returns the deliveries to an endpoint that are due, the oldest first.
func (s *Service) batch(ctx context.Context, endpointID int64) (list []*due, err error) {
	err = s.db.Read(ctx).Table(s.db.Using("deliveries", "deliveries_due")).
		Select(dueColumns).
		Joins("JOIN events e ON e.id = deliveries.event_id").
		Where("deliveries.endpoint_id = ? AND deliveries.state = ? AND deliveries.next_attempt_at <= ?", endpointID, models.DeliveryPending, s.now()).
		Order("deliveries.next_attempt_at, deliveries.id").Limit(batchSize).Find(&list).Error
	if err != nil {
		return nil, fmt.Errorf("reading webhook deliveries: %w", err)
	}
	return list, nil
}

// send makes an attempt of each delivery and returns their results, without those of deliveries that
// could not be attempted: if the receiver can take none now, if an attempt might not end before end,
// or if ctx ends.
func (s *Service) send(ctx context.Context, to *target, deliveries []*due, end time.Time) []*result {
	bySubject := make(map[string][]*due)
	var subjects []string
	for _, d := range deliveries {
		if bySubject[d.Subject] == nil {
			subjects = append(subjects, d.Subject)
		}
		bySubject[d.Subject] = append(bySubject[d.Subject], d)
	}
	var mu sync.Mutex
	var results []*result
	stopped := false
	mayBegin := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !stopped && ctx.Err() == nil && time.Now().Add(s.timing.attempt).Before(end)
	}
	queue := make(chan []*due, len(subjects))
	for _, subject := range subjects {
		list := bySubject[subject]
		slices.SortStableFunc(list, func(a, b *due) int { return int(a.Version - b.Version) })
		queue <- list
	}
	close(queue)
	var workers sync.WaitGroup
	for range min(concurrency, len(subjects)) {
		workers.Go(func() {
			for list := range queue {
				for _, d := range list {
					if !mayBegin() {
						return
					}
					r := s.attempt(ctx, to, d)
					mu.Lock()
					if r.succeeded() || ctx.Err() == nil { // a node that stops is no failure of the receiver
						results = append(results, r)
					}
					stopped = stopped || r.throttles()
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return results
}

// finish records the results of a batch and ends the lease. If another node has got the lease since,
// because this one was too slow, it records nothing: the other node sends the batch again.
func (s *Service) finish(ctx context.Context, e *models.WebhookEndpoint, lease int64, results []*result) error {
	var ended []string
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		ended = nil
		held, err := holds(tx, e, lease)
		if err != nil || !held {
			return err
		}
		erased, err := lockErased(tx, results)
		if err != nil {
			return err
		}
		now := s.now()
		// Most deliveries succeed: those with the same status share a statement.
		delivered := make(map[[2]int][]*result)
		for _, r := range results {
			if r.succeeded() {
				like := [2]int{r.delivery.Attempts, r.status}
				delivered[like] = append(delivered[like], r)
				ended = append(ended, "delivered")
				continue
			}
			columns, name := r.columns(now)
			if erased[r.delivery.EventID] {
				columns["last_error"] = nil
			}
			// One that was replayed or ended since stays as it is.
			err := tx.Model(&models.Delivery{}).Where("id = ? AND state = ? AND attempts = ?", r.delivery.ID, models.DeliveryPending, r.delivery.Attempts).
				Updates(columns).Error
			if err != nil {
				return err
			}
			ended = append(ended, name)
		}
		for _, some := range delivered {
			if err := s.writeDelivered(tx, some, now); err != nil {
				return err
			}
		}
		if err := count(tx, e.ID, results, now); err != nil {
			return err
		}
		return s.release(tx, e, lease, results, now)
	})
	if err != nil {
		return fmt.Errorf("recording webhook deliveries: %w", err)
	}
	for _, name := range ended {
		s.metrics.deliveries.WithLabelValues(name).Inc()
	}
	for _, r := range results {
		s.metrics.duration.Observe(r.took.Seconds())
	}
	return nil
}

// writeDelivered records deliveries that have succeeded with the same status, after equally many
// attempts. One that was replayed or ended since stays as it is.
func (s *Service) writeDelivered(tx *gorm.DB, list []*result, now models.Time) error {
	attempts := list[0].delivery.Attempts
	args := []any{models.DeliveryDelivered, attempts + 1, list[0].status, now.Add(deliveredKept)}
	ids := make([]int64, len(list))
	for i, r := range list {
		ids[i] = r.delivery.ID
		args = append(args, ids[i], r.took.Milliseconds())
	}
	args = append(args, ids, models.DeliveryPending, attempts)
	return tx.Exec("UPDATE "+s.db.ByKey("deliveries")+" SET state = ?, attempts = ?, last_status = ?, last_error = NULL, expires_at = ?, last_ms = CASE id"+
		strings.Repeat(" WHEN ? THEN ?", len(list))+" END WHERE id IN ? AND state = ? AND attempts = ?", args...).Error
}

// holds locks an endpoint and reports whether the lease is still this node's.
func holds(tx *gorm.DB, e *models.WebhookEndpoint, lease int64) (bool, error) {
	var rows []models.WebhookEndpoint
	err := tx.Clauses(forUpdate).Select("id").Where("id = ? AND lease_id = ?", e.ID, lease).Find(&rows).Error
	return len(rows) > 0, err
}

// lockErased returns the events whose personal values were erased while they were sent: the response
// may repeat them. It locks the events, so that a later erasure finds what is written now.
func lockErased(tx *gorm.DB, results []*result) (map[int64]bool, error) {
	var ids []int64
	sent := make(map[int64]string)
	for _, r := range results {
		if r.delivery.Personal != nil && !r.succeeded() {
			ids = append(ids, r.delivery.EventID)
			sent[r.delivery.EventID] = *r.delivery.Personal
		}
	}
	erased := make(map[int64]bool)
	if len(ids) == 0 {
		return erased, nil
	}
	var rows []models.Event
	err := tx.Clauses(forUpdate).Select("id", "personal").Where("id IN ?", ids).Order("id").Find(&rows).Error
	for _, row := range rows {
		erased[row.ID] = row.Personal == nil || *row.Personal != sent[row.ID]
	}
	return erased, err
}

// columns returns what a delivery becomes whose attempt has failed, and the name of the result for the
// metrics.
func (r *result) columns(now models.Time) (columns map[string]any, name string) {
	attempts := r.delivery.Attempts + 1
	columns = map[string]any{
		"attempts": attempts, "last_status": r.status, "last_ms": r.took.Milliseconds(), "last_error": r.problem,
	}
	if attempts > len(schedule) {
		columns["state"], columns["expires_at"] = models.DeliveryFailed, now.Add(failedKept)
		return columns, "failed"
	}
	columns["next_attempt_at"] = now.Add(max(jitter(schedule[attempts-1]), r.retryAfter))
	return columns, "retried"
}

// jitter changes d by up to a fifth at random.
func jitter(d time.Duration) time.Duration {
	return d - d/5 + rand.N(2*d/5+1)
}

// release ends the lease after a batch with these results, and decides when the endpoint is called
// again and whether it is disabled.
func (s *Service) release(tx *gorm.DB, e *models.WebhookEndpoint, lease int64, results []*result, now models.Time) error {
	next := *e
	next.LeaseUntil, next.LeaseID, next.ResumeAt = 0, 0, now
	succeeded := slices.ContainsFunc(results, (*result).succeeded)
	gone := slices.ContainsFunc(results, func(r *result) bool { return r.status == 410 })
	switch {
	case succeeded:
		next.FailingSince = 0
		if slices.ContainsFunc(results, (*result).throttles) {
			next.ResumeAt = now.Add(min(max(longestRetryAfter(results), minPause), maxPause))
		}
	case len(results) > 0:
		if next.FailingSince == 0 {
			next.FailingSince = now
		}
		failing := time.Duration(now-next.FailingSince) * time.Millisecond
		wait := min(max(failing/pausePart, minPause), maxPause)
		next.ResumeAt = now.Add(max(wait, longestRetryAfter(results)))
		if failing >= disableAfter {
			next.State, next.StateReason = models.EndpointDisabled, ReasonFailing
		}
	}
	if gone {
		next.State, next.StateReason = models.EndpointDisabled, ReasonGone
	}
	// It may have been deleted since.
	released := tx.Model(&models.WebhookEndpoint{}).Where("id = ? AND lease_id = ? AND state = ?", e.ID, lease, models.EndpointEnabled).
		Select("lease_until", "lease_id", "resume_at", "failing_since", "state", "state_reason").Updates(&next)
	if released.Error != nil || released.RowsAffected == 0 || next.State == models.EndpointEnabled {
		return released.Error
	}
	return s.audit(tx, e.AppID, audit.ActionWebhookDisable, &next, models.Actor{})
}

// longestRetryAfter returns the longest time that the receiver has asked for.
func longestRetryAfter(results []*result) (wait time.Duration) {
	for _, r := range results {
		wait = max(wait, r.retryAfter)
	}
	return wait
}

// tidyChunk is how many deliveries one transaction of tidy ends.
const tidyChunk = 500

// keepTidy ends the deliveries of disabled and deleted endpoints, until ctx ends.
func (s *Service) keepTidy(ctx context.Context) {
	ticker := time.NewTicker(s.timing.tidy)
	defer ticker.Stop()
	for {
		if err := s.tidy(ctx); err != nil && !outage.CallerGone(ctx, err) {
			s.opts.Logger.WarnContext(ctx, "ending webhook deliveries failed; retrying", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// tidy ends the deliveries of disabled and deleted endpoints, in chunks, and measures the queue.
// Nodes may record further deliveries for a short time, so it finds those the next time.
func (s *Service) tidy(ctx context.Context) error {
	if err := s.measure(ctx); err != nil {
		return err
	}
	var list []*models.WebhookEndpoint
	err := s.db.Read(ctx).Select("id", "state", "resume_at").Where("state <> ?", models.EndpointEnabled).Order("id").Find(&list).Error
	if err != nil {
		return fmt.Errorf("reading webhook endpoints: %w", err)
	}
	for _, e := range list {
		for n := tidyChunk; n == tidyChunk; {
			if n, err = s.tidyEndpoint(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// deletedKept is how long the row of a deleted endpoint is kept: longer than any transaction that
// may still record deliveries for it.
const deletedKept = time.Minute

// tidyEndpoint ends a chunk of the deliveries to an endpoint, and returns how many there were. It
// returns 0 if the endpoint has got another state since it was read.
func (s *Service) tidyEndpoint(ctx context.Context, e *models.WebhookEndpoint) (n int, err error) {
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		n = 0
		// The lock keeps the state: of an endpoint that was enabled, pending deliveries are sent.
		var same []models.WebhookEndpoint
		err := tx.Clauses(forUpdate).Select("id").Where("id = ? AND state = ?", e.ID, e.State).Find(&same).Error
		if err != nil || len(same) == 0 {
			return err
		}
		// In the order of the index: to sort a long queue for each chunk would take long.
		ended := tx.Table(s.db.Using("deliveries", "deliveries_due")).Where("endpoint_id = ?", e.ID)
		if e.State == models.EndpointDisabled {
			ended = ended.Where("state = ?", models.DeliveryPending)
		}
		var ids []int64
		if err := ended.Limit(tidyChunk).Pluck("id", &ids).Error; err != nil {
			return err
		}
		n = len(ids)
		now := s.now()
		switch {
		case n > 0 && e.State == models.EndpointDisabled:
			return tx.Model(&models.Delivery{}).Where("id IN ? AND state = ?", ids, models.DeliveryPending).Updates(map[string]any{
				"state": models.DeliveryFailed, "expires_at": now.Add(failedKept), "last_error": endpointDisabled,
			}).Error
		case n > 0:
			return tx.Where("id IN ?", ids).Delete(&models.Delivery{}).Error
		case e.State == models.EndpointDeleted && now > e.ResumeAt.Add(deletedKept):
			if err := tx.Where("endpoint_id = ?", e.ID).Delete(&models.WebhookHour{}).Error; err != nil {
				return err
			}
			return tx.Delete(&models.WebhookEndpoint{}, e.ID).Error
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("ending webhook deliveries: %w", err)
	}
	return n, nil
}
