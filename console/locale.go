package console

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/text/language"

	"rollcall/internal/audit"
)

//go:embed locales/*.json
var localeFiles embed.FS

// languages are the languages of the console, the default first. Each has a file in locales/.
var languages = []struct{ tag, name string }{
	{"en", "English"},
	{"zh-CN", "简体中文"},
}

// languageMatcher finds the one of languages, by its index, that suits a browser best.
var languageMatcher = func() language.Matcher {
	var tags []language.Tag
	for _, l := range languages {
		tags = append(tags, language.MustParse(l.tag))
	}
	return language.NewMatcher(tags)
}()

// languageCookie holds the language that the reader chose.
const languageCookie = "rollcall_language"

// languageAge is how many seconds the choice is remembered: one year.
const languageAge = 365 * 24 * 60 * 60

// locale is a language with its texts.
type locale struct {
	tag, name string
	texts     map[string]string
}

func loadLocales() ([]*locale, error) {
	var list []*locale
	for _, known := range languages {
		l := &locale{tag: known.tag, name: known.name}
		raw, err := localeFiles.ReadFile("locales/" + l.tag + ".json")
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, &l.texts); err != nil {
			return nil, fmt.Errorf("reading locales/%s.json: %w", l.tag, err)
		}
		list = append(list, l)
	}
	return list, nil
}

// text returns the text of key with each {name} replaced. args are names and values in turn.
func (l *locale) text(key string, args ...any) (string, error) {
	text, ok := l.texts[key]
	if !ok {
		return "", fmt.Errorf("locale %s has no text %q", l.tag, key)
	}
	if len(args)%2 != 0 {
		return "", fmt.Errorf("text %q: a name without a value", key)
	}
	var pairs []string
	for i := 0; i < len(args); i += 2 {
		pairs = append(pairs, fmt.Sprintf("{%v}", args[i]), display(args[i+1]))
	}
	return strings.NewReplacer(pairs...).Replace(text), nil
}

// has reports whether there is a text for key.
func (l *locale) has(key string) bool {
	_, ok := l.texts[key]
	return ok
}

// actorTexts are the texts for actors whose names are words, and not those of operators.
var actorTexts = map[string]string{audit.CommandLine.Name: "audit.command_line", audit.FirstStart.Name: "audit.first_start"}

// actor returns the name of an actor of the audit as it is shown.
func (l *locale) actor(name string) (string, error) {
	if key, ok := actorTexts[name]; ok {
		return l.text(key)
	}
	return name, nil
}

// actorNamed returns the name in the audit of an actor whose name was read from a page.
func (l *locale) actorNamed(shown string) string {
	for name, key := range actorTexts {
		if strings.EqualFold(l.texts[key], shown) {
			return name
		}
	}
	return shown
}

// count returns the text of key for n things, which is the text of key.one or key.other with {n}
// replaced.
func (l *locale) count(key string, n int) (string, error) {
	if n == 1 {
		return l.text(key+".one", "n", n)
	}
	return l.text(key+".other", "n", n)
}

// emptyState is what a page shows in place of an empty list.
type emptyState struct {
	// Title says what is empty, and Next what to do.
	Title, Next string
	// Path is where the visitor can do that, and Label what the link says. Both are "" if there is no
	// link.
	Path, Label string
}

// empty returns the state with the texts key and key.next. If path is "", because the visitor may not
// do that, and there is a text key.viewer, that is what to do. label is the key of the link's text, or
// "" if no link is needed. args are as in text.
func (l *locale) empty(key, path, label string, args ...any) (e emptyState, err error) {
	if e.Title, err = l.text(key, args...); err != nil {
		return e, err
	}
	next := key + ".next"
	if viewer := key + ".viewer"; path == "" && l.has(viewer) {
		next = viewer
	}
	if e.Next, err = l.text(next, args...); err != nil || path == "" || label == "" {
		return e, err
	}
	e.Path = path
	e.Label, err = l.text(label)
	return e, err
}

// display formats a value for a text. Numbers are grouped, as in 12,345, which is usual in both
// languages.
func display(value any) string {
	n, ok := value.(int)
	if !ok {
		return fmt.Sprint(value)
	}
	digits := strconv.Itoa(n)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// localeOf returns the locale for a request: the one that the reader chose, else the best match for
// the browser's Accept-Language, else the default.
func (c *console) localeOf(r *http.Request) *locale {
	if l := c.localeByTag(c.cookie(r, languageCookie)); l != nil {
		return l
	}
	accepted := strings.Join(r.Header.Values("Accept-Language"), ",")
	_, i := language.MatchStrings(languageMatcher, accepted)
	return c.locales[i]
}

func (c *console) localeByTag(tag string) *locale {
	for _, l := range c.locales {
		if l.tag == tag {
			return l
		}
	}
	return nil
}

// chooseLanguage stores the language chosen in the footer. If the button has sent the page's form, as
// withTyped makes it, the page gets back what was typed.
func (c *console) chooseLanguage(v *visit) error {
	form, of := v.r.PostForm, v.r.URL.Query()
	if l := c.localeByTag(form.Get("language")); l != nil {
		c.setCookie(v, languageCookie, l.tag, languageAge)
	}
	if !of.Has("action") {
		return v.redirect(localPath(form.Get("next")))
	}
	next := localPath(of.Get("next"))
	switch {
	case v.operator == nil:
	case of.Get("method") == "get":
		form.Del("language")
		form.Del(onceField)
		if action, _, _ := strings.Cut(localPath(of.Get("action")), "?"); action != Root && len(form.Encode()) < maxDraft {
			next = action + "?" + form.Encode()
		}
	default:
		if err := c.keepDraft(v, v.operator.ID, draft{Page: next, Action: of.Get("action"), Fields: form}); err != nil {
			return err
		}
	}
	return v.redirect(next)
}
