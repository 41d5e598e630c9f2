package database

import (
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
