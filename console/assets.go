package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"

	"rollcall/internal/httpheader"
)

//go:embed static
var staticFiles embed.FS

// assetRoot is the path of the static files, which need no login.
const assetRoot = Root + "static/"

// assetTypes maps the extensions that are served to their types. Other files in static/, such as
// licences, are embedded but not served.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// assets serves the static files at addresses that contain their checksum, so browsers may cache
// them forever and never use a stale one.
type assets struct {
	addresses map[string]string // by name, such as "console.css"
	files     map[string]*asset // by address
}

type asset struct {
	kind string
	body []byte
	// zipped compresses the file on first use; most files of the explorer are never requested.
	zipped func() []byte
}

func loadAssets() (*assets, error) {
	a := &assets{addresses: map[string]string{}, files: map[string]*asset{}}
	err := fs.WalkDir(staticFiles, "static", func(file string, entry fs.DirEntry, err error) error {
		kind, served := assetTypes[path.Ext(file)]
		if err != nil || !served {
			return err
		}
		body, err := staticFiles.ReadFile(file)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		name := strings.TrimPrefix(file, "static/")
		address := assetRoot + hex.EncodeToString(sum[:6]) + "/" + name
		a.addresses[name] = address
		a.files[address] = &asset{kind: kind, body: body, zipped: sync.OnceValue(func() []byte { return zip(body) })}
		return nil
	})
	return a, err
}

// address returns the address at which the file is served. It returns an error for a name that does
// not exist, so that a template cannot use one.
func (a *assets) address(name string) (string, error) {
	address, ok := a.addresses[name]
	if !ok {
		return "", fmt.Errorf("there is no static file %q", name)
	}
	return address, nil
}

// ServeHTTP serves a static file.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := a.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	head := w.Header()
	head.Set("Content-Type", file.kind)
	head.Set("Cache-Control", "public, max-age=31536000, immutable")
	head.Set("Vary", "Accept-Encoding")
	body := file.body
	if acceptsGzip(r.Header) {
		head.Set("Content-Encoding", "gzip")
		body = file.zipped()
	}
	head.Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = w.Write(body) // the browser may have disconnected
}

// acceptsGzip reports whether the Accept-Encoding header names gzip and does not refuse it.
func acceptsGzip(h http.Header) bool {
	for coding, quality := range httpheader.Preferences(h, "Accept-Encoding") {
		if coding == "gzip" {
			return quality > 0
		}
	}
	return false
}

func zip(body []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(body) // writing to a bytes.Buffer cannot fail
	_ = w.Close()
	return out.Bytes()
}
