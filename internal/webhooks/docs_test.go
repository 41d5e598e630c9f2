package webhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The example of docs/webhooks.md.
func verify(secret string, h http.Header, body []byte) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	sent, err2 := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || err2 != nil || time.Since(time.Unix(sent, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "."))
	mac.Write(body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, got := range strings.Fields(h.Get("webhook-signature")) {
		if hmac.Equal([]byte(got), []byte(want)) {
			return true
		}
	}
	return false
}

// TestDocs_GoExample: the example verifies requests, and is the one of the page. The examples in other
// languages are tested in e2e.
func TestDocs_GoExample(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "docs_test.go"), "// The example of docs/webhooks.md.\n")
	code, _, _ := strings.Cut(rest, "\n}\n")
	if !strings.Contains(read(t, "../../docs/webhooks.md"), "```go\n"+code+"\n}\n```\n") {
		t.Errorf("docs/webhooks.md has another example than\n%s\n}", code)
	}
	key, body := newSecret(), []byte(`{"type":"user.banned"}`)
	request := func(sent time.Time, keys ...[]byte) http.Header {
		h := http.Header{}
		h.Set("webhook-id", "id")
		h.Set("webhook-timestamp", strconv.FormatInt(sent.Unix(), 10))
		h.Set("webhook-signature", signature(keys, "id", sent.Unix(), body))
		return h
	}
	now := time.Now()
	for name, test := range map[string]struct {
		header http.Header
		body   string
		want   bool
	}{
		"valid":             {request(now, key), string(body), true},
		"a little old":      {request(now.Add(-4*time.Minute), key), string(body), true},
		"during a rotation": {request(now, newSecret(), key), string(body), true},
		"another secret":    {request(now, newSecret()), string(body), false},
		"another body":      {request(now, key), string(body) + " ", false},
		"old":               {request(now.Add(-6*time.Minute), key), string(body), false},
		"of the future":     {request(now.Add(6*time.Minute), key), string(body), false},
		"nothing":           {http.Header{}, string(body), false},
	} {
		if got := verify(secretText(key), test.header, []byte(test.body)); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
