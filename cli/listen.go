package cli

import (
	"fmt"
	"log/slog"
	"net"
)

// listeners are what a node accepts connections on. Console and ops are nil if they are not set.
type listeners struct{ public, console, ops net.Listener }

// listen opens all listeners of the settings, or none.
func (s *serveSettings) listen() (*listeners, error) {
	l := &listeners{}
	for _, one := range []struct {
		setting, address string
		at               *net.Listener
	}{
		{"ROLLCALL_LISTEN", s.Listen, &l.public},
		{"ROLLCALL_CONSOLE_LISTEN", s.ConsoleListen, &l.console},
		{"ROLLCALL_OPS_LISTEN", s.OpsListen, &l.ops},
	} {
		if one.address == "" {
			continue
		}
		opened, err := net.Listen("tcp", one.address)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("cannot listen on %s %s: %w", one.setting, one.address, err)
		}
		*one.at = opened
	}
	return l, nil
}

func (l *listeners) close() {
	for _, opened := range []net.Listener{l.public, l.console, l.ops} {
		if opened != nil {
			_ = opened.Close()
		}
	}
}

// consoleURL returns the URL of the console's server.
func (l *listeners) consoleURL() string {
	if l.console != nil {
		return urlOf(l.console)
	}
	return urlOf(l.public)
}

// warn logs which listeners can be reached from the Internet and should not be.
func (l *listeners) warn(log *slog.Logger) {
	warnOfPlainHTTP(log, "ROLLCALL_LISTEN", l.public)
	if l.console != nil {
		warnOfPlainHTTP(log, "ROLLCALL_CONSOLE_LISTEN", l.console)
	}
	if l.ops != nil {
		warnOfPublicOps(log, l.ops)
	}
}

// urlOf returns the URL that l serves; "" if l is nil.
func urlOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return "http://" + l.Addr().String()
}
