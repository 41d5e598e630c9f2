package console

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/internal/operators"
	"rollcall/internal/users"
	"rollcall/internal/webhooks"
	"rollcall/models"
)

// change returns the form of a POST that changes something. It is called on a new site with a
// browser of "admin" and may prepare the site first.
type change func(*site) url.Values

func form(pairs ...string) change {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return func(*site) url.Values { return values }
}

// after returns a change that runs step before it returns the form.
func after(step func(*site) error, pairs ...string) change {
	return func(s *site) url.Values {
		s.check(step(s))
		return form(pairs...)(s)
	}
}

func banAnn(s *site) error {
	_, err := s.users.Ban(context.Background(), s.dev, []string{"ann"}, users.Sentence{Length: time.Hour}, setup)
	return err
}

func registerBob(s *site) error {
	s.register(s.dev, "bob", "Bob")
	return nil
}

// sessionOf logs the operator in once more and names that session.
func sessionOf(operator string) change {
	return func(s *site) url.Values {
		s.as(operator)
		var session models.OperatorSession
		s.check(s.db.Read(context.Background()).Where("operator_id = ?", s.operatorID(operator)).Order("id DESC").Take(&session).Error)
		return form("session", strconv.FormatInt(session.ID, 10))(s)
	}
}

// makeKey makes an API key of the operator and returns its ID.
func (s *site) makeKey(operator string) string {
	s.t.Helper()
	o := s.operatorNamed(operator)
	key, _, err := s.deps.Operators.CreateKey(context.Background(), o, operators.NewKey{Name: "deploy", Lifetime: time.Hour, Grant: o.Grant}, setup)
	s.check(err)
	return strconv.FormatInt(key.ID, 10)
}

// changes has all routes that change something. The test fails for a POST that is neither here nor
// in unaudited.
var changes = map[string]change{
	"POST /console/login":                       form("name", "admin", "password", password),
	"POST /console/invitation/{token}":          form("password", password, "again", password),
	"POST /console/logout":                      form(),
	"POST /console/apps/new":                    form("name", "new", "environment", "PRODUCTION", "edition", "STANDARD"),
	"POST /console/apps/{key}/users.csv":        form(),
	"POST /console/apps/{key}/users/{id}/ban":   form("length", "60"),
	"POST /console/apps/{key}/users/{id}/unban": after(banAnn),
	"POST /console/apps/{key}/users/{id}/disconnect": after(func(s *site) error {
		s.connect(s.dev, "ann", silent{})
		return nil
	}),
	"POST /console/apps/{key}/users/{id}/expire-tokens": form(),
	"POST /console/apps/{key}/users/{id}/sign-out":      form(),
	"POST /console/apps/{key}/users/{id}/whitelist-on":  form(),
	"POST /console/apps/{key}/users/{id}/whitelist-off": after(func(s *site) error {
		_, err := s.relations.SetWhitelistEnabled(context.Background(), s.dev, []string{"ann"}, true, setup)
		return err
	}),
	"POST /console/apps/{key}/users/{id}/deactivate": form(),
	"POST /console/apps/{key}/users/{id}/reactivate": after(func(s *site) error {
		_, err := s.users.Deactivate(context.Background(), s.dev, []string{"ann"}, setup)
		return err
	}),
	"POST /console/apps/{key}/users/{id}/delete":    form(),
	"POST /console/apps/{key}/users/{id}/notes":     form("text", "polite"),
	"POST /console/apps/{key}/users/{id}/data.json": form(),

	"POST /console/apps/{key}/users/{id}/notes/{note}/delete": form(),

	"POST /console/apps/{key}/users.ndjson":  form("id", "ann"),
	"POST /console/audit.csv":                form(),
	"POST /console/audit.ndjson":             form(),
	"POST /console/apps/{key}/bulk/ban":      form("id", "ann", "length", "60"),
	"POST /console/apps/{key}/bulk/sign-out": form("id", "ann"),
	"POST /console/apps/{key}/bulk/disconnect": after(func(s *site) error {
		s.connect(s.dev, "ann", silent{})
		return nil
	}, "id", "ann"),
	"POST /console/apps/{key}/bulk/expire-tokens": form("all", "1"),
	"POST /console/apps/{key}/bulk/deactivate":    form("all", "1", "count", "1"),
	"POST /console/apps/{key}/bulk/unban":         after(banAnn, "id", "ann"),
	"POST /console/apps/{key}/bulk/delete":        form("id", "ann"),
	"POST /console/apps/{key}/clear":              form("count", "1"),
	"POST /console/apps/{key}/settings": form("name", "renamed", "edition", "FLAGSHIP", "friendRequestPolicy", "ANYONE",
		"friendLimit", "7", "blocklistLimit", "8", "whitelistLimit", "9", "statusSubscriptionLimit", "10", "friendRequestDailyLimit", "211", "deviceLimit", "112"),
	"POST /console/apps/{key}/rotate-secret": form("overlap", "0"),
	"POST /console/apps/{key}/disable":       form("name", "demo"),
	"POST /console/apps/{key}/delete": after(func(s *site) error {
		_, _, err := s.apps.Disable(context.Background(), s.dev.Key, setup)
		return err
	}, "name", "demo", "users", "1"),
	"POST /console/apps/{key}/enable": after(func(s *site) error {
		_, _, err := s.apps.Disable(context.Background(), s.dev.Key, setup)
		return err
	}),
	"POST /console/apps/{key}/connections/close": func(s *site) url.Values {
		return form("connection", s.open("192.0.2.1")[0])(s)
	},
	"POST /console/apps/{key}/connections/close-all": form(),
	"POST /console/apps/{key}/permission/allow":      after(registerBob, "from", "bob", "to", "ann"),
	"POST /console/apps/{key}/permission/unblock": after(func(s *site) error {
		s.check(registerBob(s))
		_, err := s.relations.AddToBlocklist(context.Background(), s.dev, "ann", []string{"bob"})
		return err
	}, "from", "bob", "to", "ann"),
	"POST /console/apps/{key}/webhooks/new": form("url", "https://app.example", "events", "all"),

	"POST /console/apps/{key}/webhooks/{endpoint}/edit":          form("url", "https://app.example/other", "events", "some", "type", "user.banned"),
	"POST /console/apps/{key}/webhooks/{endpoint}/rotate-secret": form("overlap", "60"),
	"POST /console/apps/{key}/webhooks/{endpoint}/enable": func(s *site) url.Values {
		s.hook()
		_, err := s.deps.Webhooks.Update(context.Background(), s.dev, s.anyHook.ID, webhooks.EndpointChange{State: models.EndpointDisabled}, setup)
		s.check(err)
		return nil
	},
	"POST /console/apps/{key}/webhooks/{endpoint}/disable":                      form(),
	"POST /console/apps/{key}/webhooks/{endpoint}/delete":                       form(),
	"POST /console/apps/{key}/webhooks/{endpoint}/test":                         form(),
	"POST /console/apps/{key}/webhooks/{endpoint}/replay":                       form("since", "60"),
	"POST /console/apps/{key}/webhooks/{endpoint}/deliveries/{delivery}/replay": form(),

	"POST /console/operators/invitations":                     form("name", "new", "role", "viewer", "scope", "all"),
	"POST /console/operators/invitations/{invitation}/revoke": form(),
	"POST /console/operators/{operator}/role":                 func(s *site) url.Values { return form("role", "admin", "scope", "named", "app", s.dev.Key)(s) },
	"POST /console/operators/{operator}/end-session":          sessionOf("viewer"),
	"POST /console/operators/{operator}/end-sessions":         sessionOf("viewer"),
	"POST /console/operators/{operator}/revoke-key":           func(s *site) url.Values { return form(keyField, s.makeKey("viewer"))(s) },
	"POST /console/operators/{operator}/password":             form(),
	"POST /console/operators/{operator}/delete":               form(),
	"POST /console/operators/{operator}/reset-second-factor": after(func(s *site) error {
		s.enrol("viewer")
		return nil
	}),
	"POST /console/account/totp/confirm": func(s *site) url.Values { return form("code", s.codeOf(s.startTOTP("admin")))(s) },
	"POST /console/account/totp/remove": after(func(s *site) error {
		s.enrol("admin")
		return nil
	}),
	"POST /console/account/passkeys/remove": func(s *site) url.Values { return form("passkey", s.addPasskey("admin"))(s) },
	"POST /console/account/recovery-codes": after(func(s *site) error {
		s.enrol("admin")
		return nil
	}),
	"POST /console/account/password":        form("current", password, "password", "another password", "again", "another password"),
	"POST /console/account/new-password":    form("current", password, "password", "another password", "again", "another password"),
	"POST /console/account/api-keys/new":    form("name", "deploy", "expiry", "30", "role", "owner", "scope", "all"),
	"POST /console/account/api-keys/revoke": func(s *site) url.Values { return form(keyField, s.makeKey("admin"))(s) },
	"POST /console/account/end-session":     sessionOf("admin"),
	"POST /console/account/end-sessions":    sessionOf("admin"),
	"POST /console/explorer":                func(s *site) url.Values { return form("app", s.dev.Key, "user", "ann")(s) },
}

// rowless has the changes that write no row except the audit entry, because they read, grant a
// token or cut a connection.
var rowless = map[string]bool{
	"POST /console/apps/{key}/users.csv":             true,
	"POST /console/apps/{key}/users.ndjson":          true,
	"POST /console/apps/{key}/users/{id}/data.json":  true,
	"POST /console/audit.csv":                        true,
	"POST /console/audit.ndjson":                     true,
	"POST /console/apps/{key}/users/{id}/disconnect": true,
	"POST /console/apps/{key}/bulk/disconnect":       true, // presence writes the status later
	"POST /console/explorer":                         true,
}

// unaudited has the POSTs without an audit entry, and one that has a test of its own.
var unaudited = map[string]bool{
	"POST /console/language":             true, // sets a cookie
	"POST /console/account/totp":         true, // the secret that it makes has no effect until it is confirmed
	"POST /console/login/code":           true, // see TestLoginCode_IsAuditedInItsTransaction
	"POST /console/account/passkeys":     true, // shows a form
	"POST /console/account/passkeys/add": true, // these two need a passkey, see TestLoginByPasskey in package operators
	"POST /console/login/passkey":        true,
}

// TestEveryChangeIsAuditedInItsTransaction tries each change twice. While no audit entry can be
// written, the change fails and leaves all tables unchanged. After that it succeeds and writes an
// entry.
func TestEveryChangeIsAuditedInItsTransaction(t *testing.T) {
	for _, rt := range routes {
		if !strings.HasPrefix(rt.pattern, "POST ") || unaudited[rt.pattern] {
			continue
		}
		t.Run(rt.pattern, func(t *testing.T) {
			prepare := changes[rt.pattern]
			if prepare == nil {
				t.Fatal("is there an audit entry? The list of changes lacks this route")
			}
			s := onSQLite(t)
			b := s.as("admin")
			values := prepare(s)
			_, path := s.path(rt)
			before, told := s.tables(), s.auditCount()

			s.exec("CREATE TRIGGER mute BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'mute'); END")
			got := b.post(path, values)
			if strings.Contains(got.Header.Get("Location"), "/jobs/") {
				b.finish(got).want(t, http.StatusOK, "Failed")
			} else {
				got.want(t, http.StatusInternalServerError, "Something went wrong")
			}
			for table, rows := range s.tables() {
				if rows != before[table] {
					t.Errorf("without an audit entry, %s is\n%s\nand was\n%s", table, rows, before[table])
				}
			}

			s.exec("DROP TRIGGER mute")
			got = b.post(path, values)
			if strings.Contains(got.Header.Get("Location"), "/jobs/") {
				b.finish(got).want(t, http.StatusOK, "Done")
			} else if got.StatusCode >= http.StatusBadRequest {
				t.Errorf("then %d\n%s", got.StatusCode, got.body)
			}
			if !rowless[rt.pattern] && maps.Equal(s.tables(), before) {
				t.Error("it changed nothing")
			}
			if s.auditCount() == told {
				t.Error("no audit entry records it")
			}
		})
	}
	for pattern := range changes {
		if !slices.ContainsFunc(routes, func(rt route) bool { return rt.pattern == pattern }) {
			t.Errorf("%s is no route", pattern)
		}
	}
}

func (s *site) exec(statement string) {
	s.t.Helper()
	s.check(s.db.Exec(context.Background(), statement))
}

func (s *site) auditCount() (n int64) {
	s.t.Helper()
	s.check(s.db.Read(context.Background()).Model(&models.AuditEntry{}).Count(&n).Error)
	return n
}

// tables returns all rows of each table of a SQLite database, except the audit and the jobs, which
// also record failures.
func (s *site) tables() map[string]string {
	s.t.Helper()
	db := s.db.Read(context.Background())
	var names []string
	s.check(db.Raw("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('audit_entries', 'jobs', 'sqlite_sequence')").Scan(&names).Error)
	all := map[string]string{}
	for _, name := range names {
		var rows []map[string]any
		s.check(db.Table(name).Find(&rows).Error)
		lines := make([]string, len(rows))
		for i, row := range rows {
			lines[i] = fmt.Sprint(row) // fmt prints maps sorted by key
		}
		all[name] = strings.Join(lines, "\n")
	}
	return all
}
