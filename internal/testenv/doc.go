// Package testenv provides databases for tests: SQLite files, and databases on a real MariaDB
// server, each new, empty and removed when the test ends; and parts of a real Redis server that no
// other test uses.
//
//	func TestRegister(t *testing.T) {
//		testenv.Each(t, func(t *testing.T, db *database.DB) { … })
//	}
//
// Statements, Explain and RowsRead return what such a database was asked to do, and how it does it.
//
// One server of each kind serves a whole test run: the command withservers, which `make test` uses
// to run `go test ./...`, starts them and names them in the environment. If a server is not named,
// as when a package is tested alone by `go test ./pkg`, the first test that needs it starts one for
// its process. In both cases MariaDB listens on a private socket only, and Redis on a port of the
// loopback interface. Both end with the process that started them, however that process ends.
package testenv
