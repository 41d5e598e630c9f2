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

// TextSealer encrypts a text with a number for one purpose and owner. Unlike a Sealer, it makes
// another text each time.
type TextSealer struct{ aead cipher.AEAD }

// TextSealer returns the TextSealer for a purpose and an owner; see Sealer.
func (s Secret) TextSealer(purpose string, owner int64) *TextSealer {
	info := binary.BigEndian.AppendUint64(append([]byte(purpose), " as text\x00"...), uint64(owner))
	key, err := hkdf.Expand(sha256.New, s[:], string(info), aes.BlockSize)
	if err != nil {
		panic(err) // the length is a constant
	}
	aead, err := cipher.NewGCMWithRandomNonce(newBlock(key))
	if err != nil {
		panic(err) // the block has AES's size
	}
	return &TextSealer{aead}
}

// Seal returns the encrypted text and number, of A-Z a-z 0-9 - and _.
func (s *TextSealer) Seal(text string, n int64) string {
	plain := append(binary.BigEndian.AppendUint64(nil, uint64(n)), text...)
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, nil))
}

// Open returns the text and the number, and reports whether a TextSealer of this purpose and owner
// encrypted them.
func (s *TextSealer) Open(sealed string) (text string, n int64, ok bool) {
	raw, err := strictbase64.Decode(base64.RawURLEncoding, sealed)
	if err != nil {
		return "", 0, false
	}
	plain, err := s.aead.Open(nil, nil, raw, nil)
	if err != nil || len(plain) < 8 {
		return "", 0, false
	}
	return string(plain[8:]), int64(binary.BigEndian.Uint64(plain)), true
}
