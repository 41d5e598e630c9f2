package database

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Observe registers the metrics of the connection pools: go_sql_* with the label db_name, which is
// "read" or "write", or "all" if there is one pool; and, on MySQL, rollcall_database_switches_total.
func (db *DB) Observe(r prometheus.Registerer) {
	if db.connector != nil {
		promauto.With(r).NewCounterFunc(prometheus.CounterOpts{
			Name: "rollcall_database_switches_total", Help: "How often another server of the database has been put into use.",
		}, func() float64 { return float64(db.connector.switches.Load()) })
	}
	if copied := db.replica; copied != nil {
		promauto.With(r).NewGaugeFunc(prometheus.GaugeOpts{
			Name: "rollcall_database_replica_usable", Help: "Whether reads that may be late use the replica of the database: 1 or 0.",
		}, func() float64 {
			if copied.usable() {
				return 1
			}
			return 0
		})
		promauto.With(r).NewGaugeFunc(prometheus.GaugeOpts{
			Name: "rollcall_database_replica_lag_seconds", Help: "How late the replica of the database is at most; NaN if it has shown no heartbeat of this node.",
		}, func() float64 {
			if copied.shown.Load() == 0 {
				return math.NaN()
			}
			return copied.lag().Seconds()
		})
	}
	if db.read == db.write {
		if pool, err := db.read.DB(); err == nil {
			r.MustRegister(collectors.NewDBStatsCollector(pool, "all"))
		}
		return
	}
	if pool, err := db.read.DB(); err == nil {
		r.MustRegister(collectors.NewDBStatsCollector(pool, "read"))
	}
	if pool, err := db.write.DB(); err == nil {
		r.MustRegister(collectors.NewDBStatsCollector(pool, "write"))
	}
}
