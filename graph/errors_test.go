package graph

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"rollcall/internal/fault"
	"rollcall/internal/testenv"
)

func TestPresent(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		code string
		log  string // its level; "" for no line
	}{
		{"refusal", context.Background(), fault.New(fault.Forbidden, "no"), "FORBIDDEN", ""},
		{"bug", context.Background(), errors.New("secret"), "INTERNAL", "ERROR"},
		{"outage", context.Background(), errors.Join(errors.New("secret"), mysql.ErrInvalidConn), "UNAVAILABLE", "WARN"},
		{"own time limit", context.Background(), context.DeadlineExceeded, "UNAVAILABLE", "WARN"},
		{"caller gone", gone, context.Canceled, "INTERNAL", ""},
		{"statement ended with its caller", gone, mysql.ErrInvalidConn, "INTERNAL", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := new(testenv.Log)
			got := presenter{slog.New(slog.NewTextHandler(log, nil))}.present(c.ctx, c.err)
			if got.Extensions["code"] != c.code || strings.Contains(got.Message, "secret") {
				t.Errorf("presented as %v %q, want %s", got.Extensions, got.Message, c.code)
			}
			if text := log.String(); c.log == "" && text != "" || !strings.Contains(text, c.log) {
				t.Errorf("logged %q, want the level %q", text, c.log)
			}
		})
	}
}
