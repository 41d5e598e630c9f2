package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"rollcall/console"
	"rollcall/internal/operators"
	"rollcall/internal/sso"
	"rollcall/models"
)

// ssoSettings are the settings of the login at an OpenID Provider.
type ssoSettings struct {
	Issuer         string   `env:"ISSUER" help:"The URL of the OpenID Provider at which operators log in, as https://sso.example/realms/ops; its metadata is at /.well-known/openid-configuration below it (${env})."`
	ClientID       string   `env:"CLIENT_ID" name:"client-id" help:"The console's client ID at the provider (${env})."`
	ClientSecret   string   `env:"CLIENT_SECRET" secret:"" help:"The console's client secret at the provider; none for a public client (${env})."`
	Name           string   `env:"NAME" help:"What the login page calls the provider (${env})."`
	Scopes         []string `env:"SCOPES" default:"profile,email" help:"The scopes to request besides openid (${env})."`
	GroupsClaim    string   `env:"GROUPS_CLAIM" default:"groups" help:"The claim with the groups, or its path, as realm_access.roles (${env})."`
	Roles          []string `env:"ROLES" sep:";" help:"What groups may do, as 'owner=platform;moderator@KEY1+KEY2=support;viewer=*': a role, the keys of its apps or none for all, and a group or * for all people; separated by semicolons (${env})."`
	AllowedDomains []string `env:"ALLOWED_DOMAINS" help:"The domains of which an operator's verified e-mail address must be one; all unless given (${env})."`
}

// maxIssuer is the maximum length of an issuer, in bytes.
const maxIssuer = 512

// checkSSO returns an error that names the setting if a value cannot work.
func (s *serveSettings) checkSSO() error {
	o := &s.SSO
	if o.Issuer == "" {
		unused := ""
		switch {
		case s.LocalLogin == "off":
			return usageError{errors.New("ROLLCALL_CONSOLE_LOCAL_LOGIN can only be off with ROLLCALL_SSO_ISSUER: operators could not log in")}
		case o.ClientID != "":
			unused = "ROLLCALL_SSO_CLIENT_ID"
		case o.ClientSecret != "":
			unused = "ROLLCALL_SSO_CLIENT_SECRET"
		case len(o.Roles) > 0:
			unused = "ROLLCALL_SSO_ROLES"
		case len(o.AllowedDomains) > 0:
			unused = "ROLLCALL_SSO_ALLOWED_DOMAINS"
		}
		if unused != "" {
			return usageError{fmt.Errorf("%s has no effect without ROLLCALL_SSO_ISSUER", unused)}
		}
		return nil
	}
	if !isIssuer(o.Issuer) {
		return usageError{errors.New("ROLLCALL_SSO_ISSUER is not a URL such as https://sso.example/realms/ops; it may be http only at this machine")}
	}
	switch {
	case o.ClientID == "":
		return usageError{errors.New("ROLLCALL_SSO_CLIENT_ID is missing: register the console at the provider")}
	case s.ConsoleURL == "":
		return usageError{errors.New("ROLLCALL_CONSOLE_URL is missing: the provider sends browsers back to it")}
	case len(o.Roles) == 0:
		return usageError{errors.New("ROLLCALL_SSO_ROLES is missing: no operator would have a role")}
	case o.GroupsClaim == "":
		return usageError{errors.New("ROLLCALL_SSO_GROUPS_CLAIM must not be empty")}
	}
	if _, err := o.roles(); err != nil {
		return usageError{fmt.Errorf("ROLLCALL_SSO_ROLES: %w", err)}
	}
	for i, scope := range o.Scopes {
		o.Scopes[i] = strings.TrimSpace(scope)
	}
	for i, domain := range o.AllowedDomains {
		domain = strings.ToLower(strings.TrimSpace(domain))
		o.AllowedDomains[i] = domain
		if domain == "" || strings.ContainsAny(domain, "@*/: ") {
			return usageError{fmt.Errorf("ROLLCALL_SSO_ALLOWED_DOMAINS: %q is not a domain such as acme.example", domain)}
		}
	}
	return nil
}

// isIssuer reports whether text is a URL without query and fragment. It must be https, because the
// keys that sign ID tokens are read from it, except on this machine.
func isIssuer(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(text, "?#") || len(text) > maxIssuer {
		return false
	}
	address, err := netip.ParseAddr(u.Hostname())
	local := u.Hostname() == "localhost" || err == nil && address.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && local
}

// roles reads the setting of the roles.
func (o *ssoSettings) roles() ([]operators.GroupRole, error) {
	var list []operators.GroupRole
	apps := map[models.Role][]string{}
	for _, text := range o.Roles {
		text = strings.TrimSpace(text)
		what, group, ok := strings.Cut(text, "=")
		role, keys, named := strings.Cut(what, "@")
		r := operators.GroupRole{Role: models.Role(role), Group: strings.TrimSpace(group)}
		if named {
			r.Apps = strings.Split(keys, "+")
		}
		switch {
		case !ok || r.Group == "" || slices.Contains(r.Apps, ""):
			return nil, fmt.Errorf("%q is not ROLE=GROUP or ROLE@APPKEY+APPKEY=GROUP", text)
		case !slices.Contains(models.Roles(), r.Role):
			return nil, fmt.Errorf("%q: the role must be viewer, moderator, admin or owner", text)
		case named && r.Role == models.RoleOwner:
			return nil, fmt.Errorf("%q: an owner is always for all apps", text)
		}
		apps[r.Role] = append(apps[r.Role], r.Apps...)
		if len(apps[r.Role]) > operators.MaxNamedApps {
			return nil, fmt.Errorf("the role %s can be for at most %d named apps", r.Role, operators.MaxNamedApps)
		}
		list = append(list, r)
	}
	return list, nil
}

// sso returns how operators log in at an OpenID Provider, or nil if they do not. The settings have been
// checked.
func (s *serveSettings) sso(log *slog.Logger) *operators.SSO {
	o := &s.SSO
	if o.Issuer == "" {
		return nil
	}
	roles, _ := o.roles()
	return &operators.SSO{
		Provider: sso.New(sso.Config{
			Issuer: o.Issuer, ClientID: o.ClientID, ClientSecret: o.ClientSecret, RedirectURL: s.ConsoleURL + console.SSOCallback,
			Scopes: o.Scopes, GroupsClaim: o.GroupsClaim, Clock: clock,
		}),
		Name: o.Name, Roles: roles, Domains: o.AllowedDomains, LocalLogin: s.LocalLogin == "on", Logger: log,
	}
}
