package sealed_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/retention"
	"rollcall/internal/sealed"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestStore_KeepsValuesForTheirOwnersUntilTheyExpire(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx, now := context.Background(), time.UnixMilli(1_790_000_000_000)
		clock := func() time.Time { return now }
		s := sealed.New(db, clock)
		key, err := s.Put(ctx, 7, "the secret", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		get := func(owner int64, key, want string) {
			t.Helper()
			var got string
			if found, err := s.Get(ctx, owner, key, &got); err != nil || found != (want != "") || got != want {
				t.Errorf("%v %q, %v; want %q", found, got, err, want)
			}
		}
		get(7, key, "the secret")
		get(7, key, "the secret")
		get(8, key, "")
		get(7, key+"A", "")
		var row models.SealedValue
		if err := db.Read(ctx).First(&row).Error; err != nil || bytes.Contains(row.Content, []byte("secret")) || bytes.Contains(row.Digest, []byte(key)) {
			t.Errorf("stored as %+v, %v", row, err)
		}
		now = now.Add(time.Minute)
		get(7, key, "")
		sweeper := retention.New(db, clock, slog.New(slog.NewTextHandler(io.Discard, nil)), sealed.Expiring()...)
		if n, err := sweeper.Sweep(ctx); n != 1 || err != nil {
			t.Errorf("%d swept, %v", n, err)
		}
	})
}

func TestClaim_SucceedsOnce(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		nodes := []*sealed.Store{sealed.New(db, time.Now), sealed.New(db, time.Now)}
		var claimed atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				mine, err := nodes[i%2].Claim(ctx, 1, "key", time.Minute)
				if err != nil {
					t.Error(err)
				}
				if mine {
					claimed.Add(1)
				}
			})
		}
		wg.Wait()
		if n := claimed.Load(); n != 1 {
			t.Errorf("claimed %d times", n)
		}
		var got string
		if found, err := nodes[0].Get(ctx, 1, "key", &got); found || err != nil {
			t.Errorf("a value before it was set: %v", err)
		}
		if err := nodes[0].Set(ctx, 1, "key", "done"); err != nil {
			t.Fatal(err)
		}
		if found, err := nodes[1].Get(ctx, 1, "key", &got); !found || err != nil || got != "done" {
			t.Errorf("%v %q, %v", found, got, err)
		}
		if err := nodes[1].Release(ctx, 1, "key"); err != nil {
			t.Fatal(err)
		}
		if mine, err := nodes[0].Claim(ctx, 1, "key", -time.Minute); !mine || err != nil {
			t.Errorf("not free after its release: %v", err)
		}
		for i, want := range []bool{false, true} { // expired, and not swept
			if mine, err := nodes[0].Claim(ctx, 1, "key", time.Minute); mine != want || err != nil {
				t.Errorf("claim %d of an expired key: %v, %v", i, mine, err)
			}
		}
	})
}
