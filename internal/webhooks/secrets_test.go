package webhooks

import (
	"bytes"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/atrest"
	"rollcall/internal/fault"
	"rollcall/internal/outbox"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/models"
)

// The configured token keys of the tests.
var (
	keyA = strings.Repeat("a", 32)
	keyB = strings.Repeat("b", 32)
)

// delivers registers a user and checks that s delivers it, signed with all the secrets.
func (w *world) delivers(s *Service, r *receiver, user string, secrets ...string) {
	w.t.Helper()
	w.register(user)
	before := len(r.got())
	w.must(s.deliverAll(w))
	got := r.got()
	if len(got) != before+1 {
		w.t.Fatalf("%s: received %d, want 1", user, len(got)-before)
	}
	for _, secret := range secrets {
		if err := got[before].verify(secret); err != nil {
			w.t.Errorf("%s: %v", user, err)
		}
	}
}

// storedKeys returns the IDs of the stored token keys, the oldest first.
func (w *world) storedKeys() (ids []string) {
	w.t.Helper()
	list, err := token.List(ctx, w.db, "", w.webhooks.now())
	w.must(err)
	for _, key := range list {
		ids = append(ids, key.ID)
	}
	return ids
}

// sealedFor returns the IDs of the token keys that a stored secret is encrypted for.
func sealedFor(stored []byte) (ids []string) {
	for part := stored[1:]; len(part) > 0; part = part[76:] {
		ids = append(ids, string(part[:16]))
	}
	return ids
}

// TestSecrets_OutliveTokenKeys: the secrets of endpoints work on while token keys are rotated, expire
// and are retired, and no retired key decrypts them any more.
func TestSecrets_OutliveTokenKeys(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		e, first := w.endpoint(r.URL, outbox.UserRegistered)
		_, second, err := w.webhooks.RotateSecret(ctx, w.app, e.ID, MaxGrace, by)
		w.must(err)
		plain, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(second, secretPrefix))
		w.must(err)
		sealed := func(step string, ids []string) {
			w.t.Helper()
			row := w.row(e.ID)
			for _, stored := range [][]byte{row.Secret, row.PreviousSecret} {
				if got := strings.Join(sealedFor(stored), " "); got != strings.Join(ids, " ") || bytes.Contains(stored, plain) {
					w.t.Errorf("%s: encrypted for %s, want %s", step, got, ids)
				}
			}
		}
		old := w.storedKeys()
		sealed("created", old)
		w.delivers(w.webhooks, r, "ann", first, second)
		w.pass(time.Second)
		added, err := w.apps.RotateTokenKey(ctx, nil, by)
		w.must(err)
		sealed("rotated", []string{added, old[0]})
		w.delivers(w.webhooks, r, "bo", first, second)
		w.must(w.apps.RetireTokenKey(ctx, old[0], "", by))
		sealed("retired", []string{added})
		w.delivers(w.webhooks, r, "cy", first, second)
		w.pass(time.Second)
		hour := time.Hour
		third, err := w.apps.RotateTokenKey(ctx, &hour, by)
		w.must(err)
		sealed("with an overlap", []string{third, added})
		w.pass(2 * time.Hour)
		w.delivers(w.webhooks, r, "di", first, second)
		none := time.Duration(0)
		fourth, err := w.apps.RotateTokenKey(ctx, &none, by)
		w.must(err)
		sealed("without an overlap", []string{fourth})
		w.delivers(w.webhooks, r, "ed", first, second)
	})
}

// TestSecrets_ConfiguredKeys exchanges the configured keys of two nodes, one after the other. Both
// send at any time, and what is stored does not reveal the secret once no key is stored.
func TestSecrets_ConfiguredKeys(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		e, secret := w.endpoint(r.URL, outbox.UserRegistered)
		quiet := slog.New(slog.DiscardHandler)
		start := func(keys ...string) *Service {
			s := w.nodeWith(strings.Join(keys, ","), quiet)
			w.must(s.Start(ctx))
			return s
		}
		first := start(keyA)
		w.delivers(first, r, "ann", secret)
		w.delivers(w.webhooks, r, "bo", secret) // a node that has not been restarted yet
		stored := w.storedKeys()[0]
		w.must(w.apps.RetireTokenKey(ctx, stored, keyA, by))
		if ids := sealedFor(w.row(e.ID).Secret); len(ids) != 1 || ids[0] == stored {
			w.t.Errorf("encrypted for %s after %s was retired", ids, stored)
		}
		w.delivers(first, r, "cy", secret)
		second := start(keyA, keyB)
		w.delivers(first, r, "di", secret)
		w.delivers(second, r, "ed", secret)
		first = start(keyB, keyA)
		w.delivers(second, r, "fay", secret)
		second = start(keyB)
		w.delivers(first, r, "gil", secret)
		w.delivers(second, r, "hal", secret)
		w.delivers(start(keyB), r, "ivy", secret)
		row := w.row(e.ID).Secret
		if ids := sealedFor(row); len(ids) != 1 {
			w.t.Errorf("encrypted for %s, want only the key that is configured", ids)
		}
		// A command that knows no configured key leaves the secrets to those that do.
		_, err := w.apps.RotateTokenKey(ctx, nil, by)
		w.must(err)
		if !bytes.Equal(w.row(e.ID).Secret, row) {
			w.t.Error("a rotation without the configured key has changed the secret")
		}
		w.delivers(second, r, "joe", secret)
		w.must(second.Start(ctx))
		none := time.Duration(0)
		added, err := w.apps.RotateTokenKey(ctx, &none, by)
		w.must(err)
		if got := sealedFor(w.row(e.ID).Secret); len(got) != 2 || got[0] != added || got[1] != sealedFor(row)[0] {
			w.t.Errorf("encrypted for %s, want %s and %s", got, added, sealedFor(row))
		}
	})
}

// TestSecrets_WrongKey runs a node with another token key. It changes nothing about the endpoints
// whose secrets it cannot decrypt, and sends to the others.
func TestSecrets_WrongKey(t *testing.T) {
	each(t, func(w *world) {
		right := w.nodeWith(keyA, slog.New(slog.DiscardHandler))
		w.must(w.apps.RetireTokenKey(ctx, w.storedKeys()[0], keyA, by))
		r, other := newReceiver(w.t), newReceiver(w.t)
		e, secret, err := right.Create(ctx, w.app, NewEndpoint{URL: r.URL, Types: []outbox.Type{outbox.UserRegistered}}, by)
		w.must(err)
		row := w.row(e.ID)

		log := &testenv.Log{}
		wrong := w.nodeWith(keyB, slog.New(slog.NewTextHandler(log, nil)))
		wrong.timing.unopened = 20 * time.Millisecond
		w.must(wrong.Start(ctx))
		const problem = "check ROLLCALL_TOKEN_KEY"
		if text := log.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, problem) {
			w.t.Errorf("the log at the start: %s", text)
		}
		if !bytes.Equal(w.row(e.ID).Secret, row.Secret) {
			w.t.Error("the start has changed the secret")
		}
		if _, _, err := wrong.RotateSecret(ctx, w.app, e.ID, time.Hour, by); fault.CodeOf(err) != fault.InvalidArgument || !strings.Contains(err.Error(), problem) {
			w.t.Errorf("rotating with a grace: %v", err)
		}
		// Without any key, nothing can be created.
		if _, _, err := w.webhooks.Create(ctx, w.app, NewEndpoint{URL: r.URL}, by); err == nil || !strings.Contains(err.Error(), "set ROLLCALL_TOKEN_KEY") {
			w.t.Errorf("creating without a key: %v", err)
		}
		_, otherSecret, err := wrong.Create(ctx, w.app, NewEndpoint{URL: other.URL, Types: []outbox.Type{outbox.UserRegistered}}, by)
		w.must(err)
		w.register("ann")
		w.pass(10 * time.Millisecond)
		w.distribute()
		var keyErr *token.KeyError
		if _, err := wrong.deliver(ctx, e.ID); !errors.As(err, &keyErr) {
			w.t.Errorf("delivering: %v", err)
		}
		stop := w.run(wrong)
		if got := other.await(w.t, 1); got[0].verify(otherSecret) != nil {
			w.t.Error("the signature of the other endpoint is wrong")
		}
		for end := time.Now().Add(20 * time.Second); !strings.Contains(log.String(), "endpoint="); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				w.t.Fatalf("the log: %s", log)
			}
		}
		stop()
		d := w.deliveries(e.ID)
		if after := w.row(e.ID); after.FailingSince != 0 || after.LeaseID != 0 || len(d) != 1 || d[0].Attempts != 0 || len(r.got()) != 0 {
			w.t.Errorf("the node with the wrong key has changed %+v, %+v", after, d)
		}
		w.must(right.deliverAll(w))
		if got := r.got(); len(got) != 1 || got[0].verify(secret) != nil {
			w.t.Errorf("the node with the right key: %d", len(got))
		}
		// The way out if a key is lost.
		_, renewed, err := wrong.RotateSecret(ctx, w.app, e.ID, 0, by)
		w.must(err)
		w.register("bo")
		w.must(wrong.deliverAll(w))
		if got := r.got(); len(got) != 2 || got[1].verify(renewed) != nil {
			w.t.Errorf("after the secret was replaced: %d", len(got))
		}
	})
}

// TestStart_EncryptsOlderSecrets starts on a database whose secrets were stored without token keys.
func TestStart_EncryptsOlderSecrets(t *testing.T) {
	each(t, func(w *world) {
		databaseKey, err := atrest.Parse(strings.Repeat("d", 32))
		w.must(err)
		r := newReceiver(w.t)
		e, secret := w.endpoint(r.URL, outbox.UserRegistered)
		plain, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, secretPrefix))
		w.must(err)
		for user, stored := range map[string][]byte{"plain": plain, "encrypted": databaseKey.Seal(plain, place(e.ID))} {
			if user == "encrypted" {
				w.db.SetSecretKeys(databaseKey)
			}
			w.must(w.db.Tx(ctx, func(tx *gorm.DB) error {
				return tx.Model(&models.WebhookEndpoint{}).Where("id = ?", e.ID).Update("secret", stored).Error
			}))
			w.must(w.webhooks.Start(ctx))
			if row := w.row(e.ID).Secret; strings.Join(sealedFor(row), " ") != w.storedKeys()[0] {
				w.t.Errorf("%s: stored as %x", user, row)
			}
			w.delivers(w.webhooks, r, user, secret)
			w.db.SetSecretKeys(atrest.Keys{})
		}
	})
}
