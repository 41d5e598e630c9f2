package operators

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// authenticator holds a passkey, as a phone does, and answers as a browser on its behalf.
type authenticator struct {
	t       *testing.T
	rp      RelyingParty
	key     *ecdsa.PrivateKey
	id      []byte
	handle  []byte // of the user
	counter uint32
	// unverified is true if the device does not verify the user.
	unverified bool
}

func newAuthenticator(t *testing.T, rp RelyingParty) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &authenticator{t: t, rp: rp, key: key, id: []byte(rand.Text())}
}

// data returns the authenticator data with those further flags.
func (a *authenticator) data(flags byte) []byte {
	rpHash := sha256.Sum256([]byte(a.rp.ID))
	flags |= 1 // the user is present
	if !a.unverified {
		flags |= 4
	}
	return binary.BigEndian.AppendUint32(append(rpHash[:], flags), a.counter)
}

func (a *authenticator) cbor(value any) []byte {
	a.t.Helper()
	raw, err := cbor.Marshal(value)
	if err != nil {
		a.t.Fatal(err)
	}
	return raw
}

// response returns the browser's PublicKeyCredential as JSON.
func (a *authenticator) response(ceremony, options string, parts func(clientData []byte) map[string][]byte) string {
	a.t.Helper()
	var asked struct {
		Challenge string
		User      struct{ ID string }
	}
	if err := json.Unmarshal([]byte(options), &asked); err != nil {
		a.t.Fatal(err)
	}
	if asked.User.ID != "" {
		a.handle, _ = base64.RawURLEncoding.DecodeString(asked.User.ID)
	}
	client, err := json.Marshal(map[string]any{"type": ceremony, "challenge": asked.Challenge, "origin": a.rp.Origin})
	if err != nil {
		a.t.Fatal(err)
	}
	response := map[string]string{"clientDataJSON": base64.RawURLEncoding.EncodeToString(client)}
	for name, part := range parts(client) {
		response[name] = base64.RawURLEncoding.EncodeToString(part)
	}
	id := base64.RawURLEncoding.EncodeToString(a.id)
	text, err := json.Marshal(map[string]any{"id": id, "rawId": id, "type": "public-key", "response": response})
	if err != nil {
		a.t.Fatal(err)
	}
	return string(text)
}

// register makes the passkey.
func (a *authenticator) register(options string) string {
	a.t.Helper()
	public, err := a.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		a.t.Fatal(err)
	}
	key := a.cbor(map[int]any{1: 2, 3: -7, -1: 1, -2: public[1:33], -3: public[33:]})
	data := append(a.data(64), make([]byte, 16)...) // no model
	data = append(binary.BigEndian.AppendUint16(data, uint16(len(a.id))), a.id...)
	data = append(data, key...)
	return a.response("webauthn.create", options, func([]byte) map[string][]byte {
		return map[string][]byte{"attestationObject": a.cbor(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})}
	})
}

// sign uses the passkey.
func (a *authenticator) sign(options string) string {
	a.t.Helper()
	a.counter++
	return a.response("webauthn.get", options, func(client []byte) map[string][]byte {
		data, hash := a.data(0), sha256.Sum256(client)
		signed := sha256.Sum256(append(data[:len(data):len(data)], hash[:]...))
		signature, err := ecdsa.SignASN1(rand.Reader, a.key, signed[:])
		if err != nil {
			a.t.Fatal(err)
		}
		return map[string][]byte{"authenticatorData": data, "signature": signature, "userHandle": a.handle}
	})
}
