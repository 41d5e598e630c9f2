package outage_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/go-sql-driver/mysql"

	"rollcall/internal/fault"
	"rollcall/internal/outage"
)

func TestCodeOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want fault.Code
	}{
		{nil, ""},
		{errors.New("a bug"), fault.Internal},
		{context.Canceled, fault.Internal},
		{context.DeadlineExceeded, fault.Unavailable},
		{mysql.ErrInvalidConn, fault.Unavailable},
		{&mysql.MySQLError{Number: 1064}, fault.Internal},
		{io.EOF, fault.Unavailable},
		{fault.New(fault.Unavailable, "going away"), fault.Unavailable},
		{fmt.Errorf("%w: %w", fault.New(fault.UserBanned, "banned"), io.EOF), fault.UserBanned},
	} {
		if c.err != nil {
			c.err = fmt.Errorf("reading: %w", c.err)
		}
		if got := outage.CodeOf(c.err); got != c.want {
			t.Errorf("CodeOf(%v) = %q, want %q", c.err, got, c.want)
		}
	}
}

func TestCallerGone(t *testing.T) {
	running := context.Background()
	ended, cancel := context.WithCancel(running)
	cancel()
	bug := errors.New("a bug")
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want bool
	}{
		{running, context.Canceled, true},
		{running, mysql.ErrInvalidConn, false},
		{ended, mysql.ErrInvalidConn, true},
		{ended, bug, false},
	} {
		if got := outage.CallerGone(c.ctx, c.err); got != c.want {
			t.Errorf("CallerGone(%v, %v) = %t, want %t", c.ctx.Err(), c.err, got, c.want)
		}
	}
}
