package console

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
	"testing"
)

func TestAssetsAreKeptForEver(t *testing.T) {
	s := onSQLite(t)
	b := s.browser() // not logged in
	a, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	for name, address := range a.addresses {
		want, err := staticFiles.ReadFile("static/" + name)
		s.check(err)
		for _, encoding := range []string{"identity", "gzip", "gzip;q=0, *", "br, GZIP; q=0.5"} {
			b.head.Set("Accept-Encoding", encoding)
			got := b.get(address)
			got.want(t, http.StatusOK)
			body := []byte(got.body)
			if zipped := encoding == "gzip" || encoding == "br, GZIP; q=0.5"; zipped != (got.Header.Get("Content-Encoding") == "gzip") {
				t.Fatalf("%s for Accept-Encoding %q: Content-Encoding %q", name, encoding, got.Header.Get("Content-Encoding"))
			} else if zipped {
				r, err := gzip.NewReader(bytes.NewReader(body))
				s.check(err)
				body, err = io.ReadAll(r)
				s.check(err)
			}
			if !bytes.Equal(body, want) {
				t.Errorf("%s as %s is not the file", name, encoding)
			}
			if cache := got.Header.Get("Cache-Control"); cache != "public, max-age=31536000, immutable" {
				t.Errorf("%s: Cache-Control %q", name, cache)
			}
			if kind := got.Header.Get("Content-Type"); kind != assetTypes[path.Ext(name)] {
				t.Errorf("%s: Content-Type %q", name, kind)
			}
		}
		b.get("/console/static/000000000000/"+name).want(t, http.StatusNotFound)
		b.get("/console/static/"+name).want(t, http.StatusNotFound)
	}
}

func TestVendoredFilesArePinned(t *testing.T) {
	sums, err := staticFiles.ReadFile("static/vendor/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	pinned := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(sums)); lines.Scan(); {
		sum, name, _ := strings.Cut(lines.Text(), "  ")
		pinned[name] = sum
	}
	err = fs.WalkDir(staticFiles, "static/vendor", func(file string, entry fs.DirEntry, err error) error {
		if _, code := assetTypes[path.Ext(file)]; err != nil || !code {
			return err
		}
		body, err := staticFiles.ReadFile(file)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		if name := strings.TrimPrefix(file, "static/vendor/"); pinned[name] != hex.EncodeToString(sum[:]) {
			t.Errorf("%s is not the file that SHA256SUMS has", name)
		}
		if _, err := staticFiles.ReadFile(path.Dir(file) + "/LICENSE"); err != nil {
			t.Errorf("%s has no licence: %v", file, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFirstPageIsLight limits what a browser loads for each of the first pages, the list of apps,
// an app's overview with its charts and its statistics, to 100 KB.
func TestFirstPageIsLight(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	b.head.Set("Accept-Encoding", "gzip")
	for path, asked := range map[string]string{
		"/console/": "", overviewPath(s.dev): overviewPath(s.dev) + "/charts", statisticsPath(s.dev): "",
	} {
		page := b.get(path)
		total := len(page.body)
		if asked != "" {
			total += len(b.get(asked).body)
		}
		for name, address := range s.assetsOn(page) {
			size := len(b.get(address).body)
			t.Logf("%-28s %6d bytes", name, size)
			total += size
		}
		if total > 100_000 {
			t.Errorf("%s: %d bytes", path, total)
		}
	}
}

func (s *site) assetsOn(page *answer) map[string]string {
	a, err := loadAssets()
	s.check(err)
	found := map[string]string{}
	for name, address := range a.addresses {
		if strings.Contains(page.body, address) {
			found[name] = address
		}
	}
	return found
}

// bundled matches the package of a module in GraphiQL's bundle.
var bundled = regexp.MustCompile(`"(?:\.\./)+node_modules/((?:@[^/"]+/)?[^/"]+)`)

func TestBundledPackagesHaveNotices(t *testing.T) {
	read := func(name string) string {
		text, err := staticFiles.ReadFile("static/vendor/graphiql/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	script, notices := read("graphiql.min.js"), read("NOTICES")
	packages := map[string]bool{}
	for _, match := range bundled.FindAllStringSubmatch(script, -1) {
		packages[match[1]] = true
	}
	if len(packages) < 50 {
		t.Fatalf("only %d packages were found", len(packages))
	}
	delete(packages, "react") // has a folder of its own
	for name := range packages {
		if !strings.Contains(notices, "\n  "+name+":") && !strings.Contains(notices, "\n  "+name+"\n") {
			t.Errorf("%s is in the bundle but not in NOTICES", name)
		}
	}
}
