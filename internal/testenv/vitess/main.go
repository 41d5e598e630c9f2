// Command vitess reports what Vitess would make of Rollcall's statements:
//
//	vitess STATEMENTS.log
//
// The file is a general log of MariaDB, which the server of the tests writes if
// ROLLCALL_TEST_GENERAL_LOG names it; see `make test-vitess`. The command fails if Vitess does not parse
// a statement. For those on Rollcall's tables, it prints what vtgate would do if users, and the rows that
// belong to a user, were sharded by users.id (vschema.json), and all other tables were in a keyspace
// that is not sharded. It plans statements only: it runs none, and knows nothing of transactions.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: vitess STATEMENTS.log")
		os.Exit(2)
	}
	r, err := newReport()
	if err == nil {
		err = r.read(os.Args[1])
	}
	if err == nil {
		err = r.write(os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "vitess:", err)
		os.Exit(1)
	}
}
