package console

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/tracing"
	"rollcall/internal/validate"
)

const (
	// maxForm is the maximum size of the body of a POST.
	maxForm = 64 << 10
	// maxGuestForm is that of a POST without a login. It has room for the longest password,
	// percent-encoded. Anyone can send such forms, slowly and many at a time.
	maxGuestForm = 16 << 10
	// maxLoggedHeader is how many characters of a header a line of the log has.
	maxLoggedHeader = 200
)

// contentPolicy lets a page load and run only the console's own files: nothing inline, nothing from
// another host, no framing.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// guard wraps every request. It sets the headers of all responses, logs the request, responds to a
// panic without leaking its cause, and refuses forms that another site sends.
func (c *console) guard(next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	if c.URL != "" {
		// A proxy may change the Host, with which the Origin is compared otherwise. What is no origin
		// is not trusted.
		_ = crossOrigin.AddTrustedOrigin(strings.ToLower(c.URL))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &recorder{ResponseWriter: w}
		begun := c.Clock()
		info := &requestInfo{id: strings.ToLower(rand.Text())}
		r = r.WithContext(context.WithValue(r.Context(), requestInfoKey{}, info))
		defer func() {
			if cause := recover(); cause != nil {
				c.panicked(answer, r, cause)
			}
			tracing.SetRoute(r.Context(), r.Pattern)
			level := slog.LevelInfo
			if strings.HasPrefix(r.URL.Path, assetRoot) || c.polls[r.Pattern] {
				level = slog.LevelDebug
			}
			c.Logger.LogAttrs(r.Context(), level, "console request",
				slog.String("requestId", info.id),
				slog.String("operator", info.operatorName()),
				slog.String("route", r.Pattern),
				slog.Int("status", answer.status),
				slog.Duration("took", c.Clock().Sub(begun)))
		}()
		head := answer.Header()
		head.Set("X-Request-Id", info.id)
		head.Set("Content-Security-Policy", contentPolicy)
		head.Set("X-Frame-Options", "DENY")
		// Not no-referrer, with which browsers hide the origin of the console's own forms.
		head.Set("Referrer-Policy", "same-origin")
		head.Set("Cross-Origin-Opener-Policy", "same-origin")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		head.Set("Cache-Control", "no-store")
		if err := crossOrigin.Check(r); err != nil {
			c.outages.Warn(r.Context(), "a form from another origin was refused; if it is the console's, pass on its Host at the proxy, or set the console's address",
				"requestId", info.id, "origin", validate.Clip(r.Header.Get("Origin"), maxLoggedHeader), "host", validate.Clip(r.Host, maxLoggedHeader), "setting", "ROLLCALL_CONSOLE_URL")
			c.fail(c.visit(answer, r), problem{status: http.StatusForbidden, text: "error.cross_site"})
			return
		}
		if !utf8.ValidString(r.URL.Path) {
			// No key and no ID is invalid UTF-8, and a database may refuse to compare it.
			c.fail(c.visit(answer, r), problem{status: http.StatusNotFound, text: "error.not_found"})
			return
		}
		r.Body = http.MaxBytesReader(answer, r.Body, maxForm)
		next.ServeHTTP(answer, r)
	})
}

// requestInfo is what the log records about a request besides its route.
type requestInfo struct {
	id string
	// operator is the operator's name, or nil until the session has been checked.
	operator atomic.Pointer[string]
}

func (i *requestInfo) operatorName() string {
	if name := i.operator.Load(); name != nil {
		return *name
	}
	return ""
}

type requestInfoKey struct{}

func infoOf(r *http.Request) *requestInfo {
	if info, ok := r.Context().Value(requestInfoKey{}).(*requestInfo); ok {
		return info
	}
	return new(requestInfo)
}

// requestID returns the ID under which the request is logged.
func requestID(r *http.Request) string { return infoOf(r).id }

// panicked logs a panic in a handler and responds with 500, unless the response has already begun.
func (c *console) panicked(answer *recorder, r *http.Request, cause any) {
	if cause == http.ErrAbortHandler {
		panic(cause)
	}
	p, ok := cause.(*handlerPanic)
	if !ok {
		p = &handlerPanic{cause, debug.Stack()}
	}
	c.logPanic(r, p)
	if answer.status == 0 {
		failPlain(answer, r)
	}
}

func (c *console) logPanic(r *http.Request, p *handlerPanic) {
	c.Logger.ErrorContext(r.Context(), "console panic",
		"requestId", requestID(r), "route", r.Pattern, "cause", fmt.Sprint(p.cause), "stack", string(p.stack))
}

// handler checks that the visitor may use the route, and turns the route's error into a page.
func (c *console) handler(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			c.keepPrompt(w, r)
		}
		c.within(w, r, func(r *http.Request, l *limit) { c.serve(rt, r, l) })
	})
}

// serve is handler for one request.
func (c *console) serve(rt route, r *http.Request, l *limit) {
	v := c.visit(l, r)
	v.limit = l
	if c.Health().Database.Away {
		err := error(errDatabaseAway)
		if rt.access.always {
			err = rt.handle(c, v)
		}
		if err != nil {
			c.fail(v, err)
		}
		return
	}
	err := c.identify(v, rt.access)
	l.identified(v.operator)
	if err == nil {
		err = checkAccess(v, rt.access)
	}
	if err == nil {
		err = c.checkLocal(v, rt.access)
	}
	if err == nil {
		if target := c.duty(v, rt); target != "" {
			c.toDuty(v, target)
			return
		}
	}
	if err == nil {
		err = c.findApp(v, rt)
	}
	if err == nil {
		err = readForm(v)
	}
	if err == nil && rt.access.confirm {
		var may bool
		if may, err = c.confirm(v, rt.handle); err == nil && !may {
			return
		}
	}
	switch {
	case errors.Is(err, errLoggedOut):
		if v.r.Header.Get("HX-Request") != "true" {
			if err := c.keepForm(v); err != nil {
				c.fail(v, err)
				return
			}
		}
		toLogin(v, rt.access)
		return
	case err == nil:
		err = c.once(v, func() error {
			v.r = v.r.WithContext(l.commits.Context(v.r.Context()))
			if rt.access.late && c.cookie(v.r, promptCookie) == "" {
				v.r = v.r.WithContext(database.Late(v.r.Context()))
			}
			return rt.handle(c, v)
		})
	}
	if err != nil {
		c.fail(v, err)
	}
}

// readForm reads the form of a POST. Handlers would find fields missing in one that is too long or
// malformed.
func readForm(v *visit) error {
	if v.r.Method != http.MethodPost {
		return nil
	}
	if v.operator == nil {
		v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxGuestForm)
	}
	err := v.r.ParseForm()
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return problem{http.StatusRequestEntityTooLarge, "error.too_long"}
	}
	if err != nil {
		return problem{http.StatusBadRequest, "error.invalid"}
	}
	return nil
}

func (c *console) visit(w http.ResponseWriter, r *http.Request) *visit {
	return &visit{w: w, r: r, locale: c.localeOf(r), hasPage: c.paged[r.Pattern]}
}

// identify reads the visitor's session and operator, if there are any.
func (c *console) identify(v *visit, to access) error {
	token := c.cookie(v.r, sessionCookie)
	if token == "" {
		return nil // not logged in
	}
	read := c.Operators.ByToken
	if to.poll {
		read = c.Operators.Peek
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), c.PageTime)
	defer cancel()
	session, operator, err := read(ctx, token)
	if fault.CodeOf(err) == fault.Unauthenticated {
		return nil
	}
	if err != nil {
		return err
	}
	v.session, v.operator = session, operator
	infoOf(v.r).operator.Store(&operator.Name)
	return nil
}

// toLogin redirects the browser to the login, which leads back to this page. A poll gets only the
// status code 401.
func toLogin(v *visit, from access) {
	target := Root + "login"
	if here := v.here(); here != Root {
		target += "?" + url.Values{"next": {here}}.Encode()
	}
	if v.r.Header.Get("HX-Request") == "true" {
		// After a redirect, htmx would put the login page into a part of this one.
		if !from.poll {
			v.w.Header().Set("HX-Redirect", Root+"login")
		}
		v.w.WriteHeader(http.StatusUnauthorized)
		return
	}
	_ = v.redirect(target)
}

// recorder remembers the status of a response. It is 0 until the response begins.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader records the status.
func (a *recorder) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write records that the response has begun.
func (a *recorder) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *recorder) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// hostPrefix begins the names of the console's cookies over TLS. Browsers accept such a cookie only
// over TLS, from this very host and for all of its paths, so that neither a sibling host nor a
// forged plain response can plant one.
const hostPrefix = "__Host-"

// setCookie sets a cookie of the console. No script can read it, and no form of another site sends
// it. maxAge is in seconds; a negative one removes the cookie.
func (c *console) setCookie(v *visit, name, value string, maxAge int) {
	cookie := &http.Cookie{
		Name: name, Value: value, Path: Root, MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if c.Secure(v.r) {
		cookie.Name, cookie.Path, cookie.Secure = hostPrefix+name, "/", true
	}
	http.SetCookie(v.w, cookie)
}

// cookie returns the value of a cookie that setCookie has set over the same kind of connection, or
// "" if there is none.
func (c *console) cookie(r *http.Request, name string) string {
	cookie, err := r.Cookie(c.cookieName(r, name))
	if err != nil {
		return ""
	}
	return cookie.Value
}

// cookieName returns the name that setCookie gives a cookie.
func (c *console) cookieName(r *http.Request, name string) string {
	if c.Secure(r) {
		return hostPrefix + name
	}
	return name
}

// seconds returns d as used in Max-Age and Retry-After, rounded up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
