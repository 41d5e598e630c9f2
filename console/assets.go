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

// assetRoot is the path of the static files, which everyone may get.
const assetRoot = Root + "static/"

// assetTypes are the kinds of files that are served; others in static/, such as
// licences, are only carried along.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// assets serves the static files under addresses that hold their checksum, so
// browsers may keep them for ever and never hold a stale one.
type assets struct {
	addresses map[string]string // by name, such as "console.css"
	files     map[string]*asset // by address
}

type asset struct {
	kind string
	body []byte
	// zipped is made when first asked for; most files of the explorer never are.
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

// address answers where the file is served; a template that names one that is
// not there is an error.
func (a *assets) address(name string) (string, error) {
	address, ok := a.addresses[name]
	if !ok {
		return "", fmt.Errorf("there is no static file %q", name)
	}
	return address, nil
}

// ServeHTTP answers a static file.
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
	_, _ = w.Write(body) // the browser may be gone
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
	_, _ = w.Write(body) // a bytes.Buffer takes everything
	_ = w.Close()
	return out.Bytes()
}
