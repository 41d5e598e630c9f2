package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"rollcall/internal/sealed"
)

// onceField is the hidden field of every form that is sent with POST. Its value is a random key. The
// first submission with a key is processed; the same submission again, because of a double click or
// a slow network, gets the redirect that the first one got. Submissions that change nothing, because
// of a wrong field or an error, leave the key unused.
const onceField = "once"

const (
	// onceLifetime is how long the result of a submission is known.
	onceLifetime = time.Hour
	// onceWait is how long the same submission waits for the result of the first one.
	onceWait = 2 * time.Second
	// onceStep is the time between two looks for that result.
	onceStep = 50 * time.Millisecond
)

// postForm is the start tag of a form that is sent with POST.
var postForm = regexp.MustCompile(`<form\b[^>]*\bmethod="post"[^>]*>`)

// withOnce returns the text of a template with onceField in all its forms.
func withOnce(text string) string { return postForm.ReplaceAllString(text, "$0{{once}}") }

// onceInput returns the hidden field with a new key, for templates.
func onceInput() template.HTML {
	return template.HTML(`<input type="hidden" name="` + onceField + `" value="` + sealed.NewKey() + `">`)
}

// submissionResult is what a submission led to.
type submissionResult struct {
	Location string
	// Flash is the cookie with the message on the next page, or "" if there is none.
	Flash string
}

// submissionKey returns the key of the submission: the form's key with what the form contains, so
// that a form that is sent again with other values is another submission. It returns "" if the form
// has no key.
func submissionKey(path string, form url.Values) string {
	once := form.Get(onceField)
	if len(once) < len(sealed.NewKey()) {
		return ""
	}
	sum := sha256.Sum256([]byte(path + "\x00" + form.Encode()))
	return once + hex.EncodeToString(sum[:])
}

// once calls handle for the first submission of a form. For the same one again it responds as for
// the first.
func (c *console) once(v *visit, handle func() error) error {
	if v.r.Method != http.MethodPost || v.session == nil {
		return handle()
	}
	key := submissionKey(v.r.URL.RequestURI(), v.r.PostForm)
	if key == "" {
		return handle()
	}
	mine, err := c.claim(v, key)
	if err != nil || !mine {
		return err
	}
	// The result is kept even if the browser does not wait for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), handlingTime)
	defer cancel()
	w := &onceWriter{ResponseWriter: v.w, console: c, visit: v, key: key, ctx: ctx}
	v.w = w
	defer w.release() // unless the response has ended the claim
	if err := handle(); err != nil {
		c.fail(v, err)
	}
	return nil
}

// claim reports whether the submission is the first with its key. If it is not, claim waits for the
// result of the first one and responds with it.
func (c *console) claim(v *visit, key string) (mine bool, err error) {
	ctx, owner := v.r.Context(), v.session.ID
	for deadline := time.Now().Add(onceWait); ; {
		if mine, err := c.Sealed.Claim(ctx, owner, key, onceLifetime); mine || err != nil {
			return mine, err
		}
		var result submissionResult
		found, err := c.Sealed.Get(ctx, owner, key, &result)
		if err != nil {
			return false, err
		}
		if found {
			if result.Flash != "" {
				v.w.Header().Add("Set-Cookie", result.Flash)
			}
			return false, v.redirect(result.Location)
		}
		if time.Now().After(deadline) {
			return false, problem{status: http.StatusConflict, text: "error.pending"}
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(onceStep):
		}
	}
}

// onceWriter keeps the result of a submission when the response begins: before the browser has it.
type onceWriter struct {
	http.ResponseWriter
	console *console
	visit   *visit
	key     string
	// ctx is for the key, not for what the form changes.
	ctx   context.Context
	ended bool
}

// WriteHeader keeps a redirect, and releases the key before any other response.
func (w *onceWriter) WriteHeader(status int) {
	if status == http.StatusSeeOther && !w.ended {
		w.ended = true
		result := submissionResult{Location: w.Header().Get("Location"), Flash: w.console.flashOf(w.visit, w.Header())}
		if err := w.console.Sealed.Set(w.ctx, w.visit.session.ID, w.key, result); err != nil {
			w.warn("keeping the result of a form", err)
		}
	}
	w.release()
	w.ResponseWriter.WriteHeader(status)
}

// Write releases the key before a response that is not a redirect.
func (w *onceWriter) Write(p []byte) (int, error) {
	w.release()
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *onceWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// release makes the key free again, unless it has a result.
func (w *onceWriter) release() {
	if w.ended {
		return
	}
	w.ended = true
	if err := w.console.Sealed.Release(w.ctx, w.visit.session.ID, w.key); err != nil {
		w.warn("releasing the key of a form", err)
	}
}

func (w *onceWriter) warn(what string, err error) {
	w.console.outages.Warn(w.visit.r.Context(), "console error", "requestId", requestID(w.visit.r), "what", what, "error", err)
}
