package cli

import (
	"fmt"
	"log/slog"
	"net"

	"rollcall/node"
)

// listen opens all listeners of the settings, or none.
func (s *serveSettings) listen() (*node.Listeners, error) {
	l := &node.Listeners{}
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
		opened, err := net.Listen("tcp", one.address)
		if err != nil {
			l.Close()
			return nil, fmt.Errorf("cannot listen on %s %s: %w", one.setting, one.address, err)
		}
		*one.at = opened
	}
	return l, nil
}

// consoleURL returns the URL of the console's server.
func consoleURL(l *node.Listeners) string {
	if l.Console != nil {
		return urlOf(l.Console)
	}
	return urlOf(l.Public)
}

// warnOfPublic logs which listeners can be reached from the Internet and should not be.
func warnOfPublic(log *slog.Logger, l *node.Listeners) {
	warnOfPlainHTTP(log, "ROLLCALL_LISTEN", l.Public)
	if l.Console != nil {
		warnOfPlainHTTP(log, "ROLLCALL_CONSOLE_LISTEN", l.Console)
	}
	if l.Ops != nil {
		warnOfPublicOps(log, l.Ops)
	}
}

// urlOf returns the URL that l serves, or "" if l is nil.
func urlOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return "http://" + l.Addr().String()
}
