package cli

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// FuzzSettings checks that every value is either accepted or refused with the setting's name, and
// that secrets are not repeated.
func FuzzSettings(f *testing.F) {
	f.Add("127.0.0.1:8080", "redis://ann:hunter2@host:6379/0", "hunter2hunter2hunter2hunter2hunter2", "https://chat.example", "10.0.0.0/8", int64(400*time.Second))
	f.Add(":0", "", "hunter2", "*", "::1", int64(0))
	f.Add("nowhere", "redis://hunter2@", "", "chat.example/path", "10.0.0.0/33", int64(-1))
	f.Add("[::1]:http", "http://hunter2@host", "", "https://a@b/", "fe80::1%eth0", int64(1<<62))
	f.Fuzz(func(t *testing.T, listen, redisURL, tokenKey, origin, proxy string, duration int64) {
		s := serveSettings{
			Listen: listen, OpsListen: listen, RedisURL: redisURL, tokenKeySetting: tokenKeySetting{tokenKey}, AllowedOrigins: []string{origin},
			PingInterval: time.Duration(duration), HeartbeatTimeout: time.Duration(duration), SubscriptionLinger: time.Duration(duration), DrainDelay: time.Duration(duration), DrainTimeout: time.Duration(duration),
		}
		refused(t, s.check())
		prefixes, err := networks("ROLLCALL_TRUSTED_PROXIES", []string{proxy})
		refused(t, err)
		if err == nil && (len(prefixes) != 1 || !prefixes[0].IsValid()) {
			t.Errorf("%q is the network %v", proxy, prefixes)
		}
	})
}

// refused checks the error of a setting, unless it is nil.
func refused(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if _, usage := errors.AsType[usageError](err); !usage || !strings.HasPrefix(err.Error(), "ROLLCALL_") {
		t.Errorf("the error %q names no setting", err)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error %q contains a secret", err)
	}
}

// TestSettings_ListsMayHaveSpaces checks that spaces in lists, and a slash at the end of an origin,
// have no effect.
func TestSettings_ListsMayHaveSpaces(t *testing.T) {
	s := serveSettings{
		Listen: ":0", AllowedOrigins: []string{"https://a.example", " https://b.example/ "},
		PingInterval: time.Minute, HeartbeatTimeout: time.Minute, SubscriptionLinger: time.Minute, MaxResponseSize: minMaxResponse,
	}
	if err := s.check(); err != nil || s.AllowedOrigins[1] != "https://b.example" {
		t.Errorf("%q, %v", s.AllowedOrigins, err)
	}
	if list, err := networks("ROLLCALL_TRUSTED_PROXIES", []string{"10.0.0.1", " 10.1.0.0/16"}); err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
}
