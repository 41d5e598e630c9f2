package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/internal/validate"
	"rollcall/models"
)

//go:embed templates/*.html
var templateFiles embed.FS

// layoutFile has the parts that all pages share; every other file in templates/ is a page.
const layoutFile = "layout.html"

// pages are the templates of all pages in each language. Each is parsed when it is first shown: all
// together they would be half of the memory of a service that has just started.
type pages struct {
	byLanguage map[string]map[string]func() (*template.Template, error) // tag, page
}

func parsePages(locales []*locale, files *assets) (*pages, error) {
	p := &pages{byLanguage: map[string]map[string]func() (*template.Template, error){}}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, l := range locales {
		layout := template.New(layoutFile).Option("missingkey=error").Funcs(template.FuncMap{
			"t":     l.text,
			"actor": l.actor,
			"n":     l.count,
			"empty": l.empty,
			"fault": func(f fieldFault) (string, error) { return l.text(f.Key, f.Args...) },
			"when":  pathIf,
			"num":   display,
			"lang":  func() string { return l.tag },
			"asset": files.address,
			"time":  timeOf,
			"isURL": validate.IsHTTPURL,
			"once":  onceInput,

			"presence": presenceName,
			"known":    l.has,
		})
		if err := parseFile(layout, "templates/"+layoutFile); err != nil {
			return nil, fmt.Errorf("parsing templates: %w", err)
		}
		set := map[string]func() (*template.Template, error){}
		for _, name := range names {
			if path.Base(name) == layoutFile {
				continue
			}
			set[strings.TrimSuffix(path.Base(name), ".html")] = sync.OnceValues(func() (*template.Template, error) {
				page, err := layout.Clone()
				if err != nil {
					return nil, err
				}
				return page, parseFile(page, name)
			})
		}
		p.byLanguage[l.tag] = set
	}
	return p, nil
}

// pathIf returns the path, or "" if the visitor may not use it.
func pathIf(may bool, path string) string {
	if !may {
		return ""
	}
	return path
}

// parseFile adds the definitions in a file of templates/ to a page.
func parseFile(page *template.Template, name string) error {
	text, err := templateFiles.ReadFile(name)
	if err != nil {
		return err
	}
	if path.Base(name) != page.Name() {
		page = page.New(path.Base(name))
	}
	_, err = page.Parse(withRoles(withOnce(string(text))))
	return err
}

// page returns the template of a page in the language with this tag.
func (p *pages) page(tag, name string) (*template.Template, error) {
	parse, ok := p.byLanguage[tag][name]
	if !ok {
		return nil, fmt.Errorf("there is no page %q", name)
	}
	return parse()
}

// view is the data of a template: the page's own content, and what all pages have.
type view struct {
	Page     any
	Operator *models.Operator
	// Nav is empty if the visitor is not logged in or has a duty first.
	Nav []navItem
	// Tabs are the pages of the app in the path, or empty if there is no app.
	Tabs  []navItem
	Flash *flash
	// Draft is true if the page has a form with what was typed before the session ended.
	Draft bool
	// App is the app in the path, or nil if there is none.
	App *models.App
	// Away is what is away of the service.
	Away      []outageRow
	Languages []languageItem
	// AppPath begins the paths of that app, or is "".
	AppPath string
	// Here is the page to return to after the reader chooses a language.
	Here string
}

type navItem struct {
	Path, Text string
	Current    bool
}

// appTabs returns the links to the pages of an app.
func appTabs(v *visit, app *models.App) []navItem {
	tabs := []navItem{
		{Path: overviewPath(app), Text: "tab.overview"},
		{Path: statisticsPath(app), Text: "tab.statistics"},
		{Path: usersPath(app), Text: "tab.users"},
		{Path: bannedList.path(app), Text: "tab.banned"},
		{Path: deactivatedList.path(app), Text: "tab.deactivated"},
		{Path: permissionPath(app), Text: "tab.permission"},
		{Path: connectionsPath(app), Text: "tab.connections"},
		{Path: webhooksPath(app), Text: "tab.webhooks"},
		{Path: jobsPath(app), Text: "tab.jobs"},
		{Path: settingsPath(app), Text: "tab.settings"},
	}
	here := v.r.URL.EscapedPath()
	for i := range tabs {
		// A user's page belongs to the users. The overview's path is a prefix of all others.
		tabs[i].Current = here == tabs[i].Path || i > 0 && strings.HasPrefix(here, tabs[i].Path+"/")
	}
	return tabs
}

type languageItem struct {
	Tag, Name string
	Current   bool
}

// render responds with a page of templates/. It renders into memory first, so that a failure never
// sends part of a page.
func (c *console) render(v *visit, status int, page string, content any) error {
	tmpl, err := c.pages.page(v.locale.tag, page)
	if err != nil {
		return err
	}
	d := c.takeDraft(v)
	data := view{Draft: d != nil && d.Ended, Page: content, Operator: v.operator, App: v.app, Flash: c.takeFlash(v), Away: awayIn(c.Health()), Here: v.here()}
	if v.operator != nil && !c.hasDuty(v) {
		data.Nav = []navItem{
			{Path: Root, Text: "nav.apps"},
			{Path: auditPath, Text: "nav.audit"},
			{Path: explorerPath, Text: "nav.explorer"},
		}
		if v.rights().SeeAll() {
			data.Nav = slices.Insert(data.Nav, 1, navItem{Path: operatorsPath, Text: "nav.operators"})
		}
		// The last one that matches, because Root is a prefix of them all; none for the visitor's account,
		// and for a new secret, which may be of anything.
		path := v.r.URL.Path
		elsewhere := strings.HasPrefix(path, accountPath) || strings.HasPrefix(path, shownPath)
		for i := len(data.Nav) - 1; i >= 0; i-- {
			if strings.HasPrefix(path, data.Nav[i].Path) && !elsewhere {
				data.Nav[i].Current = true
				break
			}
		}
	}
	if key := v.r.PathValue("key"); key != "" {
		app := &models.App{Key: key}
		data.Tabs, data.AppPath = appTabs(v, app), appPath(app)
	}
	for _, l := range c.locales {
		data.Languages = append(data.Languages, languageItem{Tag: l.tag, Name: l.name, Current: l == v.locale})
	}
	return v.respond(tmpl, layoutFile, status, data, func(page []byte) []byte {
		if d != nil {
			page = d.fill(page)
		}
		if v.operator != nil && !c.hasDuty(v) {
			page = withTyped(page, v.here())
		}
		return page
	})
}

// show responds with status 200 and a page.
func (c *console) show(v *visit, page string, content any) error {
	return c.render(v, http.StatusOK, page, content)
}

// showPart responds with status 200 and a part of a page, for a poll.
func (c *console) showPart(v *visit, page, part string, content any) error {
	return c.renderPart(v, http.StatusOK, page, part, content)
}

// renderPart is showPart with a status.
func (c *console) renderPart(v *visit, status int, page, part string, content any) error {
	tmpl, err := c.pages.page(v.locale.tag, page)
	if err != nil {
		return err
	}
	return v.respond(tmpl, part, status, content, nil)
}

// respond executes a template with data and sends the result, as edit returns it if it is not nil.
func (v *visit) respond(tmpl *template.Template, name string, status int, data any, edit func(page []byte) []byte) error {
	var out bytes.Buffer
	if err := tmpl.ExecuteTemplate(&out, name, data); err != nil {
		return fmt.Errorf("rendering %s: %w", name, err)
	}
	head := v.w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Language", v.locale.tag)
	head.Set("Vary", "Cookie, Accept-Language")
	v.w.WriteHeader(status)
	page := out.Bytes()
	if edit != nil {
		page = edit(page)
	}
	_, _ = v.w.Write(withMarks(page)) // the browser may have disconnected
	return nil
}

// timeElement formats a time for <time>: for machines, and for people in UTC, to the minute and to
// the second. A script shows it in the reader's time zone.
type timeElement struct{ Machine, UTC, Exact string }

func timeOf(t models.Time) timeElement {
	at := t.Time()
	return timeElement{Machine: t.String(), UTC: at.Format("2006-01-02 15:04") + " UTC", Exact: at.Format(time.DateTime) + " UTC"}
}
