package operators

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"rollcall/internal/commonpasswords"
	"rollcall/internal/fault"
	"rollcall/internal/validate"
)

// The bounds of an operator's password, in characters.
const (
	MinPasswordLength = 12
	MaxPasswordLength = 256
)

// The cost of a hash: the setting with the least memory of those that OWASP recommends for
// argon2id, because the whole service must need no more than 60 MB when idle.
const (
	argonMemoryKiB = 19 * 1024
	argonTime      = 2
	argonThreads   = 1
	argonSaltBytes = 16
	argonKeyBytes  = 32
)

// CheckPassword refuses a new password that is too short, too long to have been typed, not UTF-8,
// or common, or that has control characters, which forms and terminals drop or act on. The
// characters are counted in the form that is hashed; see canonical.
func CheckPassword(password string) error {
	switch n := utf8.RuneCountInString(canonical(password)); {
	case !utf8.ValidString(password):
		return fault.Invalid("password", "utf8", "password must be UTF-8")
	case validate.HasControl(password):
		return fault.Invalid("password", "nocontrol", "password must not contain control characters")
	case n < MinPasswordLength:
		return fault.Invalid("password", "min", "password must have at least %d characters", MinPasswordLength)
	case n > MaxPasswordLength:
		return fault.Invalid("password", "max", "password must have at most %d characters", MaxPasswordLength)
	case commonpasswords.Contain(canonical(password)):
		return fault.Invalid("password", "common", "password must not be a common one")
	}
	return nil
}

// canonical returns the form in which a password is hashed. It is NFC, because keyboards differ in
// how they compose an accented letter. It has no leading byte order mark, which some editors write
// to a file.
func canonical(password string) string {
	return norm.NFC.String(strings.TrimPrefix(password, "\ufeff"))
}

// maxTypedLength is the maximum number of characters of a valid password before NFC, in which one
// character replaces up to four.
const maxTypedLength = 4 * MaxPasswordLength

// typedForms returns the forms of a typed password that may have been hashed. They are the
// canonical one and those that earlier releases may have hashed: exactly as typed, and decomposed.
// Their number depends only on the text, so the time of a login does not reveal whether the account
// exists. For most passwords all forms are equal.
func typedForms(typed string) []string {
	typed = validate.Clip(typed, maxTypedLength+1)
	forms := []string{canonical(typed)}
	for _, earlier := range []string{typed, norm.NFD.String(typed)} {
		if !slices.Contains(forms, earlier) {
			forms = append(forms, earlier)
		}
	}
	return forms
}

// NewPassword returns a password of 100 random bits, in letters and digits that are easy to tell
// apart.
func NewPassword() string {
	const group = 5
	text := strings.ToLower(rand.Text()[:4*group])
	return strings.Join([]string{text[:group], text[group : 2*group], text[2*group : 3*group], text[3*group:]}, "-")
}

// hasher computes password hashes in three lanes that do not wait for each other: for operators and
// browsers that have logged in before, for other logins with the name of an operator, and for
// logins with an unknown name. Each lane computes one hash at a time, so that a hundred logins wait
// instead of taking two gigabytes.
type hasher struct{ known, strangers, unknown lane }

// lane has a slot for each hash that may be computed concurrently.
type lane chan struct{}

func newHasher() *hasher {
	return &hasher{known: make(lane, 1), strangers: make(lane, 1), unknown: make(lane, 1)}
}

// hash returns password's argon2id hash in PHC form. It returns an error only if ctx ends before a
// slot is free.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	phc := newPHC()
	rand.Read(phc.salt)
	var err error
	if phc.key, err = h.known.derive(ctx, canonical(password), phc, argonKeyBytes); err != nil {
		return "", err
	}
	return phc.String(), nil
}

// verify reports whether encoded is the hash of one of password's typedForms.
func (h *hasher) verify(ctx context.Context, in lane, password, encoded string) (bool, error) {
	phc, err := parsePHC(encoded)
	if err != nil {
		return false, err
	}
	for _, form := range typedForms(password) {
		key, err := in.derive(ctx, form, phc, len(phc.key))
		if err != nil {
			return false, err
		}
		if subtle.ConstantTimeCompare(key, phc.key) == 1 {
			return true, nil
		}
	}
	return false, nil
}

// verifyNothing takes as long as verify with a wrong password. It is used for unknown names.
func (h *hasher) verifyNothing(ctx context.Context, password string) error {
	for _, form := range typedForms(password) {
		if _, err := h.unknown.derive(ctx, form, newPHC(), argonKeyBytes); err != nil {
			return err
		}
	}
	return nil
}

func (l lane) derive(ctx context.Context, password string, phc phcHash, keyBytes int) ([]byte, error) {
	select {
	case l <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-l }()
	return argon2.IDKey([]byte(password), phc.salt, phc.time, phc.memory, phc.threads, uint32(keyBytes)), nil
}

// phcHash is a hash with all parameters that are needed to compute it again. So the cost can be
// raised later without invalidating old passwords.
type phcHash struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

// newPHC returns a hash with the current cost, without salt and key.
func newPHC() phcHash {
	return phcHash{memory: argonMemoryKiB, time: argonTime, threads: argonThreads, salt: make([]byte, argonSaltBytes)}
}

// phcFormat is the part of the PHC form before salt and key.
const phcFormat = "$argon2id$v=%d$m=%d,t=%d,p=%d$"

// String returns the PHC form.
func (p phcHash) String() string {
	return fmt.Sprintf(phcFormat, argon2.Version, p.memory, p.time, p.threads) +
		base64.RawStdEncoding.EncodeToString(p.salt) + "$" + base64.RawStdEncoding.EncodeToString(p.key)
}

// parsePHC returns the hash whose String is encoded. It refuses any other spelling. Its errors
// contain no part of the hash.
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
	// Sscanf accepts leading zeros, and the decoding skips line breaks.
	if p.String() != encoded {
		return p, fmt.Errorf("reading password hash: not in canonical form")
	}
	return p, nil
}
