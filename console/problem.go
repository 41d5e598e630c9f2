package console

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"rollcall/internal/fault"
	"rollcall/internal/outage"
)

// problem is an error that has a text of its own on the page.
type problem struct {
	status int
	// text is the key of the page's text.
	text string
}

// Error is for the log; the reader sees the text of the key.
func (p problem) Error() string { return fmt.Sprintf("%d %s", p.status, p.text) }

// notFound returns the problem for an unknown path, app or user.
func (c *console) notFound(*visit) error {
	return problem{status: http.StatusNotFound, text: "error.not_found"}
}

// problemOf returns the problem to show for an error. ok reports whether the error is expected;
// details of one that is not, or of an outage, are in the log only.
func problemOf(err error) (p problem, ok bool) {
	if errors.As(err, &p) {
		return p, true
	}
	if errors.Is(err, fault.AppDisabled) {
		return problem{http.StatusConflict, "error.app_disabled"}, true
	}
	switch outage.CodeOf(err) {
	case fault.Unavailable:
		return problem{http.StatusServiceUnavailable, "error.unavailable"}, false
	case fault.Forbidden:
		return problem{http.StatusForbidden, "error.forbidden"}, true
	case fault.UserNotFound, fault.WebhookNotFound:
		return problem{http.StatusNotFound, "error.not_found"}, true
	case fault.InvalidArgument:
		return problem{http.StatusBadRequest, "error.invalid"}, true
	case fault.RateLimited:
		return problem{http.StatusTooManyRequests, "error.rate_limited"}, true
	}
	return problem{http.StatusInternalServerError, "error.internal"}, false
}

// statusClientGone is the status that is logged if the browser closed the connection before the
// response.
const statusClientGone = 499

// errorPage is the data of error.html.
type errorPage struct {
	Status int
	Text   string
	// Part is the name of the value in the address that is invalid, or "" if that is not known.
	Part string
	// RequestID is "" if nothing was logged about the error.
	RequestID string
	// Again is the page to return to or to try again if a later attempt may have another result, or "".
	// Form is true if it is the page of the form that failed.
	Again string
	Form  bool
}

// fail responds with a page that describes the error.
func (c *console) fail(v *visit, err error) {
	ctx := v.r.Context()
	if outage.CallerGone(ctx, err) {
		v.w.WriteHeader(statusClientGone)
		return
	}
	p, expected := problemOf(err)
	content := errorPage{Status: p.status, Text: p.text, Part: invalidPart(v, err)}
	if !expected && p.status == http.StatusServiceUnavailable && v.limit != nil && isForm(v.r) {
		p = v.limit.problem()
		content = errorPage{Status: p.status, Text: p.text}
	}
	if !expected {
		content.RequestID = requestID(v.r)
		args := []any{"requestId", content.RequestID, "route", v.r.Pattern, "error", err}
		if p.status >= http.StatusServiceUnavailable {
			v.w.Header().Set("Retry-After", strconv.Itoa(seconds(outage.RetryAfter)))
			c.outages.Warn(ctx, "console error", args...)
		} else {
			c.Logger.ErrorContext(ctx, "console error", args...)
		}
	}
	if here := v.here(); p.status >= http.StatusTooManyRequests && here != Root {
		content.Again, content.Form = here, isForm(v.r)
	}
	if err := c.render(v, p.status, "error", content); err != nil {
		c.Logger.ErrorContext(v.r.Context(), "console error page",
			"requestId", requestID(v.r), "route", v.r.Pattern, "error", err)
		failPlain(v.w, v.r)
	}
}

// invalidPart returns the name of the value in the request's address that a rule refused, or "" if the
// error is another one.
func invalidPart(v *visit, err error) string {
	refusal, ok := fault.As(err)
	if !ok || refusal.Code != fault.InvalidArgument {
		return ""
	}
	if field := refusal.Field(); field != nil && v.r.URL.Query().Has(*field) {
		return *field
	}
	return ""
}

// failPlain responds in plain text if the error page itself cannot be rendered.
func failPlain(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "Something went wrong. Look in the log for request "+requestID(r)+".", http.StatusInternalServerError)
}
