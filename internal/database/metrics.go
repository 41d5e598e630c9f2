package database

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Observe registers the metrics of the connection pools: go_sql_* with the label db_name, which is
// "read" or "write", or "all" if there is one pool.
func (db *DB) Observe(r prometheus.Registerer) {
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
