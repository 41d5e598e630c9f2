package apps

import (
	"strings"
	"testing"
	"time"

	"rollcall/internal/fault"
	"rollcall/models"
)

func TestBanPresets_AreLengthsWithReasons(t *testing.T) {
	app := &models.App{}
	set := func(text string) error { return setBanPresets(app, "banPresets", text) }
	if err := set(" 180m  Advertising \r\n\n7d Harassment & more\npermanent\n30d\n3h Advertising\n90m"); err != nil {
		t.Fatal(err)
	}
	if want := "3h Advertising\n7d Harassment & more\npermanent\n30d\n90m"; app.BanPresets != want {
		t.Errorf("%q, want %q", app.BanPresets, want)
	}
	presets := BanPresets(app)
	if len(presets) != 5 || presets[0] != (BanPreset{Length: 3 * time.Hour, Reason: "Advertising"}) || presets[2] != (BanPreset{Permanent: true}) {
		t.Errorf("%+v", presets)
	}
	for text, rule := range map[string]string{
		"soon Spam": "preset", "0m": "preset", "31d": "preset", "70000m": "preset", "-1h": "preset", "h": "preset", "3 h": "preset",
		"3h " + strings.Repeat("a", 256): "preset", "3h a\x00": "preset", "\xff": "utf8",
		"1m\n2m\n3m\n4m\n5m\n6m\n7m\n8m\n9m\n10m\n11m": "max",
	} {
		if refusal, ok := fault.As(set(text)); !ok || *refusal.Rule() != rule {
			t.Errorf("%q: %v, want %s", text, refusal, rule)
		}
	}
	refusal, _ := fault.As(set("3h Spam\n\n3h Spam\nsoon Spam\n0m"))
	if refusal.Extensions["line"] != 4 || !strings.Contains(refusal.Message, `line 4 is "soon Spam"`) {
		t.Errorf("%v, want line 4", refusal)
	}
}
