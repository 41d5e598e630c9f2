package console

import (
	"testing"
)

// TestPages_AllParse parses each page in each language, which the console does only when a page is
// first shown.
func TestPages_AllParse(t *testing.T) {
	c := loadEmbedded()
	for tag, pages := range c.pages.byLanguage {
		if len(pages) == 0 {
			t.Errorf("%s has no pages", tag)
		}
		for name := range pages {
			page, err := c.pages.page(tag, name)
			if err != nil {
				t.Errorf("%s, %s: %v", tag, name, err)
				continue
			}
			for _, part := range []string{"title", "content"} {
				if page.Lookup(part) == nil {
					t.Errorf("%s, %s: no %q", tag, name, part)
				}
			}
		}
	}
	if _, err := c.pages.page("en", "nothing"); err == nil {
		t.Error("an unknown page was found")
	}
}
