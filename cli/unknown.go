package cli

import (
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/alecthomas/kong"
)

const settingPrefix = "ROLLCALL_"

// farthestTypo is how many letters a name may differ in from the setting that is
// taken to be meant.
const farthestTypo = 3

// serviceLink matches what Kubernetes puts into the environment of every container
// beside a service whose name begins with "rollcall".
var serviceLink = regexp.MustCompile(`_SERVICE_(HOST|PORT(_\w+)?)=|_PORT(_\d+_[A-Z]+)?=\w+://|_PORT_\d+_[A-Z]+_(PROTO|PORT|ADDR)=`)

// warnOfUnknown names what looks like a setting in the environment and is none; its
// value may be a secret and is not told. It is no mistake for certain: another
// release may have the setting.
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

// settingNames are the names of all settings that the command and those below it
// read from the environment.
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

// nearest answers which of the names is close to name; "": none is.
func nearest(name string, names []string) string {
	found, distance := "", farthestTypo+1
	for _, candidate := range names {
		if d := levenshtein.ComputeDistance(name, candidate); d < distance {
			found, distance = candidate, d
		}
	}
	return found
}
