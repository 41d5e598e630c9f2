package apps

import (
	"fmt"
	"strings"
)

// SettingChange is a change of one setting as the audit has it.
type SettingChange struct {
	Name, After string
	// Before is nil if the entry was cut before it.
	Before *string
}

// String returns the change for the detail of an entry.
func (c SettingChange) String() string {
	return fmt.Sprintf("%s=%s%s%s)", c.Name, c.After, beforeMark, *c.Before)
}

// beforeMark is between the two values of a change.
const beforeMark = " (was "

// ReadChanges reads the detail of an entry with the action audit.ActionAppSet, whose settings are in
// the order of SettingNames. It returns nil if the detail does not begin with a setting. A name may
// look like a change of a later setting; the changes are for reading, not for undoing.
func ReadChanges(detail string) []SettingChange {
	var changes []SettingChange
	for _, name := range SettingNames() {
		value := ""
		if rest, first := strings.CutPrefix(detail, name+"="); first && len(changes) == 0 {
			value = rest
		} else if len(changes) > 0 {
			last := &changes[len(changes)-1]
			end := strings.Index(last.After, ") "+name+"=")
			if end < 0 {
				continue
			}
			value = last.After[end+len(") "+name+"="):]
			last.After = last.After[:end+1]
		} else {
			continue
		}
		changes = append(changes, SettingChange{Name: name, After: value})
	}
	for i := range changes {
		c := &changes[i]
		at := strings.LastIndex(c.After, beforeMark)
		if before, whole := strings.CutSuffix(c.After, ")"); at >= 0 && whole {
			before = before[at+len(beforeMark):]
			c.Before = &before
			c.After = c.After[:at]
		}
	}
	return changes
}
