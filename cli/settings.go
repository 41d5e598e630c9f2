package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/clienttls"
	"rollcall/internal/redis"
)

// defaultDatabaseURL is the default of ROLLCALL_DATABASE_URL: the embedded database.
const defaultDatabaseURL = "sqlite:rollcall.db"

// settings are the settings of all commands. Each is a flag, in the environment, or in the configuration
// file under the flag's name; the first of these takes precedence.
type settings struct {
	ConfigFile    string   `env:"ROLLCALL_CONFIG" name:"config" placeholder:"FILE" help:"YAML file with settings, by the names of their flags; flags and the environment take precedence (${env})."`
	DatabaseURL   string   `env:"ROLLCALL_DATABASE_URL" secret:"url" default:"${defaultDatabaseURL}" help:"sqlite:PATH, mysql://user:password@host:3306/name?tls=true, with commas between several hosts, or mysql://user@unix(/path/to.sock)/name (${env})."`
	DatabaseKey   string   `env:"ROLLCALL_DATABASE_KEY" secret:"" help:"Keys of at least 32 characters, separated by commas: the first encrypts the secrets in the database, all decrypt them; without it, they are not encrypted (${env})."`
	DatabaseConns int      `env:"ROLLCALL_DATABASE_MAX_CONNECTIONS" name:"database-max-connections" default:"40" help:"How many connections to a MySQL server this node may have (${env})."`
	DatabaseTLS   tlsFiles `embed:"" prefix:"database-tls-" envprefix:"ROLLCALL_DATABASE_TLS_"`
	LogLevel      string   `env:"ROLLCALL_LOG_LEVEL" default:"info" enum:"debug,info,warn,error" help:"debug, info, warn or error (${env})."`
	LogFormat     string   `env:"ROLLCALL_LOG_FORMAT" default:"auto" enum:"auto,text,json" help:"text or json; auto: text on a terminal, json elsewhere (${env})."`
}

// tlsFiles are the files for the connections to a server.
type tlsFiles struct {
	CA   string `env:"CA" help:"PEM file with the CAs that may have signed the server's certificate, for a URL with TLS; the system's unless given (${env})."`
	Cert string `env:"CERT" help:"PEM file with the client certificate, for a URL with TLS (${env})."`
	Key  string `env:"KEY" help:"PEM file with the private key of the client certificate (${env})."`
}

// serverTLS are the files for the TLS of clients.
type serverTLS struct {
	Cert string `env:"CERT" help:"PEM file with the certificate, and those between it and its CA, with which the API and the console are served; plain HTTP unless given; read again when it changes (${env})."`
	Key  string `env:"KEY" help:"PEM file with the private key of the certificate (${env})."`
}

// files returns the files, and whether TLS is served.
func (t serverTLS) files() (files clienttls.Files, serves bool) {
	return clienttls.Files{Cert: t.Cert, Key: t.Key, Setting: "ROLLCALL_TLS_"}, t.Cert != "" || t.Key != ""
}

// of returns the files. setting is the prefix of their settings' names.
func (f tlsFiles) of(setting string) clienttls.Files {
	return clienttls.Files{CA: f.CA, Cert: f.Cert, Key: f.Key, Setting: setting}
}

// logger returns the program's log, which writes to standard error.
func (s *settings) logger(streams *Streams) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(s.LogLevel)) // kong has checked the value
	return newLogger(streams.Err, level, s.LogFormat == "text" || s.LogFormat == "auto" && streams.ErrTerminal)
}

func newLogger(w io.Writer, level slog.Level, text bool) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: withUnit}
	if text {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// withUnit writes a duration as 1.234ms in both formats. The JSON handler would write a number of
// nanoseconds.
func withUnit(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().Round(time.Microsecond).String())
	}
	return a
}

// serveSettings are the settings of a server.
type serveSettings struct {
	tokenKeySetting
	webhookSetting
	Listen             string        `env:"ROLLCALL_LISTEN" default:"127.0.0.1:8080" help:"HOST:PORT to serve on; port 0 takes a free one (${env})."`
	TLS                serverTLS     `embed:"" prefix:"tls-" envprefix:"ROLLCALL_TLS_"`
	ConsoleListen      string        `env:"ROLLCALL_CONSOLE_LISTEN" help:"HOST:PORT for the console, with the API for its explorer; ROLLCALL_LISTEN then does not serve it (${env})."`
	ConsoleURL         string        `env:"ROLLCALL_CONSOLE_URL" name:"console-url" help:"The console's address in browsers, as https://console.example, for passkeys, invitations and SSO; without SSO, that of each request unless given (${env})."`
	SecondFactor       string        `env:"ROLLCALL_CONSOLE_SECOND_FACTOR" name:"console-second-factor" default:"off" enum:"off,owners,admins,moderators,all" help:"The lowest role whose operators must have a second factor, with all roles above it: off, owners, admins, moderators or all (${env})."`
	LocalLogin         string        `env:"ROLLCALL_CONSOLE_LOCAL_LOGIN" name:"console-local-login" default:"on" enum:"on,off" help:"Whether operators may log in with passwords and passkeys: on, or off with SSO (${env})."`
	SSO                ssoSettings   `embed:"" prefix:"sso-" envprefix:"ROLLCALL_SSO_"`
	OpsListen          string        `env:"ROLLCALL_OPS_LISTEN" default:"127.0.0.1:8081" help:"HOST:PORT for /metrics and /debug/pprof; empty: off (${env})."`
	OpsHosts           []string      `env:"ROLLCALL_OPS_HOSTS" help:"Host names under which /metrics and /debug/pprof are served, besides IP addresses and localhost (${env})."`
	RedisURL           string        `env:"ROLLCALL_REDIS_URL" secret:"url" help:"redis://user:password@host:6379/0, or rediss://…, for several nodes on one database; several hosts, separated by commas, are a primary and its replicas, members of a Redis Cluster, or Sentinels with ?master_name=NAME; without it there is one node (${env})."`
	RedisTLS           tlsFiles      `embed:"" prefix:"redis-tls-" envprefix:"ROLLCALL_REDIS_TLS_"`
	ReplicaURL         string        `env:"ROLLCALL_DATABASE_REPLICA_URL" name:"database-replica-url" secret:"url" help:"A replica of the MySQL server, for reads of the console that may be late, as mysql://user:password@host:3306/name?tls=true (${env})."`
	ReplicaMaxLag      time.Duration `env:"ROLLCALL_DATABASE_REPLICA_MAX_LAG" name:"database-replica-max-lag" default:"10s" help:"How late the replica may be; later, it is not used (${env})."`
	ReplicaTLS         tlsFiles      `embed:"" prefix:"database-replica-tls-" envprefix:"ROLLCALL_DATABASE_REPLICA_TLS_"`
	MetricsApps        int           `env:"ROLLCALL_METRICS_APPS" name:"metrics-apps" default:"10" help:"How many apps have metrics of their own, the busiest ones; 0: none (${env})."`
	AdminPassword      string        `env:"ROLLCALL_ADMIN_PASSWORD" secret:"" help:"The first operator's password, first start only; generated unless given (${env})."`
	Demo               string        `env:"ROLLCALL_DEMO" default:"auto" enum:"auto,on,off" help:"Whether the first start creates two apps for a trial, and prints their secrets: on, off, or auto: on the embedded default database (${env})."`
	PingInterval       time.Duration `env:"ROLLCALL_PING_INTERVAL" default:"25s" help:"How often WebSockets are pinged and event streams get a comment; below the idle time-out of every proxy (${env})."`
	HeartbeatTimeout   time.Duration `env:"ROLLCALL_HEARTBEAT_TIMEOUT" default:"400s" help:"How long a device may be silent (${env})."`
	SubscriptionLinger time.Duration `env:"ROLLCALL_STATUS_SUBSCRIPTION_LINGER" name:"status-subscription-linger" default:"400s" help:"How long status subscriptions outlive the user's last device (${env})."`
	AuditRetention     time.Duration `env:"ROLLCALL_AUDIT_RETENTION" default:"8760h" help:"How long entries of the audit are kept; 0: for ever (${env})."`
	AllowedOrigins     []string      `env:"ROLLCALL_ALLOWED_ORIGINS" help:"Origins of other sites that may use the API from browsers, as https://chat.example; * for all (${env})."`
	TrustedProxies     []string      `env:"ROLLCALL_TRUSTED_PROXIES" help:"Addresses or networks whose X-Forwarded-For and X-Forwarded-Proto count (${env})."`
	Introspection      string        `env:"ROLLCALL_INTROSPECTION" default:"on" enum:"on,off" help:"Whether clients may ask for the schema: on or off (${env})."`
	PersistedQueries   string        `env:"ROLLCALL_PERSISTED_QUERIES" default:"on" enum:"on,off" help:"Whether clients may send the hash of a document that they have sent before: on or off (${env})."`
	Traces             traceSettings `embed:"" prefix:"traces-" envprefix:"ROLLCALL_TRACES_"`
	TrustedDocuments   string        `env:"ROLLCALL_TRUSTED_DOCUMENTS" type:"path" help:"A file APPKEY.json, or a folder with such files, with the only documents that users of these apps may send (${env})."`
	MaxResponseSize    int           `env:"ROLLCALL_MAX_RESPONSE_SIZE" default:"8388608" help:"How large the response to an operation may be, in bytes (${env})."`
	RateLimits         string        `env:"ROLLCALL_RATE_LIMITS" default:"on" enum:"on,off" help:"Whether the rates of users are limited: on, or off for load tests (${env})."`
	ConnectionsPerAddr int           `env:"ROLLCALL_CONNECTIONS_PER_ADDRESS" name:"connections-per-address" default:"10000" help:"How many WebSockets and event streams a client address, or an IPv6 /64 network, may have open on this node; 0: no limit (${env})."`
	ConnectsPerAddr    int           `env:"ROLLCALL_CONNECTS_PER_ADDRESS" name:"connects-per-address" default:"0" help:"How many WebSockets and event streams a client address, or an IPv6 /64 network, may open on this node in a second; 0: no limit (${env})."`
	ConnectsPerApp     int           `env:"ROLLCALL_CONNECTS_PER_APP" default:"0" help:"How many devices of an app's users may connect to this node in a second; others wait for their turn; 0: no limit (${env})."`
	RegistrationRate   int           `env:"ROLLCALL_REGISTRATIONS_PER_APP" name:"registrations-per-app" default:"0" help:"How many users an app may register on this node in a second; 0: no limit (${env})."`
	MaxRequests        int           `env:"ROLLCALL_MAX_REQUESTS" default:"4000" help:"How many requests to the API with a token this node executes at the same time; others are UNAVAILABLE; 0: no limit (${env})."`
	MaxRequestsPerApp  int           `env:"ROLLCALL_MAX_REQUESTS_PER_APP" default:"1000" help:"How many of them may be of an app's users, and of its App Server; 0: no limit (${env})."`
	DrainDelay         time.Duration `env:"ROLLCALL_DRAIN_DELAY" default:"0s" help:"How long the node still accepts connections after SIGTERM, while it is not ready (${env})."`
	DrainTimeout       time.Duration `env:"ROLLCALL_DRAIN_TIMEOUT" default:"20s" help:"How long running requests may take after SIGTERM (${env})."`
}

// The bounds of the settings.
const (
	minPingInterval     = time.Second
	maxPingInterval     = time.Hour
	minHeartbeatTimeout = time.Second
	maxHeartbeatTimeout = 24 * time.Hour
	minLinger           = time.Second
	maxLinger           = 30 * 24 * time.Hour
	minMaxResponse      = 1 << 20 // more than the schema or any page needs
	maxMaxResponse      = 1 << 30
	maxMetricsApps      = 1000
)

// check returns an error that names the setting if a value cannot work.
func (s *serveSettings) check() error {
	if err := checkAddress("ROLLCALL_LISTEN", s.Listen); err != nil {
		return err
	}
	if s.ConsoleListen != "" {
		if err := checkAddress("ROLLCALL_CONSOLE_LISTEN", s.ConsoleListen); err != nil {
			return err
		}
	}
	if s.OpsListen != "" {
		if err := checkAddress("ROLLCALL_OPS_LISTEN", s.OpsListen); err != nil {
			return err
		}
	}
	if s.RedisURL != "" {
		if err := redis.CheckURL(s.RedisURL); err != nil {
			return usageError{fmt.Errorf("ROLLCALL_REDIS_URL %w", err)}
		}
		if err := redis.CheckFiles(s.RedisURL, s.redisTLS()); err != nil {
			return usageError{err}
		}
	} else if err := s.redisTLS().CheckUnused("there is no ROLLCALL_REDIS_URL"); err != nil {
		return usageError{err}
	}
	if err := s.tokenKeySetting.check(); err != nil {
		return err
	}
	switch {
	case s.PingInterval < minPingInterval || s.PingInterval > maxPingInterval:
		return usageError{fmt.Errorf("ROLLCALL_PING_INTERVAL must be from %s to %s", minPingInterval, maxPingInterval)}
	case s.HeartbeatTimeout < minHeartbeatTimeout || s.HeartbeatTimeout > maxHeartbeatTimeout:
		return usageError{fmt.Errorf("ROLLCALL_HEARTBEAT_TIMEOUT must be from %s to %s", minHeartbeatTimeout, maxHeartbeatTimeout)}
	case s.SubscriptionLinger < minLinger || s.SubscriptionLinger > maxLinger:
		return usageError{fmt.Errorf("ROLLCALL_STATUS_SUBSCRIPTION_LINGER must be from %s to %s", minLinger, maxLinger)}
	case s.AuditRetention != 0 && s.AuditRetention < audit.MinRetention:
		return usageError{fmt.Errorf("ROLLCALL_AUDIT_RETENTION must be 0, which keeps the audit for ever, or at least %s", audit.MinRetention)}
	case s.MaxResponseSize < minMaxResponse || s.MaxResponseSize > maxMaxResponse:
		return usageError{fmt.Errorf("ROLLCALL_MAX_RESPONSE_SIZE must be from %d to %d", minMaxResponse, maxMaxResponse)}
	case s.DrainDelay < 0:
		return usageError{errors.New("ROLLCALL_DRAIN_DELAY must not be negative")}
	case s.MetricsApps < 0 || s.MetricsApps > maxMetricsApps:
		return usageError{fmt.Errorf("ROLLCALL_METRICS_APPS must be from 0 to %d", maxMetricsApps)}
	case s.DrainTimeout < 0:
		return usageError{errors.New("ROLLCALL_DRAIN_TIMEOUT must not be negative")}
	}
	for name, limit := range map[string]int{
		"ROLLCALL_CONNECTIONS_PER_ADDRESS": s.ConnectionsPerAddr, "ROLLCALL_CONNECTS_PER_ADDRESS": s.ConnectsPerAddr,
		"ROLLCALL_CONNECTS_PER_APP": s.ConnectsPerApp, "ROLLCALL_REGISTRATIONS_PER_APP": s.RegistrationRate,
		"ROLLCALL_MAX_REQUESTS": s.MaxRequests, "ROLLCALL_MAX_REQUESTS_PER_APP": s.MaxRequestsPerApp,
	} {
		if limit < 0 {
			return usageError{fmt.Errorf("%s must not be negative", name)}
		}
	}
	for _, name := range s.OpsHosts {
		if strings.TrimSuffix(strings.TrimSpace(name), ".") == "" || strings.ContainsAny(name, "/:*") {
			return usageError{fmt.Errorf("ROLLCALL_OPS_HOSTS: %q is not a host name without a port", name)}
		}
	}
	if s.ConsoleURL = strings.TrimSuffix(s.ConsoleURL, "/"); s.ConsoleURL != "" && !isOrigin(s.ConsoleURL) {
		return usageError{fmt.Errorf("ROLLCALL_CONSOLE_URL: %q is not an address without a path such as https://console.example", s.ConsoleURL)}
	}
	if err := s.checkSSO(); err != nil {
		return err
	}
	if err := s.Traces.check(); err != nil {
		return err
	}
	for i, origin := range s.AllowedOrigins {
		origin = strings.TrimSuffix(strings.TrimSpace(origin), "/")
		s.AllowedOrigins[i] = origin
		if origin != "*" && !isOrigin(origin) {
			return usageError{fmt.Errorf("ROLLCALL_ALLOWED_ORIGINS: %q is not an origin such as https://chat.example", origin)}
		}
	}
	return nil
}

// isOrigin reports whether text is a scheme and a host, as browsers write an origin.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	// A * in a host would look like a pattern, and patterns do not exist.
	return err == nil && u.Scheme != "" && u.Host != "" && text == u.Scheme+"://"+u.Host && !strings.Contains(text, "*")
}

// demo reports whether the first start on the database creates apps for a trial.
func (s *serveSettings) demo(databaseURL string) bool {
	return s.Demo == "on" || s.Demo == "auto" && databaseURL == defaultDatabaseURL
}

// redisTLS returns the files for the connections to Redis.
func (s *serveSettings) redisTLS() clienttls.Files { return s.RedisTLS.of("ROLLCALL_REDIS_TLS_") }

func checkAddress(name, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil && port != "" {
		_, err = net.LookupPort("tcp", port) // a number or the name of a service
	}
	if err != nil || port == "" {
		return usageError{fmt.Errorf("%s: %q is not HOST:PORT", name, address)}
	}
	return nil
}

// networks parses addresses and networks.
func networks(name string, list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range list {
		text = strings.TrimSpace(text)
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			address, addrErr := netip.ParseAddr(text)
			if addrErr != nil {
				return nil, usageError{fmt.Errorf("%s: %q is not an address or network", name, text)}
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}
