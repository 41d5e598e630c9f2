package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"rollcall/node"
)

// listen opens all listeners of the settings, or none. Their connections end if the peer acknowledges
// nothing for HeartbeatTimeout. Without that limit of TCP, a peer whose network is gone, and that never
// sends anything, as that of an event stream, is noticed only after the kernel's retries: 15 minutes.
func (s *serveSettings) listen() (*node.Listeners, error) {
	l := &node.Listeners{}
	config := net.ListenConfig{Control: limitUnacknowledged(s.HeartbeatTimeout)}
	for _, one := range []struct {
		setting, address string
		at               *net.Listener
	}{
		{"ROLLCALL_LISTEN", s.Listen, &l.Public},
		{"ROLLCALL_CONSOLE_LISTEN", s.ConsoleListen, &l.Console},
		{"ROLLCALL_OPS_LISTEN", s.OpsListen, &l.Ops},
	} {
		if one.address == "" {
			continue
		}
		opened, err := config.Listen(context.Background(), "tcp", one.address)
		if err != nil {
			l.Close()
			return nil, fmt.Errorf("%s: cannot listen on %s: %w", one.setting, one.address, err)
		}
		*one.at = opened
	}
	return l, nil
}

// warnOfPublic logs which listeners can be reached from the Internet and should not be. secure reports
// whether clients use TLS.
func warnOfPublic(log *slog.Logger, l *node.Listeners, secure bool) {
	if !secure {
		warnOfPlainHTTP(log, "ROLLCALL_LISTEN", l.Public)
		if l.Console != nil {
			warnOfPlainHTTP(log, "ROLLCALL_CONSOLE_LISTEN", l.Console)
		}
	}
	if l.Ops != nil {
		warnOfPublicOps(log, l.Ops)
	}
}

// urlOf returns the URL that l serves, or "" if l is nil.
func urlOf(scheme string, l net.Listener) string {
	if l == nil {
		return ""
	}
	return scheme + "://" + l.Addr().String()
}
