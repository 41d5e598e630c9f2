package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/atrest"
	"rollcall/internal/database"
	"rollcall/internal/opaque"
	"rollcall/models"
)

const (
	// followInterval is how often Follow reads the keys.
	followInterval = 2 * time.Second
	// spreadTime is how old a stored key must be before it signs, if there is an older one: by then
	// all nodes have read it. It leaves room for clocks that differ.
	spreadTime = 10 * time.Second
	// unknownInterval is the minimum time between two reads of the keys for tokens of unknown keys.
	// Guests can make up any number of these.
	unknownInterval = time.Second
	// loadTimeout bounds such a read, for which several requests wait.
	loadTimeout = 5 * time.Second
	// warnInterval is how often Follow logs a problem that lasts.
	warnInterval = time.Minute
)

// Keys signs tokens with one key and verifies them with all keys that have not been retired: the
// configured ones and those in the database.
type Keys struct {
	db         *database.DB
	clock      func() time.Time
	secret     opaque.Secret
	configured []*signingKey // the first signs

	loading sync.Mutex // one load at a time, so that none overwrites a later one

	mu       sync.RWMutex
	stored   []*signingKey          // in the order of their creation, none retired
	byHeader map[string]*signingKey // configured and stored, by their tokens' first part
	// unopened has the headers of stored keys whose secrets this node does not know: it cannot
	// decrypt them, and has not read them before they were encrypted.
	unopened map[string]bool
	// openErr is why a stored secret cannot be decrypted, or nil if all can.
	openErr error
	// verified holds the tokens with good signatures by their hashes, so that verifying a token
	// again costs one SHA-256 and no JSON. Revocation is never cached.
	verified map[[sha256.Size]byte]Claims
	unknown  *unknownLoad // the latest, or nil
}

// unknownLoad is a read of the keys because of a token of an unknown key.
type unknownLoad struct {
	began time.Time
	done  chan struct{}
	err   error // set when done is closed
}

// OpenKeys loads the signing keys. configured holds keys that are not stored, separated by commas;
// see CheckConfigured. If it is empty and no key is stored, OpenKeys stores one. Later changes of
// the stored keys are followed only while Follow runs.
func OpenKeys(ctx context.Context, db *database.DB, configured string, clock func() time.Time) (*Keys, error) {
	k := &Keys{db: db, clock: clock, verified: make(map[[sha256.Size]byte]Claims)}
	var err error
	if k.configured, err = parseConfigured(configured); err != nil {
		return nil, err
	}
	if err := k.loadSecret(ctx); err != nil {
		return nil, err
	}
	if err := k.encrypt(ctx); err != nil {
		return nil, err
	}
	if err := k.loadAll(ctx); err != nil {
		return nil, err
	}
	if k.signer(k.now()) == nil {
		if err := k.createFirst(ctx); err != nil {
			return nil, err
		}
		err = k.loadAll(ctx)
	}
	return k, err
}

// loadAll is load for a node that starts: it fails unless all secrets can be decrypted.
func (k *Keys) loadAll(ctx context.Context) error {
	if _, err := k.load(ctx); err != nil {
		return err
	}
	if err := k.unopenedErr(); err != nil {
		return fmt.Errorf("loading the token keys: %w", err)
	}
	return nil
}

func (k *Keys) now() models.Time { return models.TimeOf(k.clock()) }

// sealID is the ID of the key that seals. It is fixed, so that nodes that start together on an
// empty database store only one.
const sealID = "seal"

// Secret returns the secret that encrypts the numeric keys in cursors and IDs, the same on all
// nodes.
func (k *Keys) Secret() opaque.Secret { return k.secret }

// loadSecret reads the key that seals. In a new database it creates it.
func (k *Keys) loadSecret(ctx context.Context) error {
	for {
		var row models.TokenKey
		err := k.db.Read(ctx).Where("id = ?", sealID).Take(&row).Error
		if err == nil {
			row.Secret, _, err = k.db.SecretKeys().Open(row.Secret, place(row))
		}
		if err == nil {
			k.secret = opaque.Secret(row.Secret)
			return nil
		}
		if !errors.Is(err, gorm.ErrRecordNotFound) {
			return fmt.Errorf("loading the key that seals: %w", err)
		}
		secret := make([]byte, len(k.secret))
		rand.Read(secret)
		row = models.TokenKey{ID: sealID, Purpose: models.KeySeals, CreatedAt: k.now()}
		row.Secret = k.db.SecretKeys().Seal(secret, place(row))
		err = k.db.Tx(ctx, func(tx *gorm.DB) error { return tx.Create(&row).Error })
		if err != nil && !errors.Is(err, gorm.ErrDuplicatedKey) {
			return fmt.Errorf("storing the key that seals: %w", err)
		}
	}
}

// createFirst stores a key unless another node has done so.
func (k *Keys) createFirst(ctx context.Context) error {
	err := k.db.Tx(ctx, func(tx *gorm.DB) error {
		rows, err := lockStored(tx)
		if err != nil || len(live(rows, k.now())) > 0 {
			return err
		}
		_, err = create(tx, k.db.SecretKeys(), k.now())
		return err
	})
	if err != nil {
		return fmt.Errorf("storing a token key: %w", err)
	}
	return nil
}

// load reads the stored keys, and reports whether a known one has been retired. A key whose secret
// cannot be decrypted does not prevent it from applying the others. If this node knows the secret,
// such a key stays in use for as long as its row says; see Problem.
func (k *Keys) load(ctx context.Context) (retired bool, err error) {
	k.loading.Lock()
	defer k.loading.Unlock()
	rows, err := stored(k.db.Read(ctx))
	if err != nil {
		return false, fmt.Errorf("loading the token keys: %w", err)
	}
	var opened []models.TokenKey
	var openErr error
	unopened := make(map[string]bool)
	for _, row := range live(rows, k.now()) {
		header := headerOf(row.ID)
		secret, _, err := k.db.SecretKeys().Open(row.Secret, place(row))
		if err != nil {
			openErr = err
			key := k.known(header)
			if key == nil {
				unopened[header] = true
				continue
			}
			secret = key.secret // the secret of a row never changes
		}
		row.Secret = secret
		opened = append(opened, row)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unopened, k.openErr = unopened, openErr
	return k.apply(opened), nil
}

// Problem returns what is wrong with the keys in a few words, or "" if nothing is. signs reports
// whether tokens can be signed.
func (k *Keys) Problem() (problem string, signs bool) {
	signs = k.signer(k.now()) != nil
	k.mu.RLock()
	defer k.mu.RUnlock()
	switch {
	case k.openErr != nil:
		problem = "token keys cannot be decrypted, check " + atrest.Setting
	case !signs:
		problem = "there is no token key"
	}
	if !signs {
		problem = "no token can be signed: " + problem
	}
	return problem, signs
}

// apply makes these the stored keys, and reports whether a known one is not among them. The caller
// holds k.mu.
func (k *Keys) apply(rows []models.TokenKey) (retired bool) {
	byHeader := make(map[string]*signingKey, len(rows)+len(k.configured))
	var list []*signingKey
	for _, row := range rows {
		key := k.byHeader[headerOf(row.ID)]
		if key == nil || key.configured || string(key.secret) != string(row.Secret) {
			key = newSigningKey(row.ID, row.Secret)
		}
		key.createdAt = row.CreatedAt
		key.retireAt(row.RetiresAt)
		list, byHeader[key.header] = append(list, key), key
	}
	for _, key := range k.configured {
		byHeader[key.header] = key
	}
	for header, key := range k.byHeader {
		if byHeader[header] != key {
			key.retire()
			retired = true
		}
	}
	if retired {
		maps.DeleteFunc(k.verified, func(_ [sha256.Size]byte, c Claims) bool { return byHeader[c.key.header] != c.key })
	}
	k.stored, k.byHeader = list, byHeader
	return retired
}

// signer returns the key that signs: the first configured one, else the newest stored one that all
// nodes know, else the oldest, or nil if there is none.
func (k *Keys) signer(now models.Time) *signingKey {
	if len(k.configured) > 0 {
		return k.configured[0]
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return signer(k.stored, now)
}

// signer returns which of the keys, in the order of their creation, signs, or nil if there is none.
func signer(keys []*signingKey, now models.Time) (found *signingKey) {
	for _, key := range keys {
		if !key.retired(now) && (found == nil || key.createdAt.Add(spreadTime) <= now) {
			found = key
		}
	}
	return found
}

// byTokens returns the key whose tokens have that header. If it is unknown, byTokens reads the keys
// again, because another node or a command may have added it, but at most once in unknownInterval:
// other nodes do not sign with a key that is younger than spreadTime. Errors: ErrInvalid if there is
// no such key, and UNAVAILABLE if this node cannot decrypt it.
func (k *Keys) byTokens(ctx context.Context, header string) (*signingKey, error) {
	if key, err := k.find(header); key != nil || err != nil {
		return key, err
	}
	if !isHeader(header) {
		return nil, ErrInvalid
	}
	load := k.loadUnknown(ctx)
	select {
	case <-load.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if load.err != nil {
		return nil, load.err // not ErrInvalid: whether the token is good is unknown
	}
	key, err := k.find(header)
	if key == nil && err == nil {
		err = ErrInvalid
	}
	return key, err
}

// find returns the key whose tokens have that header, or nil if the latest load found none. It
// returns UNAVAILABLE for a key that cannot be decrypted.
func (k *Keys) find(header string) (*signingKey, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if key := k.byHeader[header]; key != nil {
		return key, nil
	}
	if k.unopened[header] {
		return nil, errUnopened
	}
	return nil, nil
}

func (k *Keys) known(header string) *signingKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.byHeader[header]
}

// loadUnknown returns a read of the keys that is running or began within unknownInterval. If there
// is none, it begins one.
func (k *Keys) loadUnknown(ctx context.Context) *unknownLoad {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.unknown; l != nil {
		select {
		case <-l.done:
			if time.Since(l.began) < unknownInterval {
				return l
			}
		default:
			return l
		}
	}
	l := &unknownLoad{began: time.Now(), done: make(chan struct{})}
	k.unknown = l
	go func() {
		defer close(l.done)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		_, l.err = k.load(ctx)
	}()
	return l
}

// Follow reads the stored keys every two seconds until ctx ends, so that keys that a command or
// another node adds or retires take effect here. It calls retired when one has been retired. While
// keys cannot be read or decrypted, it logs that each minute.
func (k *Keys) Follow(ctx context.Context, log *slog.Logger, retired func()) {
	k.follow(ctx, followInterval, log, retired)
}

func (k *Keys) follow(ctx context.Context, interval time.Duration, log *slog.Logger, retired func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var problem problemLog
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		// A read that hangs must not prevent later ones once the database is back.
		reading, cancel := context.WithTimeout(ctx, loadTimeout)
		changed, err := k.load(reading)
		cancel()
		if changed {
			retired()
		}
		if err == nil {
			err = k.unopenedErr()
		}
		if ctx.Err() == nil {
			problem.report(ctx, log, err, time.Now())
		}
	}
}

// problemLog logs a problem with the keys once in warnInterval, and its end.
type problemLog struct{ warned time.Time } // zero: there is no problem

func (p *problemLog) report(ctx context.Context, log *slog.Logger, err error, now time.Time) {
	switch {
	case err != nil && now.Sub(p.warned) >= warnInterval:
		log.WarnContext(ctx, "reading the token keys failed; retrying", "error", err)
		p.warned = now
	case err == nil && !p.warned.IsZero():
		log.InfoContext(ctx, "the token keys can be read again")
		p.warned = time.Time{}
	}
}

// unopenedErr returns why a stored secret cannot be decrypted, or nil if all can.
func (k *Keys) unopenedErr() error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.openErr
}
