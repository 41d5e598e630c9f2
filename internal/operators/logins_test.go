package operators

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/internal/throttle"
	"rollcall/models"
)

// guess sends a wrong password.
func guess(o *Service, name, address, device string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := o.Login(ctx, LoginRequest{Name: name, Password: "wrong password", Address: address, Device: device})
	return err
}

// failed begins count attempts that all fail.
func failed(o *Service, rule *throttle.Rule, subject string, count int) {
	for range count {
		o.throttle.Begin(context.Background(), throttle.Key{Rule: rule, Subject: subject})
	}
}

// limitOf returns the limit that a login has reached, or "" if none.
func limitOf(t *testing.T, err error) string {
	t.Helper()
	var refusal *fault.Error
	if !errors.As(err, &refusal) || refusal.Code != fault.RateLimited {
		return ""
	}
	if ms, ok := refusal.Extensions["retryAfterMs"].(int64); !ok || ms < 1 {
		t.Errorf("retryAfterMs = %v", refusal.Extensions["retryAfterMs"])
	}
	return refusal.Extensions["limit"].(string)
}

// deviceFor logs an operator in and returns the browser's mark.
func deviceFor(t *testing.T, o *Service, name string) string {
	t.Helper()
	login, err := o.Login(context.Background(), LoginRequest{Name: name, Password: "tidy harbour", Address: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	return login.Device
}

// TestLogin_Flood sends 1500 wrong passwords for as many names and for the operator's, from the
// operator's address and from 150 others.
func TestLogin_Flood(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, clock := newOperators(db)
		mustCreate(t, o, "ada", models.RoleAdmin)
		device := deviceFor(t, o, "ada")
		const attempts = 1500
		var compared, limited int
		var mu sync.Mutex
		next := make(chan int)
		var attackers sync.WaitGroup
		for range 100 {
			attackers.Go(func() {
				for i := range next {
					name, address := fmt.Sprint("name", i), "192.0.2.1"
					if i%3 == 0 {
						name = "ada"
					}
					if i%2 == 0 {
						address = fmt.Sprintf("198.51.100.%d", i%150)
					}
					err := guess(o, name, address, "")
					mu.Lock()
					switch {
					case fault.CodeOf(err) == fault.Unauthenticated:
						compared++
					case limitOf(t, err) != "":
						limited++
					default:
						t.Errorf("attempt %d: %v", i, err)
					}
					mu.Unlock()
				}
			})
		}
		for i := range attempts {
			next <- i
			if i == attempts/2 {
				login, err := o.Login(ctx, LoginRequest{Name: "ada", Password: "tidy harbour", Address: "192.0.2.1", Device: device})
				if err != nil || login.Device != device {
					t.Errorf("the operator during the attack: %+v, %v", login, err)
				}
			}
		}
		close(next)
		attackers.Wait()
		const sites = 2 // 192.0.2.0/24 and 198.51.100.0/24
		if most := everyoneRule.Free + sites*shareRule.Free; compared > most || compared+limited != attempts {
			t.Errorf("%d passwords were compared and %d refused, want at most %d compared", compared, limited, most)
		}
		var entries int64
		if err := db.Read(ctx).Model(&models.AuditEntry{}).Where("action = ?", audit.ActionLoginFailed).Count(&entries).Error; err != nil {
			t.Fatal(err)
		}
		if entries < 1 || entries > audit.FailureEntries+1 {
			t.Errorf("%d audit entries, want at most %d", entries, audit.FailureEntries+1)
		}
		clock.now = clock.now.Add(everyoneRule.Memory)
		if _, err := o.Login(ctx, LoginRequest{Name: "ada", Password: "tidy harbour", Address: "203.0.113.1"}); err != nil {
			t.Errorf("a new browser a minute later: %v", err)
		}
	})
}

// TestLogin_LimitOfANetwork tries each name once, so that the limit of an account is not reached.
func TestLogin_NetworkLimit(t *testing.T) {
	o, clock := newOperators(testenv.Open(t, testenv.SQLiteURL(t)))
	mustCreate(t, o, "ada", models.RoleAdmin)
	failed(o, networkRule, "2001:db8::/64", networkRule.Free-2)
	for i := range 2 {
		if err := guess(o, fmt.Sprint("name", i), fmt.Sprintf("2001:db8::%x", i), ""); fault.CodeOf(err) != fault.Unauthenticated {
			t.Fatalf("attempt %d: %v", i+1, err)
		}
	}
	for _, name := range []string{"another", "ada"} {
		if limit := limitOf(t, guess(o, name, "2001:db8::ffff", "")); limit != LimitLogins {
			t.Errorf("%s from the same /64: limit %q", name, limit)
		}
	}
	if _, err := o.Login(context.Background(), LoginRequest{Name: "ada", Password: "tidy harbour", Address: "2001:db8:0:1::1"}); err != nil {
		t.Errorf("from another /64: %v", err)
	}
	clock.now = clock.now.Add(networkRule.Delay)
	if err := guess(o, "another", "2001:db8::ffff", ""); fault.CodeOf(err) != fault.Unauthenticated {
		t.Errorf("after the delay: %v", err)
	}
}

// TestLogin_TotalLimit tries once from each network.
func TestLogin_TotalLimit(t *testing.T) {
	o, clock := newOperators(testenv.Open(t, testenv.SQLiteURL(t)))
	mustCreate(t, o, "ada", models.RoleAdmin)
	device := deviceFor(t, o, "ada")
	failed(o, everyoneRule, "", everyoneRule.Free-2)
	for i := range 2 {
		if err := guess(o, fmt.Sprint("name", i), fmt.Sprintf("198.51.100.%d", i), ""); fault.CodeOf(err) != fault.Unauthenticated {
			t.Fatalf("attempt %d: %v", i+1, err)
		}
	}
	share := shareOf("203.0.113.1")
	failed(o, share.Rule, share.Subject, share.Rule.Free)
	for _, name := range []string{"another", "ada"} {
		if limit := limitOf(t, guess(o, name, "203.0.113.1", "")); limit != LimitLogins {
			t.Errorf("%s from another network: limit %q", name, limit)
		}
	}
	if err := guess(o, "ada", "203.0.113.1", device); fault.CodeOf(err) != fault.Unauthenticated {
		t.Errorf("a browser that has logged in before: %v", err)
	}
	clock.now = clock.now.Add(everyoneRule.Delay)
	if err := guess(o, "another", "203.0.113.1", ""); fault.CodeOf(err) != fault.Unauthenticated {
		t.Errorf("after the delay: %v", err)
	}
}

// TestLogin_NewBrowserDuringAFlood checks that a site whose networks all use up their limits does
// not keep a new browser of another site out, and that the shares do not multiply the cost of
// passwords.
func TestLogin_NewBrowserDuringAFlood(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		o, clock := newOperators(db)
		mustCreate(t, o, "ada", models.RoleAdmin)
		flood := func(address func(i int) string) (compared int) {
			for i := range 500 {
				in := LoginRequest{Name: fmt.Sprint("name", i), Address: address(i)}
				if _, refusal := o.beginStranger(context.Background(), in); refusal == nil {
					compared++
				}
			}
			return compared
		}
		oneSite := func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i) }
		for range 30 { // a minute
			flood(oneSite)
			clock.now = clock.now.Add(2 * time.Second)
		}
		flood(oneSite)
		for _, address := range []string{"203.0.113.1", "2001:db8:2::1"} {
			if _, err := o.Login(context.Background(), LoginRequest{Name: "ada", Password: "tidy harbour", Address: address}); err != nil {
				t.Errorf("a new browser at %s: %v", address, err)
			}
		}
		if limit := limitOf(t, guess(o, "ada", "2001:db8:1:ffff::1", "")); limit != LimitLogins {
			t.Errorf("another network of the site: limit %q", limit)
		}
		everywhere := func(i int) string { return fmt.Sprintf("2001:db8:%x::1", 0x100+i) }
		if compared := flood(everywhere); compared > loginShares*shareRule.Free {
			t.Errorf("%d passwords were compared at once, want at most %d", compared, loginShares*shareRule.Free)
		}
		// From then on, everyoneRule and the shares grant one attempt a second each.
		compared := 0
		for range 60 {
			clock.now = clock.now.Add(time.Second)
			compared += flood(everywhere)
		}
		if most := 60 + loginShares; compared > most {
			t.Errorf("%d passwords were compared in a minute, want at most %d", compared, most)
		}
	})
}

// TestLogin_WaitingRoom lets sixteen logins wait. Some of their names exist.
func TestLogin_WaitingRoom(t *testing.T) {
	o, _ := newOperators(testenv.Open(t, testenv.SQLiteURL(t)))
	mustCreate(t, o, "ada", models.RoleAdmin)
	device := deviceFor(t, o, "ada")
	o.hasher.strangers <- struct{}{}
	o.hasher.unknown <- struct{}{}
	codes := make(chan fault.Code, waitingLogins)
	for i := range waitingLogins {
		go func() {
			name := "ada"
			if i%2 == 0 {
				name = "nobody"
			}
			codes <- fault.CodeOf(guess(o, name, fmt.Sprintf("198.51.100.%d", i), ""))
		}()
	}
	for deadline := time.Now().Add(30 * time.Second); len(o.rooms.strangers) < waitingLogins; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d logins wait", len(o.rooms.strangers))
		}
	}
	for range 3 * accountRule.Free { // a refused login does not count as failed
		for _, name := range []string{"ada", "nobody"} {
			if limit := limitOf(t, guess(o, name, "203.0.113.1", "")); limit != LimitLogins {
				t.Fatalf("%s beyond the waiting room: limit %q", name, limit)
			}
		}
	}
	if _, err := o.Login(context.Background(), LoginRequest{Name: "ada", Password: "tidy harbour", Address: "198.51.100.1", Device: device}); err != nil {
		t.Errorf("a browser that has logged in before: %v", err)
	}
	<-o.hasher.strangers
	<-o.hasher.unknown
	for range waitingLogins {
		if code := <-codes; code != fault.Unauthenticated {
			t.Errorf("a login that waited: %s", code)
		}
	}
	if err := guess(o, "ada", "203.0.113.1", ""); fault.CodeOf(err) != fault.Unauthenticated {
		t.Errorf("with free places: %v", err)
	}
}

// TestLogin_Lanes checks that logins with unknown names and those with operators' names do not wait
// for each other.
func TestLogin_Lanes(t *testing.T) {
	o, _ := newOperators(testenv.Open(t, testenv.SQLiteURL(t)))
	mustCreate(t, o, "ada", models.RoleAdmin)
	o.hasher.strangers <- struct{}{}
	if err := guess(o, "nobody", "192.0.2.1", ""); fault.CodeOf(err) != fault.Unauthenticated {
		t.Errorf("an unknown name while an operator's is compared: %v", err)
	}
	<-o.hasher.strangers
	o.hasher.unknown <- struct{}{}
	if err := guess(o, "ada", "192.0.2.1", ""); fault.CodeOf(err) != fault.Unauthenticated {
		t.Errorf("an operator's name while an unknown one is compared: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 3 * accountRule.Free {
		_, err := o.Login(ctx, LoginRequest{Name: "nobody", Password: "tidy harbour", Address: "192.0.2.2"})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a canceled login: %v", err)
		}
	}
	<-o.hasher.unknown
	if err := guess(o, "nobody", "192.0.2.2", ""); fault.CodeOf(err) != fault.Unauthenticated {
		t.Errorf("canceled logins count as failed: %v", err)
	}
}

func TestLogin_KnownBrowser(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		o, _ := newOperators(db)
		mustCreate(t, o, "ada", models.RoleAdmin)
		mustCreate(t, o, "bob", models.RoleAdmin)
		login := func(name, password, device string) (*Login, error) {
			return o.Login(ctx, LoginRequest{Name: name, Password: password, Address: "192.0.2.1", Device: device})
		}
		device, bobs := deviceFor(t, o, "ada"), deviceFor(t, o, "bob")
		// Guests use up the attempts on the account from this address.
		for range accountRule.Free {
			if err := guess(o, "ada", "192.0.2.1", ""); fault.CodeOf(err) != fault.Unauthenticated {
				t.Fatal(err)
			}
		}
		name, mac, _ := strings.Cut(device, ".")
		for what, other := range map[string]string{
			"none": "", "another operator's": bobs, "a forged one": name + "x." + mac, "half of one": name, "noise": "\xff.\xff",
		} {
			if _, err := login("ada", "tidy harbour", other); limitOf(t, err) != LimitPassword {
				t.Errorf("with %s: %v", what, err)
			}
		}
		again, err := login("ada", "tidy harbour", device)
		if err != nil || again.Device != device {
			t.Fatalf("with its own mark: %+v, %v", again, err)
		}
		// Its attempts are counted too, and do not lock the other browser out.
		for range deviceRule.Free {
			if _, err := login("ada", "wrong password", device); fault.CodeOf(err) != fault.Unauthenticated {
				t.Fatal(err)
			}
		}
		if _, err := login("ada", "tidy harbour", device); limitOf(t, err) != LimitPassword {
			t.Errorf("after too many wrong passwords from this browser: %v", err)
		}
		if _, err := login("bob", "tidy harbour", bobs); err != nil {
			t.Errorf("another browser: %v", err)
		}
		// A new password invalidates the mark.
		session, operator, err := o.ByToken(ctx, again.Token)
		if err != nil {
			t.Fatal(err)
		}
		next, err := o.ChangePassword(ctx, operator, session, "tidy harbour", "another password", shell)
		if err != nil || next == device {
			t.Fatalf("ChangePassword = %q, %v", next, err)
		}
		if _, err := login("ada", "another password", device); limitOf(t, err) != LimitPassword {
			t.Errorf("with the mark of the former password: %v", err)
		}
		if _, err := login("ada", "another password", next); err != nil {
			t.Errorf("with the new mark: %v", err)
		}
	})
}

// TestChangePassword_OwnLimit checks that failed logins of guests do not keep an operator from
// changing its password.
func TestChangePassword_OwnLimit(t *testing.T) {
	ctx := context.Background()
	o, _ := newOperators(testenv.Open(t, testenv.SQLiteURL(t)))
	mustCreate(t, o, "ada", models.RoleAdmin)
	token, operator := mustLogin(t, o, "ada")
	session, _, err := o.ByToken(ctx, token)
	if err != nil {
		t.Fatal(err)
	}
	by := models.Actor{Name: "ada", Address: "192.0.2.1"}
	for range accountRule.Free + 1 {
		_ = guess(o, "ada", by.Address, "")
	}
	for range deviceRule.Free {
		if _, err := o.ChangePassword(ctx, operator, session, "a guess", "another password", by); fault.CodeOf(err) != fault.InvalidArgument {
			t.Fatal(err)
		}
	}
	if _, err := o.ChangePassword(ctx, operator, session, "tidy harbour", "another password", by); limitOf(t, err) != LimitPassword {
		t.Errorf("after too many wrong passwords: %v", err)
	}
}

func TestLogin_NodesCountTogether(t *testing.T) {
	db := testenv.Open(t, testenv.SQLiteURL(t))
	url, service := testenv.RedisURL(t), testenv.Service()
	nodes := make([]*Service, 2)
	for i := range nodes {
		shared := throttle.NewShared(testenv.OpenRedis(t, url, service), time.Now, slog.New(slog.DiscardHandler))
		nodes[i] = New(db, time.Now).Limiting(shared, 0)
	}
	mustCreate(t, nodes[0], "ada", models.RoleAdmin)
	device := deviceFor(t, nodes[0], "ada")
	// The last of them has the longest delay, so that the limit is still in force when it is
	// reached.
	for i := range accountRule.Free + 3 {
		key := throttle.Key{Rule: accountRule, Subject: "ada\x00192.0.2.1"}
		if i >= accountRule.Free {
			key.Rule = &throttle.Rule{Name: accountRule.Name, Free: 1000, Memory: time.Hour}
		}
		if _, refusal := nodes[i%2].throttle.Begin(context.Background(), key); refusal != nil {
			t.Fatalf("failure %d: %+v", i+1, refusal)
		}
	}
	for i, node := range nodes {
		if limit := limitOf(t, guess(node, "ada", "192.0.2.1", "")); limit != LimitPassword {
			t.Errorf("node %d: limit %q", i, limit)
		}
		if _, err := node.Login(context.Background(), LoginRequest{
			Name: "ada", Password: "tidy harbour", Address: "192.0.2.1", Device: device,
		}); err != nil {
			t.Errorf("node %d: a browser that has logged in before: %v", i, err)
		}
	}
}

// TestLogin_FailureTime checks that the time of a failed login does not reveal whether a name
// exists, even if one lane is busier than the other.
func TestLogin_FailureTime(t *testing.T) {
	o, _ := newOperators(testenv.Open(t, testenv.SQLiteURL(t)))
	mustCreate(t, o, "ada", models.RoleAdmin)
	const failureTime = time.Hour
	slow := o.Limiting(o.throttle, failureTime)
	for i, name := range []string{"ada", "nobody"} {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			_, err := slow.Login(ctx, LoginRequest{Name: name, Password: "wrong password", Address: "192.0.2.1"})
			done <- err
		}()
		for len(audited(t, o)) < 2+i {
			time.Sleep(time.Millisecond)
		}
		select {
		case err := <-done:
			t.Fatalf("%s: returned immediately: %v", name, err)
		case <-time.After(100 * time.Millisecond):
		}
		cancel()
		if err := <-done; fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	if login, err := slow.Login(context.Background(), LoginRequest{Name: "ada", Password: "tidy harbour"}); err != nil || login == nil {
		t.Errorf("the right password: %v", err)
	}
}

// TestLogin_ShortPassword checks that a password that an earlier release accepted still works.
func TestLogin_ShortPassword(t *testing.T) {
	ctx := context.Background()
	db := testenv.Open(t, testenv.SQLiteURL(t))
	o, _ := newOperators(db)
	mustCreate(t, o, "ada", models.RoleAdmin)
	const short = "password"
	if _, err := o.SetPassword(ctx, "ada", short, shell); fault.CodeOf(err) != fault.InvalidArgument {
		t.Fatalf("a new password %q: %v", short, err)
	}
	hash, err := o.hasher.hash(ctx, short)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Model(&models.Operator{}).Where("name = ?", "ada").Update("password_hash", hash).Error
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Login(ctx, LoginRequest{Name: "ada", Password: short}); err != nil {
		t.Errorf("an old password: %v", err)
	}
}
