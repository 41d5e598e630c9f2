package cli

import (
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

const settingPrefix = "ROLLCALL_"

// farthestTypo is the maximum number of letters in which an unknown name may differ from the setting
// that is suggested for it.
const farthestTypo = 3

// serviceLink matches the variables that Kubernetes adds to the environment of every container for a
// service whose name begins with "rollcall".
var serviceLink = regexp.MustCompile(`_SERVICE_(HOST|PORT(_\w+)?)=|_PORT(_\d+_[A-Z]+)?=\w+://|_PORT_\d+_[A-Z]+_(PROTO|PORT|ADDR)=`)

// warnOfUnknown logs the names of variables in the environment that look like settings but are
// unknown. It does not log their values, which may be secrets. They are not necessarily mistakes:
// another release may have the setting.
func warnOfUnknown(log *slog.Logger, environment []string, model *kong.Node) {
	known := settingNames(model)
	for _, entry := range environment {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, settingPrefix) || slices.Contains(known, name) || serviceLink.MatchString(entry) {
			continue
		}
		attrs := []any{"name", name}
		if near := nearest(name, known); near != "" {
			attrs = append(attrs, "nearest", near)
		}
		log.Warn("the environment has a setting that this release does not know", attrs...)
	}
}

// settingNames returns the names of all settings that the command and its subcommands read from the
// environment.
func settingNames(command *kong.Node) []string {
	var names []string
	for _, flag := range command.Flags {
		names = append(names, flag.Envs...)
		if isSecret(flag) {
			names = append(names, fileSetting(flag))
		}
	}
	for _, child := range command.Children {
		names = append(names, settingNames(child)...)
	}
	return names
}

// nearest returns the name that differs least from name, or "" if each differs in more than
// farthestTypo letters.
func nearest(name string, names []string) string {
	found, distance := "", farthestTypo+1
	for _, candidate := range names {
		if d := editDistance(name, candidate); d < distance {
			found, distance = candidate, d
		}
	}
	return found
}

// editDistance returns how many bytes must be inserted, deleted or replaced to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1) // row[j] is the distance of the first i bytes of a and j of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
