package console

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var placeholders = regexp.MustCompile(`\{\w+\}`)

func TestLanguagesHaveTheSameTexts(t *testing.T) {
	locales, err := loadLocales()
	if err != nil {
		t.Fatal(err)
	}
	first := locales[0]
	for _, l := range locales[1:] {
		for key, text := range first.texts {
			other, ok := l.texts[key]
			if !ok {
				t.Errorf("%s lacks %q", l.tag, key)
				continue
			}
			want, got := placeholders.FindAllString(text, -1), placeholders.FindAllString(other, -1)
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(want, got) {
				t.Errorf("%s: %q has %v, %s has %v", l.tag, key, got, first.tag, want)
			}
		}
		for key := range l.texts {
			if _, ok := first.texts[key]; !ok {
				t.Errorf("%s lacks %q, which %s has", first.tag, key, l.tag)
			}
		}
	}
}

var (
	// quoted matches what may be a key, in Go and in templates.
	quoted = regexp.MustCompile(`"([a-z_]+(?:\.[A-Za-z_0-9]+)*)"`)
	// begun matches the constant prefix of a key that a template assembles, or that Go does for what
	// is wrong with a field.
	begun = regexp.MustCompile(`\(print "([a-z_.]+\.)"|= "([a-z.]*wrong\.)" \+`)
	// asked matches the keys that a template uses, with the name of the function.
	asked = regexp.MustCompile(`\b(t|n|empty) "([^"]+)"`)
)

func TestTextsAreAllThereAndAllUsed(t *testing.T) {
	locales, err := loadLocales()
	if err != nil {
		t.Fatal(err)
	}
	texts := locales[0].texts
	templates, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	var prefixes []string
	for _, file := range append(templates, sources...) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range quoted.FindAllStringSubmatch(string(text), -1) {
			used[match[1]] = true
		}
		for _, match := range begun.FindAllStringSubmatch(string(text), -1) {
			prefixes = append(prefixes, match[1]+match[2])
		}
		if strings.HasSuffix(file, ".go") {
			continue
		}
		for _, match := range asked.FindAllStringSubmatch(string(text), -1) {
			keys := []string{match[2]}
			switch match[1] {
			case "n":
				keys = []string{match[2] + ".one", match[2] + ".other"}
			case "empty":
				keys = append(keys, match[2]+".next")
				used[match[2]+".viewer"] = true // need not exist
			}
			for _, key := range keys {
				used[key] = true
				if _, ok := texts[key]; !ok {
					t.Errorf("%s uses %q, which does not exist", file, key)
				}
			}
		}
	}
	for key := range texts {
		begins := func(prefix string) bool { return strings.HasPrefix(key, prefix) }
		if !used[key] && !slices.ContainsFunc(prefixes, begins) {
			t.Errorf("nothing uses %q", key)
		}
	}
	for text := range flashTexts {
		if _, ok := texts[text]; !ok {
			t.Errorf("the flash %q has no text", text)
		}
	}
}

func TestCountAndNumbers(t *testing.T) {
	l := &locale{tag: "en", texts: map[string]string{"x.one": "{n} thing", "x.other": "{n} things", "y": "{a} of {b}: {a}"}}
	for n, want := range map[int]string{
		0: "0 things", 1: "1 thing", 2: "2 things", 999: "999 things", 1000: "1,000 things", 1234567: "1,234,567 things", -1234: "-1,234 things", -123: "-123 things",
	} {
		if got, err := l.count("x", n); err != nil || got != want {
			t.Errorf("count(%d) = %q, %v", n, got, err)
		}
	}
	if got, err := l.text("y", "a", "{b}", "b", "<&>"); err != nil || got != "{b} of <&>: {b}" {
		t.Errorf("text = %q, %v", got, err)
	}
	if _, err := l.text("z"); err == nil {
		t.Error("a missing text is not an error")
	}
	if _, err := l.text("y", "a"); err == nil {
		t.Error("a name without a value is not an error")
	}
}

func TestLanguageIsNegotiated(t *testing.T) {
	s := onSQLite(t)
	for header, want := range map[string]string{
		"":                              "en",
		"en-GB,en;q=0.9":                "en",
		"zh-CN,zh;q=0.9,en;q=0.8":       "zh-CN",
		"zh":                            "zh-CN",
		"ZH-hans-SG":                    "zh-CN",
		"de,fr;q=0.9":                   "en",
		"de;q=1, zh;q=0.5, en;q=0.4":    "zh-CN",
		"en;q=0.4,zh;q=0.5":             "zh-CN",
		"de; q=1, zh ; q=0.5":           "zh-CN",
		"zh-TW":                         "zh-CN",
		"*":                             "en",
		"zh;q=0":                        "en",
		"zh;q=x":                        "en",
		strings.Repeat("x,", 2000) + "": "en",
		"de;q=1\nzh;q=0.5":              "zh-CN", // two header lines
	} {
		b := s.browser()
		b.head["Accept-Language"] = strings.Split(header, "\n")
		got := b.get("/console/login")
		got.want(t, http.StatusOK, fmt.Sprintf(`<html lang="%s">`, want))
		if tag := got.Header.Get("Content-Language"); tag != want {
			t.Errorf("%q: Content-Language %q, want %q", header, tag, want)
		}
	}
}

func TestLanguageIsChosen(t *testing.T) {
	s := onSQLite(t)
	b := s.as("viewer")
	path := usersPath(s.dev) + "?q=a&after="
	b.get(path).want(t, http.StatusOK, `name="next" value="`+strings.ReplaceAll(path, "&", "&amp;")+`"`)
	b.post("/console/language", url.Values{"language": {"zh-CN"}, "next": {path}}).wantRedirect(t, path)
	b.get("/console/").want(t, http.StatusOK, `<html lang="zh-CN">`, "应用", "退出登录")
	b.post("/console/language", url.Values{"language": {"xx"}, "next": {"//evil.example"}}).wantRedirect(t, "/console/")
	b.get("/console/").want(t, http.StatusOK, `<html lang="zh-CN">`)
}

// TestEveryPageInEveryLanguage finds texts whose key is assembled at run time and that a language
// lacks.
func TestEveryPageInEveryLanguage(t *testing.T) {
	s := onSQLite(t)
	s.connect(s.dev, "ann", silent{})
	temporary := func(is bool) {
		s.check(s.db.Exec(t.Context(), "UPDATE operators SET password_temporary = ?", is))
	}
	for _, language := range languages {
		b := s.as("admin")
		b.post("/console/language", url.Values{"language": {language.tag}})
		for _, rt := range routes {
			method, path := s.path(rt)
			if strings.HasPrefix(path, bulkPath(s.dev)+"/") {
				path += "?id=ann"
			}
			data := strings.HasSuffix(path, "/find") || strings.HasSuffix(path, ".json") || strings.HasSuffix(path, ".csv") // without texts
			if method == http.MethodGet && !data && !strings.HasPrefix(path, "/console/login") && !rt.access.poll {
				status := http.StatusOK
				if lacks := lacking(path); lacks != 0 {
					status = lacks
				}
				temporary(path == newPasswordPath)
				b.get(path).want(t, status, `<html lang="`+language.tag+`">`)
				temporary(false)
			}
		}
	}
}

// TestLanguage_LeadsBackToTheForm: the page that shows what is wrong with a form is at the form's path.
func TestLanguage_LeadsBackToTheForm(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	path := userPath(s.dev, "ann") + "/ban"
	b.post(path, url.Values{"length": {"7"}}).want(t, http.StatusUnprocessableEntity, `name="next" value="`+path+`"`)
	b.head.Set("Referer", s.url+accountPath)
	b.post(accountPath+"/password", url.Values{}).want(t, http.StatusUnprocessableEntity, `name="next" value="`+accountPath+`"`)
	b.head.Set("Referer", "https://evil.example"+accountPath)
	b.post(accountPath+"/password", url.Values{}).want(t, http.StatusUnprocessableEntity, `name="next" value="`+Root+`"`)
}
