package cli

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/internal/testenv"
)

// TestServe_ErasesWhatIsOverwritten checks that a name that has been replaced disappears from the
// files while the server runs.
func TestServe_ErasesWhatIsOverwritten(t *testing.T) {
	scrubInterval = 20 * time.Millisecond
	t.Cleanup(func() { scrubInterval = 0 })
	url := testenv.SQLiteURL(t)
	_, path, _ := strings.Cut(url, ":")
	n := start(t, url)
	bearer := regexp.MustCompile(`Bearer (\S+)'`).FindStringSubmatch(n.banner())[1]
	register := func(name string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, n.base+"/graphql", strings.NewReader(
			`{"query":"mutation { registerUser(input: {id: \"ann\", name: \"`+name+`\"}) { created } }"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+bearer)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), `"created":`) {
			t.Fatalf("%s, %v", body, err)
		}
	}
	in := func(text string) bool {
		for _, name := range []string{path, path + "-wal", path + "-shm"} {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(data, []byte(text)) {
				return true
			}
		}
		return false
	}
	register("Zebulon Qvist")
	register("Ann")
	for deadline := time.Now().Add(30 * time.Second); in("Zebulon") || in("zebulon"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the former name is still in the files")
		}
	}
	if status := n.end(); status != 0 {
		t.Errorf("status %d: %s", status, n.err.String())
	}
}
