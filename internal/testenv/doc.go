// Package testenv gives tests real databases: SQLite files and databases on a
// real MariaDB server, each fresh, empty and gone when the test ends; and parts
// of a real Redis server that nobody else uses.
//
//	func TestRegister(t *testing.T) {
//		testenv.Each(t, func(t *testing.T, db *database.DB) { … })
//	}
//
// Statements, Explain and RowsRead tell what such a database was asked to do, and how
// it goes about it.
//
// One server of each kind serves a whole test run: the command withservers, which
// `make test` wraps around `go test ./...`, starts them and names them in the
// environment. Where one is not named (a package tested alone by `go test ./pkg`)
// the first test that needs it starts one for its process. Either way MariaDB
// listens on a private socket only, and Redis on a port of this machine; both end
// with the process that started them, however that process ends.
package testenv
