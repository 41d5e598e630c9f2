package cli

import (
	"fmt"
	"log/slog"
	"strings"

	"rollcall/internal/database"
)

// warnOfExposed logs the database's files that other users of the machine can read or change, and
// the command that restricts them. It does not run the command and does not refuse the start: a
// volume may set the modes itself, and a group may need to read the files for backups.
func warnOfExposed(log *slog.Logger, db *database.DB) error {
	exposed, err := db.Exposed()
	if err != nil || len(exposed) == 0 {
		return err
	}
	names := make([]string, len(exposed))
	fix := "chmod 600"
	for i, file := range exposed {
		names[i] = fmt.Sprintf("%s (%04o)", file.Path, file.Mode)
		fix += " " + shellQuoted(file.Path)
	}
	log.Warn("other users of this machine can read or change the database, which holds signing keys and personal data",
		"files", strings.Join(names, ", "), "fix", fix)
	return nil
}

// shellQuoted returns text quoted as one word of a POSIX shell.
func shellQuoted(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-", r)
	}
	if strings.TrimLeftFunc(text, plain) == "" && !strings.HasPrefix(text, "-") {
		return text
	}
	if strings.HasPrefix(text, "-") {
		text = "./" + text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
