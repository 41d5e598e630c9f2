package apps

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"rollcall/internal/fault"
	"rollcall/internal/validate"
	"rollcall/models"
)

// MaxBanPresets is the maximum number of presets for bans that an app has.
const MaxBanPresets = 10

// BanPreset is a length and a reason that the console offers for bans of the app's users. It has the
// bounds of users.Sentence.
type BanPreset struct {
	Length    time.Duration `validate:"either=Permanent,omitempty,min=1m,max=720h"`
	Permanent bool
	Reason    string `validate:"max=255,nocontrol"`
}

const permanentPreset = "permanent"

// presetUnits are the units of lengths, the largest first.
var presetUnits = []struct {
	name   string
	length time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}}

// String returns the preset as a line: "30m", "3h", "7d" or "permanent", and the reason if it has one.
func (p BanPreset) String() string {
	text := permanentPreset
	for _, unit := range presetUnits {
		if !p.Permanent && p.Length%unit.length == 0 {
			text = fmt.Sprintf("%d%s", p.Length/unit.length, unit.name)
			break
		}
	}
	return strings.TrimSpace(text + " " + p.Reason)
}

// parseBanPreset returns the preset of a line. ok is false if the line is none.
func parseBanPreset(line string) (p BanPreset, ok bool) {
	length, reason, _ := strings.Cut(strings.TrimSpace(line), " ")
	p.Reason = strings.TrimSpace(reason)
	if length == permanentPreset {
		p.Permanent = true
		return p, validate.Input(p) == nil
	}
	for _, unit := range presetUnits {
		number, found := strings.CutSuffix(length, unit.name)
		if n, err := strconv.ParseUint(number, 10, 16); found && err == nil { // more is too long in every unit
			p.Length = time.Duration(n) * unit.length
			return p, validate.Input(p) == nil
		}
	}
	return p, false
}

// BanPresets returns the presets of the app.
func BanPresets(app *models.App) []BanPreset {
	var presets []BanPreset
	for line := range strings.Lines(app.BanPresets) {
		if p, ok := parseBanPreset(line); ok {
			presets = append(presets, p)
		}
	}
	return presets
}

// setBanPresets is the set of the setting banPresets, a preset a line. Lines that are empty or repeat
// another are left out. Returns INVALID_ARGUMENT, with the number of the line if one is wrong.
func setBanPresets(app *models.App, name, text string) error {
	if !utf8.ValidString(text) {
		return fault.Invalid(name, "utf8", "%s must be UTF-8", name)
	}
	var lines []string
	seen := map[BanPreset]bool{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		if strings.TrimSpace(line) == "" {
			continue
		}
		p, ok := parseBanPreset(line)
		if !ok {
			return fault.Invalid(name, "preset", "%s: each line must be a length from 1m to 30d, such as 30m, 3h or 7d, or permanent, "+
				"and then a reason of at most 255 characters; line %d is %q", name, number, strings.TrimSpace(line)).With("line", number)
		}
		if !seen[p] {
			seen[p] = true
			lines = append(lines, p.String())
		}
	}
	if len(lines) > MaxBanPresets {
		return fault.Invalid(name, "max", "%s must have at most %d lines", name, MaxBanPresets)
	}
	app.BanPresets = strings.Join(lines, "\n")
	return nil
}
