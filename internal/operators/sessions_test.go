package operators

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/retention"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// mustLogin logs in an operator that mustCreate made.
func mustLogin(t *testing.T, o *Service, name string) (string, *models.Operator) {
	t.Helper()
	login, err := o.Login(context.Background(), LoginRequest{
		Name: name, Password: "tidy harbour", Address: "192.0.2.1", UserAgent: "browser",
	})
	if err != nil {
		t.Fatal(err)
	}
	return login.Token, login.Operator
}

func TestLogin(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, clock := newOperators(db)
		mustCreate(t, o, "ada", models.RoleViewer)

		login, err := o.Login(ctx, LoginRequest{
			Name: "ada", Password: "tidy harbour", Address: "2001:db8::1", UserAgent: strings.Repeat("ü", 400) + "\xff",
		})
		if err != nil || login.Operator.Name != "ada" || login.Operator.Role != models.RoleViewer {
			t.Fatalf("Login = %+v, %v", login, err)
		}
		token, operator := login.Token, login.Operator
		if raw, err := base64.RawURLEncoding.DecodeString(token); err != nil || len(raw) != 32 {
			t.Errorf("token %q is not 256 bits", token)
		}
		session, who, err := o.ByToken(ctx, token)
		if err != nil || who.ID != operator.ID || session.OperatorID != operator.ID || session.Address != "2001:db8::1" {
			t.Fatalf("ByToken = %+v, %+v, %v", session, who, err)
		}
		if strings.Contains(string(session.TokenHash), token) {
			t.Error("the database has the token in clear")
		}
		if session.CreatedAt != models.TimeOf(clock.now) {
			t.Errorf("created at %v", session.CreatedAt)
		}

		for _, bad := range [][2]string{{"ada", "tidy harbors"}, {"ada", ""}, {"nobody", "tidy harbour"}, {"ada ", "tidy harbour"}, {"\xff", "\xff"}} {
			if _, err := o.Login(ctx, LoginRequest{Name: bad[0], Password: bad[1], Address: "192.0.2.7"}); fault.CodeOf(err) != fault.Unauthenticated {
				t.Errorf("Login%q: %v", bad, err)
			}
		}
		if _, _, err := o.ByToken(ctx, "nonsense"); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("an unknown token: %v", err)
		}
		want := []string{
			"shell operator.create ada: role=viewer",
			"ada operator.login ada: method=password client=" + strings.Repeat("?", clientLength),
			" operator.login_failed ada: reason=wrong_password count=2 last=2026-11-20T08:00:00.000Z",
			" operator.login_failed : reason=unknown_name count=3 last=2026-11-20T08:00:00.000Z",
		}
		if got := audited(t, o); !slices.Equal(got, want) {
			t.Errorf("audit:\n%s", strings.Join(got, "\n"))
		}
	})
}

func TestLogin_DelayAfterFailures(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, clock := newOperators(db)
		mustCreate(t, o, "ada", models.RoleAdmin)
		for range accountRule.Free {
			if _, err := o.Login(ctx, LoginRequest{Name: "ada", Password: "wrong password", Address: "192.0.2.1"}); fault.CodeOf(err) != fault.Unauthenticated {
				t.Fatal(err)
			}
		}
		_, err := o.Login(ctx, LoginRequest{Name: "ada", Password: "tidy harbour", Address: "192.0.2.1"})
		var refusal *fault.Error
		if !errors.As(err, &refusal) || refusal.Code != fault.RateLimited {
			t.Fatalf("the sixth attempt: %v", err)
		}
		if ms, ok := refusal.Extensions["retryAfterMs"].(int64); !ok || ms < 1000 || ms > 1001 {
			t.Errorf("retryAfterMs = %v", refusal.Extensions["retryAfterMs"])
		}
		if _, err := o.Login(ctx, LoginRequest{Name: "ada", Password: "tidy harbour", Address: "192.0.2.2"}); err != nil {
			t.Errorf("the right password from another address: %v", err)
		}
		clock.now = clock.now.Add(time.Second)
		if _, err := o.Login(ctx, LoginRequest{Name: "ada", Password: "tidy harbour", Address: "192.0.2.1"}); err != nil {
			t.Errorf("the right password after the delay: %v", err)
		}
		if _, err := o.Login(ctx, LoginRequest{Name: "ada", Password: "wrong password", Address: "192.0.2.1"}); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("a right password does not reset the count: %v", err)
		}
	})
}

func TestLogin_DelayCountsConcurrentAttempts(t *testing.T) {
	db := testenv.Open(t, testenv.SQLiteURL(t))
	o, _ := newOperators(db)
	mustCreate(t, o, "ada", models.RoleAdmin)
	const tries = 20
	codes := make([]fault.Code, tries)
	var all sync.WaitGroup
	for i := range tries {
		all.Go(func() {
			_, err := o.Login(context.Background(), LoginRequest{Name: "ada", Password: "wrong password", Address: "192.0.2.1"})
			codes[i] = fault.CodeOf(err)
		})
	}
	all.Wait()
	compared := 0
	for _, code := range codes {
		if code == fault.Unauthenticated {
			compared++
		} else if code != fault.RateLimited {
			t.Errorf("unexpected code %s", code)
		}
	}
	if compared != accountRule.Free {
		t.Errorf("%d of %d passwords were compared, want %d", compared, tries, accountRule.Free)
	}
}

func TestSessions_Expire(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, clock := newOperators(db)
		mustCreate(t, o, "ada", models.RoleAdmin)
		idle, operator := mustLogin(t, o, "ada")
		used, _ := mustLogin(t, o, "ada")

		// A session that is used every 11 hours lasts until the end of its seventh day.
		step := 11 * time.Hour
		for since := step; since < SessionLifetime; since += step {
			clock.now = epoch.Add(since)
			if _, _, err := o.ByToken(ctx, used); err != nil {
				t.Fatalf("after %v: %v", since, err)
			}
		}
		if list, err := o.ListSessions(ctx, operator.ID); err != nil || len(list) != 1 {
			t.Errorf("ListSessions = %+v, %v, want the one in use", list, err)
		}
		clock.now = epoch.Add(SessionLifetime)
		for name, token := range map[string]string{"idle": idle, "used": used} {
			if _, _, err := o.ByToken(ctx, token); fault.CodeOf(err) != fault.Unauthenticated {
				t.Errorf("the %s session after its lifetime: %v", name, err)
			}
		}
		mustLogin(t, o, "ada")
		clock.now = clock.now.Add(EndMemory)
		mustLogin(t, o, "ada")
		if n, err := retention.New(db, o.clock, slog.Default(), Expiring()...).Sweep(ctx); n != 2 || err != nil {
			t.Errorf("%d sessions were deleted, %v, want 2", n, err)
		}
		var left int64
		if err := db.Read(ctx).Model(&models.OperatorSession{}).Count(&left).Error; err != nil || left != 2 {
			t.Errorf("%d sessions in the database, %v, want 2", left, err)
		}
	})
}

func TestPeek_IsNotAUse(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, clock := newOperators(db)
		mustCreate(t, o, "ada", models.RoleAdmin)
		token, _ := mustLogin(t, o, "ada")
		for since := time.Hour; since < SessionIdle; since += time.Hour {
			clock.now = epoch.Add(since)
			session, operator, err := o.Peek(ctx, token)
			if err != nil || operator.Name != "ada" || session.LastSeenAt != models.TimeOf(epoch) {
				t.Fatalf("after %v: Peek = %+v, %+v, %v", since, session, operator, err)
			}
		}
		clock.now = epoch.Add(SessionIdle)
		if _, _, err := o.Peek(ctx, token); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("a session that was only peeked at is still valid: %v", err)
		}
	})
}

func TestSessionIdle_IsExact(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, clock := newOperators(db)
		mustCreate(t, o, "ada", models.RoleAdmin)
		token, _ := mustLogin(t, o, "ada")

		lastSeen := func() models.Time {
			t.Helper()
			session, _, err := o.ByToken(ctx, token)
			if err != nil {
				t.Fatal(err)
			}
			return session.LastSeenAt
		}
		clock.now = epoch.Add(touchInterval - time.Millisecond)
		if at := lastSeen(); at != models.TimeOf(epoch) {
			t.Errorf("touched within a minute: %v", at)
		}
		clock.now = epoch.Add(touchInterval)
		if at := lastSeen(); at != models.TimeOf(clock.now) {
			t.Errorf("not touched after a minute: %v", at)
		}
		clock.now = clock.now.Add(SessionIdle)
		if _, _, err := o.ByToken(ctx, token); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("after %v without use: %v", SessionIdle, err)
		}
	})
}

func TestLogout_EndSession(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, _ := newOperators(db)
		mustCreate(t, o, "ada", models.RoleAdmin)
		mustCreate(t, o, "bob", models.RoleAdmin)
		first, ada := mustLogin(t, o, "ada")
		second, _ := mustLogin(t, o, "ada")
		_, bob := mustLogin(t, o, "bob")

		session, _, err := o.ByToken(ctx, first)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Logout(ctx, session, models.Actor{Name: "ada"}); err != nil {
			t.Fatal(err)
		}
		if err := o.Logout(ctx, session, models.Actor{Name: "ada"}); err != nil {
			t.Errorf("logging out again: %v", err)
		}
		if _, _, err := o.ByToken(ctx, first); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("after the logout: %v", err)
		}
		list, err := o.ListSessions(ctx, ada.ID)
		if err != nil || len(list) != 1 {
			t.Fatalf("ListSessions = %+v, %v", list, err)
		}
		if ended, err := o.EndSession(ctx, bob.ID, list[0].ID, shell); ended || err != nil {
			t.Errorf("ended another operator's session: %v, %v", ended, err)
		}
		if ended, err := o.EndSession(ctx, ada.ID, list[0].ID, shell); !ended || err != nil {
			t.Errorf("EndSession = %v, %v", ended, err)
		}
		if _, _, err := o.ByToken(ctx, second); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("after EndSession: %v", err)
		}
		got := audited(t, o)
		want := []string{"ada operator.logout ada: ", "shell operator.end_session ada: "}
		if tail := got[len(got)-2:]; !slices.Equal(tail, want) {
			t.Errorf("audit:\n%s", strings.Join(got, "\n"))
		}
	})
}
