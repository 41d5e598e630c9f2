// Package testenv gives tests real databases: SQLite files and databases on a
// real MariaDB server, each fresh, empty and gone when the test ends.
//
//	func TestRegister(t *testing.T) {
//		testenv.Each(t, func(t *testing.T, db *database.DB) { … })
//	}
//
// One server serves a whole test run: the command withservers, which `make test`
// wraps around `go test ./...`, starts it and names it in the environment. Where
// it is not named (a package tested alone by `go test ./pkg`) the first test that
// needs a server starts one for its process. Either way the server listens on a
// private socket only, and ends with the process that started it, however that
// process ends.
package testenv
