package node

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/outage"
	"rollcall/internal/token"
)

// health serves the probes for liveness and readiness.
type health struct {
	db       *database.DB
	redis    *redisHealth // nil without Redis
	keys     *token.Keys
	audit    *audit.Log
	outages  *outage.Log
	draining atomic.Bool
}

func (h *health) drain() { h.draining.Store(true) }

// alive responds as long as the process can.
func (h *health) alive(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

// ready responds with 200 if requests should be sent to this node, and with 503 and the reason if not.
// A node that cannot use Redis is ready, because what needs only the database still works, unless the
// probe has with=redis. A node that cannot decrypt some of the token keys is ready as long as it can
// sign tokens with another.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	if h.draining.Load() {
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	if err := h.db.Writable(r.Context()); err != nil && r.Context().Err() == nil {
		problem, cause := "the database does not respond", err
		if unwritable, ok := errors.AsType[*database.UnwritableError](err); ok {
			problem, cause = unwritable.Error(), unwritable.Unwrap()
		}
		h.outages.Warn(r.Context(), "not ready: "+problem, "database", h.db.String(), "error", cause)
		http.Error(w, problem, http.StatusServiceUnavailable)
		return
	}
	var degraded []string
	if problem, signs := h.keys.Problem(); !signs {
		http.Error(w, problem, http.StatusServiceUnavailable)
		return
	} else if problem != "" {
		degraded = append(degraded, problem)
	}
	if h.redis != nil {
		if problem := h.redis.problem.Load().(string); problem != "" {
			if r.URL.Query().Get("with") == "redis" {
				http.Error(w, problem, http.StatusServiceUnavailable)
				return
			}
			degraded = append(degraded, problem)
		}
	}
	if h.audit.Stalled() {
		degraded = append(degraded, "the audit's chain has stalled")
	}
	if degraded != nil {
		fmt.Fprintln(w, "degraded: "+strings.Join(degraded, "; "))
		return
	}
	fmt.Fprintln(w, "ok")
}
