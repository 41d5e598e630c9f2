package cli

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/operators"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/models"
)

// lostOutputs are standard outputs that cannot be written: a full disk, a pipe whose reader has
// closed it, and what Go opens in place of a closed one.
func lostOutputs(t *testing.T) map[string]*os.File {
	t.Helper()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	closed, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { full.Close(); w.Close(); closed.Close() })
	return map[string]*os.File{"full": full, "closed pipe": w, "closed": closed}
}

// TestLostOutput_ChangesNothing checks that a secret that could not be printed does not take
// effect.
func TestLostOutput_ChangesNothing(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		ctx := t.Context()
		t.Setenv("ROLLCALL_DATABASE_URL", url)
		db := testenv.Open(t, url)
		keys, err := token.OpenKeys(ctx, db, "", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		rules, operatorRules := apps.New(db, new(bus.Bus), keys, time.Now), operators.New(db, time.Now)
		app, secret, err := rules.Create(ctx, apps.NewApp{Name: "chat", Environment: models.EnvironmentProduction, Edition: models.EditionStandard}, audit.CommandLine)
		if err != nil {
			t.Fatal(err)
		}
		password, err := operatorRules.Create(ctx, "ann", models.Grant{Role: models.RoleOwner, AllApps: true}, "", audit.CommandLine)
		if err != nil {
			t.Fatal(err)
		}
		request := operators.LoginRequest{Name: "ann", Password: password, Address: "192.0.2.1"}
		login, err := operatorRules.Login(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		before := auditCount(t, db)
		for name, out := range lostOutputs(t) {
			for _, command := range []string{
				"app create --name new --environment production --json",
				"app create --name new --environment production",
				"app rotate-secret " + app.Key + " --json",
				"app rotate-secret " + app.Key,
				"operator create new --role viewer",
				"operator set-password ann",
			} {
				var errs bytes.Buffer
				status := Run(ctx, strings.Fields(command), Streams{In: strings.NewReader(""), Out: out, Err: &errs, InPiped: true})
				if status != exitFailure || strings.Count(errs.String(), "\n") != 1 ||
					!strings.Contains(errs.String(), "printing the result: write ") || !strings.Contains(errs.String(), "; nothing was changed") {
					t.Errorf("%s, %s: status %d, %q", command, name, status, errs.String())
				}
			}
		}
		list, err := rules.List(ctx)
		if err != nil || len(list) != 1 || list[0].SecretGeneration != app.SecretGeneration {
			t.Errorf("apps %+v, %v", list, err)
		}
		if _, _, err := rules.IssueToken(ctx, app.Key, secret, time.Hour); err != nil {
			t.Errorf("the old secret: %v", err)
		}
		if _, _, err := operatorRules.ByToken(ctx, login.Token); err != nil {
			t.Errorf("the old session: %v", err)
		}
		if _, err := operatorRules.Login(ctx, request); err != nil {
			t.Errorf("the old password: %v", err)
		}
		if there, err := operatorRules.ByName(ctx, "new"); err != nil || there != nil {
			t.Errorf("an operator was created: %v, %v", there, err)
		}
		if after := auditCount(t, db); after != before+1 { // the login
			t.Errorf("%d entries in the audit, %d before", after, before)
		}
	})
}

func auditCount(t *testing.T, db *database.DB) int64 {
	t.Helper()
	var n int64
	if err := db.Read(t.Context()).Model(&models.AuditEntry{}).Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFirstStart_LostOutput checks that a first start that cannot print creates nothing, and that
// the next one creates and prints everything.
func TestFirstStart_LostOutput(t *testing.T) {
	url := testenv.SQLiteURL(t)
	for name, out := range lostOutputs(t) {
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		var errs bytes.Buffer
		status := Run(ctx, []string{"serve", "--database-url", url, "--listen", "127.0.0.1:0", "--ops-listen=", "--demo=on"},
			Streams{In: strings.NewReader(""), Out: out, Err: &errs})
		if status != exitFailure || ctx.Err() != nil || !strings.Contains(errs.String(), "; nothing was changed") {
			t.Fatalf("%s: status %d, %q", name, status, errs.String())
		}
	}
	n := start(t, url)
	banner := n.banner()
	for _, want := range []string{"Password    ", "App         demo (", "App         demo-production (", "shown only now", "curl "} {
		if !strings.Contains(banner, want) {
			t.Errorf("the next start does not print %q:\n%s", want, banner)
		}
	}
	if status := n.end(); status != 0 {
		t.Errorf("status %d", status)
	}
	// The quick start logs in without choosing another password.
	admin, err := operators.New(testenv.Open(t, url), time.Now).ByName(t.Context(), firstOperator)
	if err != nil || admin == nil || admin.PasswordTemporary || admin.Role != models.RoleOwner {
		t.Errorf("the first operator is %+v, %v", admin, err)
	}

	// If there is nothing to create, the server serves without its output.
	again := startWith(t, Streams{Out: lostOutputs(t)["full"]}, url)
	if code, _ := get(t, again.base+"/readyz"); code != 200 {
		t.Errorf("/readyz: %d", code)
	}
	if status := again.end(); status != 0 {
		t.Errorf("status %d: %s", status, again.err.String())
	}
}
