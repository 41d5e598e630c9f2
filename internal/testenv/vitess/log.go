package main

import (
	"bufio"
	"io"
	"regexp"
	"strings"
)

// entry matches the first line of an entry in a general log of MariaDB. The time is there only if it
// has changed. Further lines belong to the statement.
var entry = regexp.MustCompile(`^(?:\d{6} [ \d]\d:\d\d:\d\d)?\t+ *(\d+) ([A-Z][A-Za-z ]*?)\t(.*)$`)

// readLog calls see with each statement of a general log. It leaves out those of sessions without a
// database, by which the tests make and drop their databases, and statements that were prepared, of
// which the log has both the text and each execution: see gets the text only.
func readLog(log io.Reader, see func(statement string)) error {
	within := make(map[string]bool) // the sessions with a database
	var statement strings.Builder
	open := false
	end := func() {
		if open {
			see(statement.String())
		}
		statement.Reset()
		open = false
	}
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadString('\n')
		line = strings.TrimSuffix(line, "\n")
		if found := entry.FindStringSubmatch(line); found != nil {
			end()
			session, command, argument := found[1], found[2], found[3]
			switch command {
			case "Connect":
				_, rest, _ := strings.Cut(argument, " on ") // USER on DATABASE using Socket
				within[session] = !strings.HasPrefix(rest, " ") && rest != ""
			case "Query", "Prepare":
				if open = within[session]; open {
					statement.WriteString(argument)
				}
			}
		} else if open {
			statement.WriteString("\n" + line)
		}
		if err == io.EOF {
			end()
			return nil
		}
		if err != nil {
			return err
		}
	}
}
