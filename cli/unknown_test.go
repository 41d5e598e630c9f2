package cli

import (
	"slices"
	"testing"

	"rollcall/internal/testenv"
)

func TestServe_WarnsOfUnknownSettings(t *testing.T) {
	n := startWith(t, Streams{Environment: []string{
		"ROLLCALL_LISTN=127.0.0.1:9", "ROLLCALL_REDIS_PASSWORD=hunter2", "ROLLCALL_LISTEN=127.0.0.1:0", "ROLLCALL_PORT=80",
		"PATH=/bin", "rollcall_listen=x",
		// The variables that Kubernetes adds for services named "rollcall" and "rollcall-ops".
		"ROLLCALL_PORT=tcp://10.0.0.1:80", "ROLLCALL_SERVICE_HOST=10.0.0.1", "ROLLCALL_SERVICE_PORT=80", "ROLLCALL_SERVICE_PORT_HTTP=80",
		"ROLLCALL_PORT_80_TCP=tcp://10.0.0.1:80", "ROLLCALL_PORT_80_TCP_PROTO=tcp", "ROLLCALL_PORT_80_TCP_PORT=80", "ROLLCALL_PORT_80_TCP_ADDR=10.0.0.1",
		"ROLLCALL_OPS_PORT=tcp://10.0.0.2:81", "ROLLCALL_OPS_SERVICE_HOST=10.0.0.2",
	}}, testenv.SQLiteURL(t))
	want := []string{
		`{"level":"WARN","msg":"the environment has a setting that this release does not know","name":"ROLLCALL_LISTN","nearest":"ROLLCALL_LISTEN"}`,
		`{"level":"WARN","msg":"the environment has a setting that this release does not know","name":"ROLLCALL_REDIS_PASSWORD"}`,
		`{"level":"WARN","msg":"the environment has a setting that this release does not know","name":"ROLLCALL_PORT"}`,
	}
	if got := n.warnings(); !slices.Equal(got, want) {
		t.Errorf("warnings: %q", got)
	}
}
