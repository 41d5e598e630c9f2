package cli

import (
	"strings"
	"testing"
	"time"

	"rollcall/internal/operators"
	"rollcall/models"
)

// withSSO returns settings that are valid, changed by change.
func withSSO(change func(*serveSettings)) *serveSettings {
	s := &serveSettings{
		Listen: ":0", PingInterval: time.Minute, HeartbeatTimeout: time.Minute, SubscriptionLinger: time.Minute, MaxResponseSize: minMaxResponse,
		ConsoleURL: "https://console.example", LocalLogin: "on",
		SSO: ssoSettings{
			Issuer: "https://sso.example/realms/ops", ClientID: "console", ClientSecret: "hunter2", GroupsClaim: "groups",
			Roles: []string{"owner=cn=platform,ou=ops", " moderator@k1+k2=support ", "viewer=*"}, AllowedDomains: []string{" ACME.example "},
		},
	}
	change(s)
	return s
}

func TestSSOSettings_AreChecked(t *testing.T) {
	for want, change := range map[string]func(*serveSettings){
		"ROLLCALL_SSO_ISSUER is not":                      func(s *serveSettings) { s.SSO.Issuer = "http://sso.example" },
		"ROLLCALL_SSO_ISSUER is not a URL":                func(s *serveSettings) { s.SSO.Issuer = "sso.example" },
		"ROLLCALL_SSO_CLIENT_ID is missing":               func(s *serveSettings) { s.SSO.ClientID = "" },
		"ROLLCALL_CONSOLE_URL is missing":                 func(s *serveSettings) { s.ConsoleURL = "" },
		"ROLLCALL_SSO_ROLES is missing":                   func(s *serveSettings) { s.SSO.Roles = nil },
		"ROLLCALL_SSO_GROUPS_CLAIM must":                  func(s *serveSettings) { s.SSO.GroupsClaim = "" },
		`ROLLCALL_SSO_ROLES: "platform" is not ROLE`:      func(s *serveSettings) { s.SSO.Roles = []string{"platform"} },
		`ROLLCALL_SSO_ROLES: "viewer@=x" is not ROLE`:     func(s *serveSettings) { s.SSO.Roles = []string{"viewer@=x"} },
		`ROLLCALL_SSO_ROLES: "god=x": the role must be`:   func(s *serveSettings) { s.SSO.Roles = []string{"god=x"} },
		`ROLLCALL_SSO_ROLES: "owner@k=x": an owner is`:    func(s *serveSettings) { s.SSO.Roles = []string{"owner@k=x"} },
		"ROLLCALL_SSO_ROLES: the role viewer can be for":  func(s *serveSettings) { s.SSO.Roles = []string{"viewer@" + strings.Repeat("k+", 40) + "k=x"} },
		`ROLLCALL_SSO_ALLOWED_DOMAINS: "@acme" is not`:    func(s *serveSettings) { s.SSO.AllowedDomains = []string{"@acme"} },
		"ROLLCALL_SSO_CLIENT_ID has no effect without":    func(s *serveSettings) { s.SSO.Issuer = "" },
		"ROLLCALL_CONSOLE_LOCAL_LOGIN can only be off":    func(s *serveSettings) { s.SSO, s.LocalLogin = ssoSettings{}, "off" },
		"ROLLCALL_SSO_ALLOWED_DOMAINS has no effect with": func(s *serveSettings) { s.SSO = ssoSettings{AllowedDomains: s.SSO.AllowedDomains} },
	} {
		err := withSSO(change).check()
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		refused(t, err)
	}
	s := withSSO(func(s *serveSettings) { s.SSO.Issuer = "http://127.0.0.1:9998/" })
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	got := s.sso(nil)
	if len(got.Roles) != 3 || got.Roles[0].Group != "cn=platform,ou=ops" || got.Roles[1].Role != models.RoleModerator ||
		len(got.Roles[1].Apps) != 2 || got.Roles[2].Group != operators.AnyGroup || got.Domains[0] != "acme.example" {
		t.Errorf("%+v", got)
	}
	if s := withSSO(func(s *serveSettings) { s.SSO = ssoSettings{} }); s.check() != nil || s.sso(nil) != nil {
		t.Error("SSO is on without an issuer")
	}
}
