package webhooks

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"

	"rollcall/internal/atrest"
)

// secretPrefix begins the text of a secret (Standard Webhooks 1.0.0, "Signature scheme").
const secretPrefix = "whsec_"

// newSecret returns a new secret.
func newSecret() []byte {
	secret := make([]byte, atrest.PlainSize)
	rand.Read(secret)
	return secret
}

// secretText returns a secret as it is shown.
func secretText(secret []byte) string {
	return secretPrefix + base64.StdEncoding.EncodeToString(secret)
}

// signatureHeader is the header with the signature.
const signatureHeader = "webhook-signature"

// signature returns signatureHeader of Standard Webhooks 1.0.0: for each secret the
// HMAC-SHA-256 of ID, time and body.
func signature(secrets [][]byte, id string, seconds int64, body []byte) string {
	list := make([]string, len(secrets))
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + strconv.FormatInt(seconds, 10) + "."))
		mac.Write(body)
		list[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(list, " ")
}
