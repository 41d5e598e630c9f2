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

// The cost of a hash: one of the settings that OWASP recommends for argon2id,
// the one with little memory, because the whole service shall idle in 60 MB.
const (
	argonMemoryKiB = 19 * 1024
	argonTime      = 2
	argonThreads   = 1
	argonSaltBytes = 16
	argonKeyBytes  = 32
)

// CheckPassword refuses a new password that is too short, too long to have been typed, not UTF-8,
// a common one, or one with control characters, which forms and terminals drop or act on. Its characters are counted in the form that is hashed; see canonical.
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

// canonical returns the form in which a password is hashed: NFC, because keyboards
// differ in how they compose an accented letter, and without the byte order mark that
// some editors put in front of a file.
func canonical(password string) string {
	return norm.NFC.String(strings.TrimPrefix(password, "\ufeff"))
}

// maxTypedLength is how many characters a valid password can have before it is in NFC,
// where one character replaces up to four.
const maxTypedLength = 4 * MaxPasswordLength

// typedForms returns the forms of a typed password that may have been hashed: the
// canonical one, and those that hashes made by earlier releases may have, exactly as
// typed and decomposed. How many there are depends on the text alone, so the time of a
// login does not tell whether the account exists. For most passwords all are the same.
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

// newPassword answers a password of 100 random bits in letters and digits that
// are easily told apart.
func newPassword() string {
	const group = 5
	text := strings.ToLower(rand.Text()[:4*group])
	return strings.Join([]string{text[:group], text[group : 2*group], text[2*group : 3*group], text[3*group:]}, "-")
}

// hasher computes password hashes in three lanes that do not wait for each other: for operators
// and browsers that have logged in before, for other logins with the name of an operator, and
// for logins with any other name. Each lane computes one hash at a time, so that a hundred logins
// wait instead of taking two gigabytes.
type hasher struct{ known, strangers, nobody lane }

// lane has a slot for each hash that may be computed at the same moment.
type lane chan struct{}

func newHasher() *hasher {
	return &hasher{known: make(lane, 1), strangers: make(lane, 1), nobody: make(lane, 1)}
}

// hash returns password's argon2id hash in PHC form. It fails only if ctx ends before
// a slot is free.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	phc := newPHC()
	rand.Read(phc.salt)
	var err error
	if phc.key, err = h.known.derive(ctx, canonical(password), phc, argonKeyBytes); err != nil {
		return "", err
	}
	return phc.String(), nil
}

// verify reports whether one of password's typedForms has that hash.
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

// verifyNothing takes the time of verify with a wrong password, for a name that no operator has.
func (h *hasher) verifyNothing(ctx context.Context, password string) error {
	for _, form := range typedForms(password) {
		if _, err := h.nobody.derive(ctx, form, newPHC(), argonKeyBytes); err != nil {
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

// phcHash is a hash with all that is needed to compute it again, so that the
// cost can be raised later without making old passwords unusable.
type phcHash struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

// newPHC returns a hash of today's cost, without salt and key.
func newPHC() phcHash {
	return phcHash{memory: argonMemoryKiB, time: argonTime, threads: argonThreads, salt: make([]byte, argonSaltBytes)}
}

// phcFormat is the part of the string form in front of salt and key.
const phcFormat = "$argon2id$v=%d$m=%d,t=%d,p=%d$"

// String is the PHC string form.
func (p phcHash) String() string {
	return fmt.Sprintf(phcFormat, argon2.Version, p.memory, p.time, p.threads) +
		base64.RawStdEncoding.EncodeToString(p.salt) + "$" + base64.RawStdEncoding.EncodeToString(p.key)
}

// parsePHC returns the hash that String writes as encoded. It refuses any other spelling. Its errors
// hold no part of the hash.
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
	// Sscanf skips leading zeros, and the decoding skips line breaks.
	if p.String() != encoded {
		return p, fmt.Errorf("reading password hash: not in its one spelling")
	}
	return p, nil
}
