// Package trusted reads the documents that an app accepts from its users, and no others, from files
// in the format that GraphQL Code Generator and Relay write: a JSON object from IDs to documents.
package trusted

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// extension is that of the files, whose names begin with the app's key.
	extension = ".json"
	// maxBytes limits the files of all apps together.
	maxBytes = 64 << 20
	// maxID limits an ID, in bytes.
	maxID = 1024
	// checkInterval is the time between two looks for changed files.
	checkInterval = 5 * time.Second
)

// Documents are the documents of one app. A nil *Documents is that of an app that accepts any, and
// contains none.
type Documents struct {
	byID  map[string]string
	texts map[string]bool
}

// Text returns the document with that ID.
func (d *Documents) Text(id string) (text string, ok bool) {
	if d == nil {
		return "", false
	}
	text, ok = d.byID[id]
	return text, ok
}

// Contains reports whether the text is that of a document.
func (d *Documents) Contains(text string) bool { return d != nil && d.texts[text] }

// Store has the documents of all apps that are in the files, and follows changes of the files.
type Store struct {
	path  string
	check func(document string) error
	log   *slog.Logger
	apps  atomic.Pointer[map[string]*Documents]
	// seen describes the files when they were last read.
	seen string
}

// Open reads the files at path: KEY.json has the documents of the app with that key, or a folder has
// such files, and folders KEY with any number of files. check returns an error for a document that
// cannot be executed. Returns an error that names the file and the ID of a bad document.
func Open(path string, check func(document string) error, log *slog.Logger) (*Store, error) {
	s := &Store{path: path, check: check, log: log}
	if _, err := s.refresh(); err != nil {
		return nil, err
	}
	return s, nil
}

// For returns the documents of the app with that key, or nil if there is no file for it.
func (s *Store) For(appKey string) *Documents {
	if s == nil {
		return nil
	}
	return (*s.apps.Load())[appKey]
}

// Run reads the files again when they have changed, until ctx ends. If they cannot be read, the
// documents stay as they were.
func (s *Store) Run(ctx context.Context) {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch changed, err := s.refresh(); {
		case err != nil:
			s.log.ErrorContext(ctx, "trusted documents are not read again", "error", err)
		case changed:
			s.log.InfoContext(ctx, "trusted documents read again", "apps", len(*s.apps.Load()))
		}
	}
}

// file is a file with documents.
type file struct {
	path, app string
}

// refresh reads the files if they have changed since it last did, whatever the result was.
func (s *Store) refresh() (changed bool, err error) {
	files, seen, err := s.files()
	if err != nil || seen == s.seen {
		return false, err
	}
	s.seen = seen
	apps := make(map[string]*Documents)
	for _, f := range files {
		if apps[f.app] == nil {
			apps[f.app] = &Documents{byID: make(map[string]string), texts: make(map[string]bool)}
		}
		if err := s.read(f.path, apps[f.app]); err != nil {
			return false, err
		}
	}
	s.apps.Store(&apps)
	return true, nil
}

// files lists the files. seen differs whenever one of them was changed, added or removed.
func (s *Store) files() (files []file, seen string, err error) {
	root, err := os.Stat(s.path)
	if err != nil {
		return nil, "", err
	}
	var about strings.Builder
	var bytes int64
	err = filepath.WalkDir(s.path, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(path) // a mounted secret or config map is a link
		if err != nil || info.IsDir() || filepath.Ext(path) != extension {
			return err
		}
		relative := filepath.Base(path)
		if root.IsDir() {
			if relative, err = filepath.Rel(s.path, path); err != nil {
				return err
			}
		}
		parts := strings.Split(filepath.ToSlash(relative), "/")
		if strings.HasPrefix(parts[0], ".") {
			return nil // the links of a config map
		}
		app := strings.TrimSuffix(parts[0], extension)
		files = append(files, file{path, app})
		bytes += info.Size()
		fmt.Fprintf(&about, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		return nil
	})
	switch {
	case err != nil:
		return nil, "", err
	case bytes > maxBytes:
		return nil, "", fmt.Errorf("the files in %s have more than %d MiB", s.path, maxBytes>>20)
	case len(files) == 0:
		return nil, "", fmt.Errorf("%s is not a file APPKEY.json, and has none", s.path)
	}
	return files, about.String(), nil
}

// read adds the documents of a file to docs.
func (s *Store) read(path string, docs *Documents) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var byID map[string]string
	if err := json.Unmarshal(content, &byID); err != nil {
		return fmt.Errorf("%s must be a JSON object from IDs to documents: %w", path, err)
	}
	for id, text := range byID {
		switch other, exists := docs.byID[id]; {
		case id == "" || len(id) > maxID:
			return fmt.Errorf("%s: an ID has %d bytes; 1 to %d are allowed", path, len(id), maxID)
		case exists && other != text:
			return fmt.Errorf("%s: the ID %q has another document in another file", path, id)
		}
		if err := s.check(text); err != nil {
			return fmt.Errorf("%s: the document %q: %w", path, id, err)
		}
		docs.byID[id], docs.texts[text] = text, true
	}
	return nil
}
