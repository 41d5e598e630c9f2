package redis

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"rollcall/internal/hostlist"
)

// What can be wrong with URLs. None repeats a part of the URL, which may contain a password.
var (
	errForm             = errors.New("must have the form redis://user:password@host:6379/0 or rediss://…, with commas between several hosts")
	errSkipVerify       = errors.New("has skip_verify, which accepts any server; remove it and name the CA of the server's certificate")
	errParameter        = errors.New("has an unknown parameter; allowed are " + strings.Join(parameters, ", ") + "; for TLS write rediss:// instead of redis://")
	errNoMasterName     = errors.New("has a sentinel_username or sentinel_password without master_name, the name of the primary at the Sentinels")
	errMasterName       = errors.New("has an empty master_name, the name of the primary at the Sentinels")
	errSentinelPassword = errors.New("has a sentinel_username without sentinel_password")
)

// parameters are the URL parameters that have an effect. Others, such as tls=true, would be
// ignored.
var parameters = []string{"client_name", "db", "master_name", "max_retries", "protocol", "sentinel_password", "sentinel_username"}

// target is what a URL names.
type target struct {
	// option has the credentials, the database and further options, without how to connect.
	// option.TLSConfig is set if all connections use TLS.
	option rueidis.ClientOption
	// hosts are addresses as HOST:PORT: of servers, of which one is the primary; or of Sentinels, if
	// they know the primary under the name master.
	hosts  []string
	master string
	// sentinelUser and sentinelPassword are the credentials at the Sentinels.
	sentinelUser, sentinelPassword string
	// name is the URL without passwords.
	name string
}

// The ports of addresses that have none.
const (
	serverPort   = "6379"
	sentinelPort = "26379"
)

// parse parses a URL.
func parse(text string) (t target, err error) {
	single, hosts := hostlist.Split(text)
	u, err := url.Parse(single)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Fragment != "" {
		return t, errForm
	}
	query := u.Query()
	for name := range query {
		if name == "skip_verify" {
			return t, errSkipVerify
		}
		if !slices.Contains(parameters, name) {
			return t, errParameter
		}
	}
	t.master, t.sentinelUser, t.sentinelPassword = query.Get("master_name"), query.Get("sentinel_username"), query.Get("sentinel_password")
	switch {
	case query.Has("master_name") && t.master == "":
		return t, errMasterName
	case t.master == "" && (query.Has("sentinel_username") || query.Has("sentinel_password")):
		return t, errNoMasterName
	case t.sentinelUser != "" && t.sentinelPassword == "":
		return t, errSentinelPassword
	}
	port := serverPort
	if t.master != "" {
		port = sentinelPort
	}
	for _, host := range hosts {
		address, ok := hostlist.Join(host, port)
		if !ok {
			return t, errForm
		}
		t.hosts = append(t.hosts, address)
	}
	if t.option, err = rueidis.ParseURL(single); err != nil || t.option.SelectDB < 0 {
		return t, errForm
	}
	shown := url.URL{Scheme: u.Scheme, Host: strings.Join(hosts, ","), Path: u.Path}
	if u.User != nil && u.User.Username() != "" {
		shown.User = url.User(u.User.Username())
	}
	if t.master != "" {
		shown.RawQuery = url.Values{"master_name": {t.master}}.Encode()
	}
	t.name = shown.String()
	return t, nil
}
