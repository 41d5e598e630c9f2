//go:build unix

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestServe_WarnsOfAnExposedDatabase checks that the warning names the file and its mode, and that
// its command fixes it.
func TestServe_WarnsOfAnExposedDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "it's mine.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil { // independent of the umask
		t.Fatal(err)
	}
	const message = `"msg":"other users of this machine can read or change the database, which holds signing keys and personal data"`
	n := start(t, "sqlite:"+path)
	got := n.warnings()
	if len(got) != 1 || !strings.Contains(got[0], message) || !strings.Contains(got[0], path+` (0644)`) {
		t.Fatalf("warnings: %q", got)
	}
	n.end()
	_, fix, _ := strings.Cut(got[0], `"fix":"`)
	fix = strings.ReplaceAll(strings.TrimSuffix(fix, `"}`), `\\`, `\`)
	if out, err := exec.Command("sh", "-c", fix).CombinedOutput(); err != nil && !strings.Contains(string(out), "No such file") {
		t.Fatalf("%s: %s", fix, out) // the files of the log no longer exist
	}
	if got := start(t, "sqlite:"+path).warnings(); slices.ContainsFunc(got, func(w string) bool { return strings.Contains(w, message) }) {
		t.Errorf("after %s: %q", fix, got)
	}
}
