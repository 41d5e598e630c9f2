package relations

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// tally counts the decisions of this process, by app and result, since it began. A decision that is
// counted takes no lock and allocates nothing, because one is made for every message that is sent.
type tally struct {
	// apps is replaced, never changed, when the first decision of another app is counted.
	apps atomic.Pointer[map[int64]*results]
	mu   sync.Mutex // held while apps is replaced
}

// results counts decisions: at 0 the messages that were allowed, and at i+1 those that were denied
// for DenialReasons[i].
type results [1 + len(DenialReasons)]atomic.Int64

func newTally() *tally {
	t := new(tally)
	t.apps.Store(&map[int64]*results{})
	return t
}

// count counts a decision in the app with that apps.id.
func (t *tally) count(appID int64, p *Permission) {
	found := (*t.apps.Load())[appID]
	if found == nil {
		found = t.add(appID)
	}
	at := 0
	if p.Reason != nil {
		at = 1 + slices.Index(DenialReasons[:], *p.Reason)
	}
	found[at].Add(1)
}

// add returns the results of an app, which no decision of it may have needed before.
func (t *tally) add(appID int64) *results {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := *t.apps.Load()
	if found := known[appID]; found != nil {
		return found
	}
	apps := maps.Clone(known)
	apps[appID] = new(results)
	t.apps.Store(&apps)
	return apps[appID]
}

// Decided calls add with the number of decisions in each app, by its apps.id, that this process has
// made since it began. reason is "" for messages that were allowed. Decisions for operators, which
// Explain makes, are not counted.
func (s *Service) Decided(add func(appID int64, reason DenialReason, total int64)) {
	for appID, found := range *s.tally.apps.Load() {
		add(appID, "", found[0].Load())
		for i, reason := range DenialReasons {
			add(appID, reason, found[1+i].Load())
		}
	}
}

// Observe registers the metrics: the decisions of all apps by result.
func (s *Service) Observe(r prometheus.Registerer) {
	for at := range len(results{}) {
		result := "allowed"
		if at > 0 {
			result = strings.ToLower(string(DenialReasons[at-1]))
		}
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "rollcall_message_permissions_total", Help: "Decisions whether a message may be sent, by result: allowed, or the reason of the denial.",
			ConstLabels: prometheus.Labels{"result": result},
		}, func() (sum float64) {
			for _, found := range *s.tally.apps.Load() {
				sum += float64(found[at].Load())
			}
			return sum
		}))
	}
}
