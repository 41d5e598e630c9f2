// Package opaque encrypts the numeric keys that callers see, as in cursors and IDs. The keys count
// the rows of all apps, and no app may learn from its own how many the others have.
//
// The same pair of numbers always gives the same text. A text that was not made for the same
// purpose and owner does not decode.
package opaque

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"rollcall/internal/strictbase64"
)

// Secret is a random number from which the keys of all Sealers are derived. The nodes of a service
// share one; see token.Keys.
type Secret [32]byte

const (
	// checkSize is how many bytes distinguish a text of this Sealer from any other: one in 2^48
	// made-up texts passes. That protects no data: each list and each row checks its reader.
	checkSize  = 6
	sealedSize = aes.BlockSize + checkSize
)

// Sealer encrypts pairs of numbers for one purpose and owner.
type Sealer struct{ pairs, checks cipher.Block }

// Sealer returns the Sealer for a purpose, such as "users", and an owner (an app's or a user's
// numeric key). It takes about a microsecond.
func (s Secret) Sealer(purpose string, owner int64) *Sealer {
	info := binary.BigEndian.AppendUint64(append([]byte(purpose), 0), uint64(owner))
	keys, err := hkdf.Expand(sha256.New, s[:], string(info), 2*aes.BlockSize)
	if err != nil {
		panic(err) // the length is a constant
	}
	return &Sealer{pairs: newBlock(keys[:aes.BlockSize]), checks: newBlock(keys[aes.BlockSize:])}
}

func newBlock(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key has AES's size
	}
	return block
}

// Seal returns the text of a pair: 30 characters from A-Z a-z 0-9 - and _.
func (s *Sealer) Seal(a, b int64) string {
	var buffer struct{ sealed, check [aes.BlockSize]byte }
	binary.BigEndian.PutUint64(buffer.sealed[:], uint64(a))
	binary.BigEndian.PutUint64(buffer.sealed[8:], uint64(b))
	s.pairs.Encrypt(buffer.sealed[:], buffer.sealed[:])
	s.checks.Encrypt(buffer.check[:], buffer.sealed[:])
	raw := append(make([]byte, 0, sealedSize), buffer.sealed[:]...)
	return base64.RawURLEncoding.EncodeToString(append(raw, buffer.check[:checkSize]...))
}

// Open returns the pair of a text, and reports whether a Sealer of this purpose and owner made it.
func (s *Sealer) Open(text string) (a, b int64, ok bool) {
	raw, err := strictbase64.Decode(base64.RawURLEncoding, text)
	if err != nil || len(raw) != sealedSize {
		return 0, 0, false
	}
	pair, check := raw[:aes.BlockSize], make([]byte, aes.BlockSize)
	s.checks.Encrypt(check, pair)
	if [checkSize]byte(check) != [checkSize]byte(raw[aes.BlockSize:]) {
		return 0, 0, false
	}
	s.pairs.Decrypt(pair, pair)
	return int64(binary.BigEndian.Uint64(pair)), int64(binary.BigEndian.Uint64(pair[8:])), true
}
