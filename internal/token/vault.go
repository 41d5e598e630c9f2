package token

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"gorm.io/gorm"

	"rollcall/internal/atrest"
	"rollcall/internal/database"
	"rollcall/models"
)

// Vault encrypts other secrets that the database stores, under keys derived from those that sign
// tokens.
//
// A secret is encrypted once for each key that verifies tokens, and any of them decrypts it. So it
// can be read wherever the tokens are verified, also while keys are exchanged on one node after the
// other. When the keys change, the secrets must be stored again with Ring.Renew: for a new key, and no
// longer for one that was retired.
type Vault struct {
	db         *database.DB
	configured func() ([]*signingKey, error)
}

// NewVault returns a Vault with the keys in db and the configured ones; see CheckConfigured.
func NewVault(db *database.DB, configured string) *Vault {
	return &Vault{db: db, configured: sync.OnceValues(func() ([]*signingKey, error) { return parseConfigured(configured) })}
}

// Ring is the keys of a Vault at one moment.
type Ring struct {
	secretKeys atrest.Keys
	// keys are what encrypts, the configured ones first, then the newest.
	keys []ringKey
	// openers are the keys that decrypt, by their IDs: those in keys, and retired ones.
	openers map[string]cipher.AEAD
	// err is why a stored key cannot be decrypted, or nil if all can.
	err error
}

type ringKey struct {
	id   string
	aead cipher.AEAD
}

const (
	// vaultVersion is the first byte of a secret in a Vault. atrest's is another.
	vaultVersion = 2
	idSize       = 16
	// partSize is what one key adds: its ID, a nonce, and the secret with its tag.
	partSize = idSize + 12 + atrest.PlainSize + 16
	// maxParts is how many keys a secret is encrypted for, so that it fits its column.
	maxParts = 16
)

// KeyError is returned for a secret that no key at hand decrypts.
type KeyError struct{ problem string }

func (e *KeyError) Error() string { return e.problem }

// Read returns the keys that tx sees.
func (v *Vault) Read(tx *gorm.DB, now models.Time) (*Ring, error) {
	rows, err := stored(tx)
	if err != nil {
		return nil, fmt.Errorf("reading the token keys: %w", err)
	}
	configured, err := v.configured()
	if err != nil {
		return nil, err
	}
	r := &Ring{secretKeys: v.db.SecretKeys(), openers: make(map[string]cipher.AEAD)}
	for _, key := range configured {
		r.add(key.id, key.secret, true)
	}
	for _, row := range slices.Backward(rows) {
		secret, _, err := r.secretKeys.Open(row.Secret, place(row))
		if err != nil {
			r.err = err
			continue
		}
		r.add(row.ID, secret, !retired(row, now))
	}
	r.keys = r.keys[:min(len(r.keys), maxParts)]
	return r, nil
}

// Lock is Read, and lets other transactions change the keys only after tx. It must come before any
// other lock on what is stored with the Ring.
func (v *Vault) Lock(tx *gorm.DB, now models.Time) (*Ring, error) {
	if _, err := lockStored(tx); err != nil {
		return nil, fmt.Errorf("locking the token keys: %w", err)
	}
	return v.Read(tx, now)
}

func (r *Ring) add(id string, secret []byte, encrypts bool) {
	if r.openers[id] != nil || len(id) != idSize {
		return
	}
	block, err := aes.NewCipher(derive(secret, "rollcall stored secrets", 32))
	if err != nil {
		panic(err) // the key has AES's size
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // the cipher has GCM's block size
	}
	r.openers[id] = aead
	if encrypts {
		r.keys = append(r.keys, ringKey{id, aead})
	}
}

// Opens makes r also decrypt what the keys of before do.
func (r *Ring) Opens(before *Ring) {
	for id, aead := range before.openers {
		if r.openers[id] == nil {
			r.openers[id] = aead
		}
	}
}

// Seal returns what to store of a secret of atrest.PlainSize bytes at a place, such as a table and
// its row's key. Returns a *KeyError if there is no key.
func (r *Ring) Seal(secret []byte, place string) ([]byte, error) {
	if len(secret) != atrest.PlainSize {
		panic(fmt.Sprintf("token: a secret of %d bytes", len(secret)))
	}
	if len(r.keys) == 0 {
		return nil, r.noKey()
	}
	out := []byte{vaultVersion}
	for _, key := range r.keys {
		out = append(out, key.id...)
		out = key.aead.Seal(out, nil, secret, []byte(place))
	}
	return out, nil
}

// Ticket returns data, encrypted under one key, that a client is given and brings back soon. It is
// for that purpose only. Returns a *KeyError if there is no key.
func (r *Ring) Ticket(data []byte, purpose string) ([]byte, error) {
	if len(r.keys) == 0 {
		return nil, r.noKey()
	}
	return r.keys[0].aead.Seal(nil, nil, data, ticketPlace(purpose)), nil
}

// OpenTicket returns the data of a Ticket for that purpose. ok is false if it is none of a node with
// the same keys.
func (r *Ring) OpenTicket(ticket []byte, purpose string) (data []byte, ok bool) {
	for _, aead := range r.openers {
		if data, err := aead.Open(nil, nil, ticket, ticketPlace(purpose)); err == nil {
			return data, true
		}
	}
	return nil, false
}

// ticketPlace is no place of a stored secret.
func ticketPlace(purpose string) []byte { return []byte("ticket: " + purpose) }

// noKey returns why nothing can be encrypted.
func (r *Ring) noKey() *KeyError {
	if r.err != nil {
		return &KeyError{r.err.Error()}
	}
	return &KeyError{"there is no token key to encrypt with: set ROLLCALL_TOKEN_KEY as for the servers, or start a server first"}
}

// parts returns the parts of a stored secret, or nil if it was not stored by a Vault.
func parts(stored []byte) [][]byte {
	if len(stored) <= 1 || stored[0] != vaultVersion || (len(stored)-1)%partSize != 0 {
		return nil
	}
	return slices.Collect(slices.Chunk(stored[1:], partSize))
}

func partID(part []byte) string { return string(part[:idSize]) }

// Open returns a stored secret. It also reads one that atrest has stored. Returns a *KeyError if no
// key decrypts it.
func (r *Ring) Open(stored []byte, place string) ([]byte, error) {
	list := parts(stored)
	if list == nil {
		secret, _, err := r.secretKeys.Open(stored, place)
		if err != nil {
			return nil, &KeyError{err.Error()}
		}
		return secret, nil
	}
	var ids []string
	for _, part := range list {
		id := partID(part)
		aead := r.openers[id]
		if aead == nil {
			ids = append(ids, id)
			continue
		}
		if secret, err := aead.Open(nil, nil, part[idSize:], []byte(place)); err == nil {
			return secret, nil
		}
	}
	switch {
	case len(ids) == 0:
		return nil, &KeyError{"the stored secret has been changed"}
	case r.err != nil:
		return nil, &KeyError{r.err.Error()}
	}
	return nil, &KeyError{"the stored secret is encrypted with the token keys " + strings.Join(ids, ", ") + ", check ROLLCALL_TOKEN_KEY"}
}

// Renew returns what to store of a stored secret now, and reports whether that differs: it is
// encrypted for all keys that encrypt, and no longer for those that were retired. With all, it is no
// longer encrypted for keys that are unknown here either, such as those that are no longer
// configured; without, as in a command that does not know the configured keys, it stays encrypted
// for these. A secret that no key decrypts is returned as it is, with a *KeyError.
func (r *Ring) Renew(stored []byte, place string, all bool) (renewed []byte, changed bool, err error) {
	secret, err := r.Open(stored, place)
	if err != nil {
		return stored, false, err
	}
	var want, have []string
	for _, key := range r.keys {
		want = append(want, key.id)
	}
	var kept []byte
	list := parts(stored)
	for _, part := range list {
		id := partID(part)
		have = append(have, id)
		if r.openers[id] == nil && !all && len(want) < maxParts {
			want, kept = append(want, id), append(kept, part...)
		}
	}
	if list != nil && slices.Equal(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(have))) {
		return stored, false, nil
	}
	renewed, err = r.Seal(secret, place)
	if keyErr := (*KeyError)(nil); errors.As(err, &keyErr) {
		return stored, false, err
	}
	return append(renewed, kept...), true, nil
}
