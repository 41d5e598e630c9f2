package apps

import (
	"reflect"
	"strings"
	"testing"
)

// TestReadChanges_ReadsWhatIsWritten reads back changes some with names that look like changes.
func TestReadChanges_ReadsWhatIsWritten(t *testing.T) {
	was := func(text string) *string { return &text }
	for _, changes := range [][]SettingChange{
		nil,
		{{"friendLimit", "2", was("1000")}},
		{{"banPresets", "3h Advertising\n7d Harassment", was("")}, {"deviceLimit", "3", was("20")}, {"statusQueryEnabled", "true", was("false")}},
		{{"friendLimit", "1", was("2")}, {"name", "x (was y) friendLimit=3", was("blocklistLimit=1")}},
	} {
		var parts []string
		for _, c := range changes {
			parts = append(parts, c.String())
		}
		if got := ReadChanges(strings.Join(parts, " ")); !reflect.DeepEqual(got, changes) {
			t.Errorf("%q: %+v", parts, got)
		}
	}
	if got := ReadChanges("banPresets=3h Advert"); len(got) != 1 || got[0].Before != nil || got[0].After != "3h Advert" {
		t.Errorf("a detail that was cut: %+v", got)
	}
	if got := ReadChanges("something else"); got != nil {
		t.Errorf("another detail: %+v", got)
	}
}
