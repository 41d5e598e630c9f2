package apps

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"rollcall/internal/fault"
)

// The bounds of an operator's password, in characters.
const (
	MinPasswordLength = 8
	MaxPasswordLength = 256
)

// The cost of a hash: one of the settings that OWASP recommends for argon2id,
// the one with little memory, because the whole service shall idle in 60 MB.
const (
	argonMemoryKiB = 19 * 1024
	argonTime      = 2
	argonThreads   = 1
	argonSaltBytes = 16
	argonKeyBytes  = 32
)

// hashesAtOnce bounds the hashes computed at the same moment, so that a hundred
// logins wait for each other instead of taking two gigabytes.
const hashesAtOnce = 2

// CheckPassword refuses a password that is too short to be one, too long to
// have been typed, or no UTF-8.
func CheckPassword(password string) error {
	switch n := utf8.RuneCountInString(password); {
	case !utf8.ValidString(password):
		return fault.Invalid("password", "utf8", "password must be UTF-8")
	case n < MinPasswordLength:
		return fault.Invalid("password", "min", "password must have at least %d characters", MinPasswordLength)
	case n > MaxPasswordLength:
		return fault.Invalid("password", "max", "password must have at most %d characters", MaxPasswordLength)
	}
	return nil
}

// newPassword answers a password of 100 random bits in letters and digits that
// are easily told apart.
func newPassword() string {
	const group = 5
	text := strings.ToLower(rand.Text()[:4*group])
	return strings.Join([]string{text[:group], text[group : 2*group], text[2*group : 3*group], text[3*group:]}, "-")
}

// hasher computes password hashes, a few at a time.
type hasher struct{ slots chan struct{} }

func newHasher() *hasher { return &hasher{slots: make(chan struct{}, hashesAtOnce)} }

// hash answers password's argon2id hash in PHC form. It fails only when ctx ends
// before its turn comes.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, argonSaltBytes)
	rand.Read(salt)
	phc := phcHash{memory: argonMemoryKiB, time: argonTime, threads: argonThreads, salt: salt}
	var err error
	if phc.key, err = h.derive(ctx, password, phc, argonKeyBytes); err != nil {
		return "", err
	}
	return phc.String(), nil
}

// verify says whether password has that hash. Where encoded is "", because there
// is no such account, it answers no after the same time as for a wrong password.
func (h *hasher) verify(ctx context.Context, password, encoded string) (bool, error) {
	if encoded == "" {
		nobody := phcHash{memory: argonMemoryKiB, time: argonTime, threads: argonThreads, salt: make([]byte, argonSaltBytes)}
		_, err := h.derive(ctx, password, nobody, argonKeyBytes)
		return false, err
	}
	phc, err := parsePHC(encoded)
	if err != nil {
		return false, err
	}
	key, err := h.derive(ctx, password, phc, len(phc.key))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, phc.key) == 1, nil
}

func (h *hasher) derive(ctx context.Context, password string, phc phcHash, keyBytes int) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.slots }()
	return argon2.IDKey([]byte(password), phc.salt, phc.time, phc.memory, phc.threads, uint32(keyBytes)), nil
}

// phcHash is a hash with all that is needed to compute it again, so that the
// cost can be raised later without making old passwords unusable.
type phcHash struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

// phcFormat is the part of the string form in front of salt and key.
const phcFormat = "$argon2id$v=%d$m=%d,t=%d,p=%d$"

// String is the PHC string form.
func (p phcHash) String() string {
	return fmt.Sprintf(phcFormat, argon2.Version, p.memory, p.time, p.threads) +
		base64.RawStdEncoding.EncodeToString(p.salt) + "$" + base64.RawStdEncoding.EncodeToString(p.key)
}

// parsePHC reads what String wrote. Its errors hold no part of the hash.
func parsePHC(encoded string) (phcHash, error) {
	var p phcHash
	var version int
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 {
		return p, fmt.Errorf("reading password hash: %d parts", len(parts))
	}
	head := strings.Join(parts[:4], "$") + "$"
	if _, err := fmt.Sscanf(head, phcFormat, &version, &p.memory, &p.time, &p.threads); err != nil || version != argon2.Version {
		return p, fmt.Errorf("reading password hash: not argon2id of version %d", argon2.Version)
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return p, fmt.Errorf("reading password hash: salt: %w", err)
	}
	if p.key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(p.key) == 0 {
		return p, fmt.Errorf("reading password hash: no key")
	}
	return p, nil
}
