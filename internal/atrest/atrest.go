// Package atrest encrypts the secrets that the database stores, under keys that it does not.
//
// What is encrypted is bound to its place: a secret that is moved to another row does not decrypt
// there.
package atrest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
)

// Setting is the name of the setting that holds the keys, for errors.
const Setting = "ROLLCALL_DATABASE_KEY"

// minLength is how many characters a key must have.
const minLength = 32

// PlainSize is the size of all secrets that are stored. A longer value is an encrypted one.
const PlainSize = 32

const (
	version    = 1 // the first byte of what is encrypted
	sealedSize = 1 + 12 + PlainSize + 16
)

// The errors of Open. They name the setting.
var (
	ErrNoKey    = errors.New("the secrets in the database are encrypted: set " + Setting + " to the key that they were encrypted with")
	ErrWrongKey = errors.New("the secrets in the database are encrypted with none of the keys in " + Setting + ", or have been changed")
)

// Keys are what encrypts secrets; the first encrypts, all decrypt. With none, as in the zero value,
// secrets are stored as they are.
type Keys struct{ aeads []cipher.AEAD }

// Parse reads keys, separated by commas, of at least 32 characters each; none if text is empty. The
// error holds no part of a key.
func Parse(text string) (Keys, error) {
	var k Keys
	if text == "" {
		return k, nil
	}
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if len(part) < minLength {
			return Keys{}, fmt.Errorf("each key must have at least %d characters", minLength)
		}
		if seen[part] {
			return Keys{}, errors.New("a key is given twice")
		}
		seen[part] = true
		aead, err := newAEAD(part)
		if err != nil {
			return Keys{}, err
		}
		k.aeads = append(k.aeads, aead)
	}
	return k, nil
}

// newAEAD returns AES-256-GCM with random nonces. The key is derived quickly: a configured key is
// random, and not a password.
func newAEAD(key string) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, []byte(key), nil, "rollcall database key", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// None reports whether secrets are stored as they are.
func (k Keys) None() bool { return len(k.aeads) == 0 }

// Seal returns what to store of a secret of PlainSize at a place, such as a table and its row's key.
func (k Keys) Seal(secret []byte, place string) []byte {
	if len(secret) != PlainSize {
		panic(fmt.Sprintf("atrest: a secret of %d bytes", len(secret)))
	}
	if k.None() {
		return secret
	}
	return k.aeads[0].Seal([]byte{version}, nil, secret, []byte(place))
}

// Open returns a stored secret, and current reports whether Seal would store it in the same way:
// it does not if the secret is not encrypted although there is a key, or by another than the first.
// Errors: ErrNoKey, ErrWrongKey, and one for a value that is no secret.
func (k Keys) Open(stored []byte, place string) (secret []byte, current bool, err error) {
	switch {
	case len(stored) == PlainSize:
		return stored, k.None(), nil
	case len(stored) != sealedSize || stored[0] != version:
		return nil, false, fmt.Errorf("a secret in the database has %d bytes, want %d, or %d if it is encrypted", len(stored), PlainSize, sealedSize)
	case k.None():
		return nil, false, ErrNoKey
	}
	for i, aead := range k.aeads {
		if secret, err := aead.Open(nil, nil, stored[1:], []byte(place)); err == nil {
			return secret, i == 0, nil
		}
	}
	return nil, false, ErrWrongKey
}
