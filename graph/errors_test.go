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
			got := newPresenter(slog.New(slog.NewTextHandler(log, nil)), nil).present(c.ctx, c.err)
			if got.Extensions["code"] != c.code || strings.Contains(got.Message, "secret") {
				t.Errorf("presented as %v %q, want %s", got.Extensions, got.Message, c.code)
			}
			if text := log.String(); c.log == "" && text != "" || !strings.Contains(text, c.log) {
				t.Errorf("logged %q, want the level %q", text, c.log)
			}
		})
	}
}

// TestPresenter_LogsAnOutageOnce presents the errors of many requests during an outage, and of a
// bug, each of which is logged.
func TestPresenter_LogsAnOutageOnce(t *testing.T) {
	log := new(testenv.Log)
	p := newPresenter(slog.New(slog.NewTextHandler(log, nil)), nil)
	for range 100 {
		p.present(context.Background(), mysql.ErrInvalidConn)
		p.present(context.Background(), errors.New("a bug"))
	}
	if warnings, errors := strings.Count(log.String(), "level=WARN"), strings.Count(log.String(), "level=ERROR"); warnings != 1 || errors != 100 {
		t.Errorf("%d warnings and %d errors, want 1 and 100", warnings, errors)
	}
}
