// Package trusted reads the documents that an app accepts from its users, and no others, from files
// in the format that GraphQL Code Generator and Relay write: a JSON object from IDs to documents.
package trusted

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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

// Operation is an operation of a document. Kind is query, mutation or subscription, and Name is "" if
// it has none.
type Operation struct{ Kind, Name string }

// Document is a document that an app accepts.
type Document struct {
	ID, Text   string
	Operations []Operation
	// File is the path of its file.
	File string
}

// File is a file with documents of an app.
type File struct {
	Path string
	// Changed is when the file was changed, and Documents how many documents it has.
	Changed   time.Time
	Documents int

	app string
}

// Documents are the documents of one app. A nil *Documents is that of an app that accepts any, and
// contains none.
type Documents struct {
	// All are the documents, ordered by the names of their operations and then by ID.
	All []*Document
	// Files are the files that they are from.
	Files []File

	byID  map[string]*Document
	texts map[string]bool
}

// ByID returns the document with that ID, or nil if there is none.
func (d *Documents) ByID(id string) *Document {
	if d == nil {
		return nil
	}
	return d.byID[id]
}

// Contains reports whether the text is that of a document.
func (d *Documents) Contains(text string) bool { return d != nil && d.texts[text] }

// Status is how the files were last read.
type Status struct {
	// ReadAt is when the documents that are in force were read.
	ReadAt time.Time
	// Err is why the files that are there now are not in force, since FailedAt. It is nil if they are.
	Err      error
	FailedAt time.Time
}

// Store has the documents of all apps that are in the files, and follows changes of the files.
type Store struct {
	path   string
	check  func(document string) ([]Operation, error)
	log    *slog.Logger
	apps   atomic.Pointer[map[string]*Documents]
	status atomic.Pointer[Status]
	// seen describes the files when they were last read.
	seen string
}

// Open reads the files at path: KEY.json has the documents of the app with that key, or a folder has
// such files, and folders KEY with any number of files. check returns the operations of a document, or
// an error if it cannot be executed. Returns an error that names the file and the ID of a bad document.
func Open(path string, check func(document string) ([]Operation, error), log *slog.Logger) (*Store, error) {
	s := &Store{path: path, check: check, log: log}
	s.status.Store(&Status{})
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

// Path returns the path of the files.
func (s *Store) Path() string { return s.path }

// Status returns how the files were last read.
func (s *Store) Status() Status { return *s.status.Load() }

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

// refresh reads the files if they have changed since it last did, whatever the result was.
func (s *Store) refresh() (changed bool, err error) {
	files, seen, err := s.files()
	if err != nil {
		s.seen = "" // they are read again when they are there again
		return false, s.failed(err)
	}
	if seen == s.seen {
		return false, nil
	}
	s.seen = seen
	apps := make(map[string]*Documents)
	for _, f := range files {
		if apps[f.app] == nil {
			apps[f.app] = &Documents{byID: make(map[string]*Document), texts: make(map[string]bool)}
		}
		if err := s.read(f, apps[f.app]); err != nil {
			return false, s.failed(err)
		}
	}
	for _, docs := range apps {
		slices.SortFunc(docs.All, func(a, b *Document) int {
			byName := slices.CompareFunc(a.Operations, b.Operations, func(a, b Operation) int { return cmp.Compare(a.Name, b.Name) })
			return cmp.Or(byName, cmp.Compare(a.ID, b.ID))
		})
	}
	s.apps.Store(&apps)
	s.status.Store(&Status{ReadAt: time.Now()})
	return true, nil
}

// failed records an error of refresh, and returns it.
func (s *Store) failed(err error) error {
	next := s.Status()
	if next.Err == nil {
		next.FailedAt = time.Now()
	}
	next.Err = err
	s.status.Store(&next)
	return err
}

// files lists the files. seen differs whenever one of them was changed, added or removed.
func (s *Store) files() (files []File, seen string, err error) {
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
		files = append(files, File{Path: path, Changed: info.ModTime(), app: app})
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

// read adds a file and its documents to docs.
func (s *Store) read(f File, docs *Documents) error {
	content, err := os.ReadFile(f.Path)
	if err != nil {
		return err
	}
	var byID map[string]string
	if err := json.Unmarshal(content, &byID); err != nil {
		return fmt.Errorf("%s must be a JSON object from IDs to documents: %w", f.Path, err)
	}
	for id, text := range byID {
		other := docs.byID[id]
		switch {
		case id == "" || len(id) > maxID:
			return fmt.Errorf("%s: an ID has %d bytes; 1 to %d are allowed", f.Path, len(id), maxID)
		case other != nil && other.Text != text:
			return fmt.Errorf("%s: the ID %q has another document in another file", f.Path, id)
		case other != nil:
			continue
		}
		operations, err := s.check(text)
		if err != nil {
			return fmt.Errorf("%s: the document %q: %w", f.Path, id, err)
		}
		doc := &Document{ID: id, Text: text, Operations: operations, File: f.Path}
		docs.All = append(docs.All, doc)
		docs.byID[id], docs.texts[text] = doc, true
	}
	f.Documents = len(byID)
	docs.Files = append(docs.Files, f)
	return nil
}
