package token

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
)

// minConfigured is how many characters a configured key must have.
const minConfigured = 32

// CheckConfigured returns an error unless text is empty or holds keys, separated by commas, of at
// least 32 characters each. The error holds no part of a key.
func CheckConfigured(text string) error {
	_, err := parseConfigured(text)
	return err
}

func parseConfigured(text string) ([]*signingKey, error) {
	if text == "" {
		return nil, nil
	}
	var keys []*signingKey
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if len(part) < minConfigured {
			return nil, fmt.Errorf("each key must have at least %d characters", minConfigured)
		}
		if seen[part] {
			return nil, errors.New("a key is given twice")
		}
		seen[part] = true
		secret := sha256.Sum256([]byte(part))
		key := newSigningKey(keyID(secret[:]), secret[:])
		key.configured = true
		keys = append(keys, key)
	}
	return keys, nil
}
