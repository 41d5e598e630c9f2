package cli

import (
	"net/http"
	"strings"
	"testing"

	"rollcall/internal/testenv"
)

// TestMetrics_OfApps checks that operations and errors are counted by app, and can be switched off.
func TestMetrics_OfApps(t *testing.T) {
	url := testenv.SQLiteURL(t)
	t.Setenv("ROLLCALL_DATABASE_URL", url)
	n := start(t, url, "--ops-listen", "127.0.0.1:0")
	app := n.bearer()
	n.ask(app, "{ app { name } }")
	n.ask(app, `{ user(id: "none") { id } }`)
	if _, text := n.post(app, `{"query":"mutation { updateUser(input: {userId: \"none\", name: \"x\"}) { user { id } } }"}`); !strings.Contains(text, "USER_NOT_FOUND") {
		t.Errorf("the response is %s", text)
	}
	key := appKey(t)
	status, text := get(t, n.opsBase()+"/metrics")
	for _, want := range []string{
		`rollcall_app_operations_total{app="` + key + `"} 3`, `rollcall_app_errors_total{app="` + key + `",code="USER_NOT_FOUND"} 1`,
		`rollcall_app_devices{app="` + key + `"} 0`, `rollcall_app_operations_total{app="other"} 0`, "rollcall_jobs 0", "rollcall_job_oldest_seconds 0",
	} {
		if status != http.StatusOK || !strings.Contains(text, want+"\n") {
			t.Errorf("status %d: no %s in %s", status, want, text)
		}
	}
	n.end()
	n = start(t, url, "--ops-listen", "127.0.0.1:0", "--metrics-apps=0")
	if _, text := get(t, n.opsBase()+"/metrics"); strings.Contains(text, "rollcall_app_") {
		t.Error("apps have metrics although they are off")
	}
}
