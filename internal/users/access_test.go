package users

import (
	"context"
	"strings"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/fault"
	"rollcall/models"
)

// verify returns "" for a valid token, and the error code otherwise.
func (w *world) verify(text string) fault.Code {
	_, _, err := w.users.Verify(context.Background(), text)
	return fault.CodeOf(err)
}

func TestVerify_UserTokens(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		r, err := w.users.Register(ctx, w.app, Registration{ID: "ann", Name: "Ann", TokenTTL: time.Hour})
		if err != nil {
			w.t.Fatal(err)
		}
		if want := w.users.now().Add(time.Hour); r.ExpiresAt == nil || *r.ExpiresAt != want {
			w.t.Errorf("expires at %v, want %v", r.ExpiresAt, want)
		}
		app, user, err := w.users.Verify(ctx, r.Token)
		if err != nil || app.Key != w.app.Key || user.ExternalID != "ann" || user.Name != "Ann" || !app.CreatedAt.Time().Equal(w.app.CreatedAt.Time()) {
			w.t.Errorf("%+v, %+v, %v", app, user, err)
		}
		w.pass(time.Hour - time.Millisecond)
		if code := w.verify(r.Token); code != "" {
			w.t.Errorf("a millisecond before it expires: %s", code)
		}
		w.pass(time.Millisecond)
		if code := w.verify(r.Token); code != fault.Unauthenticated {
			w.t.Errorf("after it expired: %q", code)
		}
	})
}

func TestVerify_ForgedTokens(t *testing.T) {
	each(t, func(w *world) {
		good := w.register(w.app, "ann").Token
		parts := strings.Split(good, ".")
		none := "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + parts[1] + "."
		for name, text := range map[string]string{
			"empty":       "",
			"words":       "not a token",
			"cut":         good[:len(good)-1],
			"other tail":  parts[0] + "." + parts[1] + ".AAAA",
			"no signing":  none,
			"two parts":   parts[0] + "." + parts[1],
			"other claim": parts[0] + ".eyJhcHAiOjF9." + parts[2],
		} {
			if code := w.verify(text); code != fault.Unauthenticated {
				w.t.Errorf("%s: %q", name, code)
			}
		}
	})
}

func TestVerify_EndedAccounts(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		now := w.users.now
		for name, end := range map[string]struct {
			do   func(r *Registered)
			want fault.Code
		}{
			"deactivated": {func(r *Registered) { w.set(r.User, "deactivated_at", now()) }, fault.Unauthenticated},
			"banned":      {func(r *Registered) { w.set(r.User, "banned_until", now()+1) }, fault.UserBanned},
			"expired":     {func(r *Registered) { w.set(r.User, "tokens_valid_from", now()+1) }, fault.Unauthenticated},
			"generation":  {func(r *Registered) { w.set(r.User, "token_generation", 1) }, fault.Unauthenticated},
			"deleted": {func(r *Registered) {
				if _, err := w.users.Delete(ctx, w.app, []string{r.User.ExternalID}, models.Actor{Name: "op"}); err != nil {
					w.t.Fatal(err)
				}
			}, fault.Unauthenticated},
		} {
			r := w.register(w.app, name)
			if code := w.verify(r.Token); code != "" {
				w.t.Errorf("%s, before: %s", name, code)
			}
			end.do(r)
			if code := w.verify(r.Token); code != end.want {
				w.t.Errorf("%s: %q, want %s", name, code, end.want)
			}
			if _, _, err := w.users.Current(ctx, r.User.ID); name != "expired" && name != "generation" && fault.CodeOf(err) != end.want {
				w.t.Errorf("%s, on a live connection: %v, want %s", name, err, end.want)
			}
		}
		// Registering the ID of a deleted user creates another user.
		old := w.register(w.app, "again")
		if _, err := w.users.Delete(ctx, w.app, []string{"again"}, models.Actor{Name: "op"}); err != nil {
			w.t.Fatal(err)
		}
		w.register(w.app, "again")
		if code := w.verify(old.Token); code != fault.Unauthenticated {
			w.t.Errorf("a deleted user's token is valid for its successor: %q", code)
		}
	})
}

func TestVerify_BannedUntil(t *testing.T) {
	each(t, func(w *world) {
		r := w.register(w.app, "ann")
		until := w.users.now() + 60_000
		w.set(r.User, "banned_until", until)
		_, _, err := w.users.Verify(context.Background(), r.Token)
		refusal, _ := err.(*fault.Error)
		if refusal == nil || refusal.Extensions["until"] != until.String() {
			w.t.Fatalf("error %v", err)
		}
		w.pass(time.Minute)
		if code := w.verify(r.Token); code != "" {
			w.t.Errorf("after the ban: %s", code)
		}
	})
}

func TestVerify_RotatedSecret(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		app, secret, err := w.apps.Create(ctx, apps.NewApp{Name: "x", Environment: models.EnvironmentDevelopment, Edition: models.EditionStandard}, models.Actor{})
		if err != nil {
			w.t.Fatal(err)
		}
		text, expires, err := w.apps.IssueToken(ctx, app.Key, secret, time.Hour)
		if err != nil || expires != w.users.now().Add(time.Hour) {
			w.t.Fatal(expires, err)
		}
		got, user, err := w.users.Verify(ctx, text)
		if err != nil || got.ID != app.ID || user != nil {
			w.t.Errorf("%v, %v, %v", got, user, err)
		}
		ann := w.register(app, "ann")
		_, second, err := w.apps.RotateSecret(ctx, app.Key, 0, models.Actor{Name: "test"})
		if err != nil {
			w.t.Fatal(err)
		}
		for name, old := range map[string]string{"app": text, "user": ann.Token} {
			if code := w.verify(old); code != fault.Unauthenticated {
				w.t.Errorf("the %s token is valid after the rotation: %q", name, code)
			}
		}
		if _, _, err := w.users.Current(ctx, ann.User.ID); err != nil {
			w.t.Errorf("a live connection ended with the rotation: %v", err)
		}
		if _, _, err := w.apps.IssueToken(ctx, app.Key, secret, time.Hour); fault.CodeOf(err) != fault.Unauthenticated {
			w.t.Errorf("the old secret: %v", err)
		}
		if _, _, err := w.apps.IssueToken(ctx, "rcnobody", second, time.Hour); fault.CodeOf(err) != fault.Unauthenticated {
			w.t.Errorf("an unknown key: %v", err)
		}
		if _, _, err := w.apps.IssueToken(ctx, app.Key, second, time.Hour); err != nil {
			w.t.Errorf("the new secret: %v", err)
		}
	})
}

// TestVerify_RotationWithOverlap: both secrets are valid until the overlap ends, with the tokens
// issued under them, whenever those were issued. Of three secrets the first ends.
func TestVerify_RotationWithOverlap(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		app, secret, err := w.apps.Create(ctx, apps.NewApp{Name: "x", Environment: models.EnvironmentDevelopment, Edition: models.EditionStandard}, models.Actor{})
		if err != nil {
			w.t.Fatal(err)
		}
		secrets, tokens := []string{secret}, map[string][]string{}
		rotate := func(overlap time.Duration) {
			w.t.Helper()
			_, secret, err := w.apps.RotateSecret(ctx, app.Key, overlap, models.Actor{Name: "test"})
			if err != nil {
				w.t.Fatal(err)
			}
			secrets = append(secrets, secret)
		}
		// issue issues an app token with a secret, and a user's token to its bearer.
		issue := func(secret string) {
			w.t.Helper()
			text, _, err := w.apps.IssueToken(ctx, app.Key, secret, 24*time.Hour)
			if err != nil {
				w.t.Fatal(err)
			}
			claim, err := w.users.Inspect(ctx, text)
			if err != nil {
				w.t.Fatal(err)
			}
			now, _, err := w.users.Confirm(ctx, claim)
			if err != nil {
				w.t.Fatal(err)
			}
			under := w.users.IssuingUnder(claim.SecretGeneration())
			one, err := under.Register(ctx, now, Registration{ID: "ann", Name: "Ann"})
			if err != nil {
				w.t.Fatal(err)
			}
			many, err := under.RegisterMany(ctx, now, []Registration{{ID: "ann", Name: "Ann"}})
			if err != nil {
				w.t.Fatal(err)
			}
			further, err := under.IssueToken(ctx, now, TokenRequest{UserID: "ann"})
			if err != nil {
				w.t.Fatal(err)
			}
			tokens[secret] = append(tokens[secret], text, one.Token, many[0].Token, further.Token)
		}
		valid := func(when string, want ...bool) {
			w.t.Helper()
			for i, secret := range secrets {
				_, _, err := w.apps.IssueToken(ctx, app.Key, secret, time.Hour)
				if (err == nil) != want[i] || err != nil && fault.CodeOf(err) != fault.Unauthenticated {
					w.t.Errorf("%s: secret %d is valid: %v, want %t", when, i+1, err, want[i])
				}
				for j, text := range tokens[secret] {
					if code := w.verify(text); (code == "") != want[i] || code != "" && code != fault.Unauthenticated {
						w.t.Errorf("%s: token %d of secret %d: %q, want %t", when, j, i+1, code, want[i])
					}
				}
			}
		}
		issue(secrets[0])
		rotate(time.Hour)
		issue(secrets[0])
		issue(secrets[1])
		valid("at first", true, true)
		w.pass(time.Hour - time.Millisecond)
		valid("just before the end", true, true)
		w.pass(time.Millisecond)
		valid("at the end", false, true)
		rotate(time.Hour)
		issue(secrets[2])
		valid("after another rotation", false, true, true)
		rotate(2 * time.Hour)
		issue(secrets[3])
		valid("after one during an overlap", false, false, true, true)
		w.pass(2*time.Hour - time.Millisecond)
		valid("just before that one's end", false, false, true, true)
		rotate(0)
		issue(secrets[4])
		valid("after one without an overlap", false, false, false, false, true)

		for _, overlap := range []time.Duration{-1, apps.MaxOverlap + 1} {
			if _, _, err := w.apps.RotateSecret(ctx, app.Key, overlap, models.Actor{}); fault.CodeOf(err) != fault.InvalidArgument {
				w.t.Errorf("an overlap of %s: %v", overlap, err)
			}
		}
		valid("after refused ones", false, false, false, false, true)
	})
}
