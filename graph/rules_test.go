package graph_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestRules_AreDocumented: clients branch on `extensions.rule`, so docs/api.md lists its values: those
// in the sources of the API and of the rules behind it, and no others.
func TestRules_AreDocumented(t *testing.T) {
	sources := []string{"*.go", "schema/*", "scalar/*.go", "generated/models.go"}
	for _, folder := range []string{"batch", "page", "presence", "relations", "subscriptions", "users", "webhooks"} {
		sources = append(sources, "../internal/"+folder+"/*.go")
	}
	var used []string
	tags := regexp.MustCompile(`(?:validate:|rule: )"([^"]*)"|[rR]ule += "([a-z][^"]*)"`)
	single := regexp.MustCompile(`fault\.Invalid\([^\n]*?, "([a-z_0-9]+)",|\brule(?:, err\.Message)? :?= "([a-z_0-9]+)"`)
	for _, pattern := range sources {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			// Seeds are for commands alone, and notes for operators.
			if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "/seed.go") || strings.HasSuffix(file, "/users/notes.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range tags.FindAllSubmatch(text, -1) {
				for tag := range strings.SplitSeq(string(found[1])+string(found[2]), ",") {
					name, _, _ := strings.Cut(tag, "=")
					used = append(used, name)
				}
			}
			for _, found := range single.FindAllSubmatch(text, -1) {
				used = append(used, string(found[1])+string(found[2]))
			}
		}
	}
	// These say how the library applies the others.
	used = slices.DeleteFunc(used, func(rule string) bool { return slices.Contains([]string{"", "dive", "omitempty", "omitnil"}, rule) })

	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n| `rule` | the value must |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var documented []string
	for row := range strings.Lines(table) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " |")
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cell, -1) {
			documented = append(documented, name[1])
		}
	}
	slices.Sort(used)
	used = slices.Compact(used)
	slices.Sort(documented)
	if !slices.Equal(used, documented) {
		t.Errorf("rules in the sources:  %q\nrules in docs/api.md: %q", used, documented)
	}
}
