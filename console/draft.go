package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	nethtml "golang.org/x/net/html"

	"rollcall/models"
)

// A draft is what an operator has typed into a form that was not carried out: because its session had
// ended, or because it chose another language. The next time that the operator opens the form's page,
// the form has these values again, and nothing is sent by itself.
//
// Drafts are sealed in the database for an hour, for the operator that typed them: another operator in
// the same browser does not get them. Passwords, codes and secrets are never kept.

const (
	// draftCookie holds the key of the draft.
	draftCookie = "rollcall_draft"
	// draftLifetime is how long a draft is kept.
	draftLifetime = time.Hour
	// maxDraft is the maximum size of a draft.
	maxDraft = 16 << 10
)

// draft is the content of a form.
type draft struct {
	// Page is the page with the form, and Action the path to which the form is sent.
	Page, Action string
	Fields       url.Values
	// Ended is true if the form was sent after its session had ended.
	Ended bool
}

// untypedFields are the names of the fields that no draft has: secrets, and the key of a submission.
var untypedFields = map[string]bool{
	onceField: true, confirmField: true, confirmPasskey: true,
	"password": true, "current": true, "again": true, "code": true, "passkey": true, "language": true,
}

// draftOwner returns the owner of an operator's drafts among the owners of sealed values, which are
// sessions otherwise.
func draftOwner(operatorID int64) int64 { return -operatorID }

// keepDraft keeps the form for the operator. A session has one draft: a newer one replaces it.
func (c *console) keepDraft(v *visit, operatorID int64, d draft) error {
	for name := range d.Fields {
		if untypedFields[name] {
			d.Fields.Del(name)
		}
	}
	if len(d.Fields) == 0 || len(d.Fields.Encode()) > maxDraft {
		return nil
	}
	sum := sha256.Sum256([]byte("draft " + c.cookie(v.r, sessionCookie)))
	key := base32.StdEncoding.EncodeToString(sum[:16])
	ctx, owner := v.r.Context(), draftOwner(operatorID)
	if _, err := c.Sealed.Claim(ctx, owner, key, draftLifetime); err != nil {
		return err
	}
	if err := c.Sealed.Set(ctx, owner, key, d); err != nil {
		return err
	}
	c.setCookie(v, draftCookie, key, seconds(draftLifetime))
	return nil
}

// takeDraft returns the visitor's draft for this page, or nil if there is none, and forgets it.
func (c *console) takeDraft(v *visit) *draft {
	key := c.cookie(v.r, draftCookie)
	if key == "" || v.operator == nil || v.r.Method != http.MethodGet {
		return nil
	}
	d := &draft{}
	found, err := c.Sealed.Get(v.r.Context(), draftOwner(v.operator.ID), key, d)
	if err == nil && found && d.Page != v.r.URL.RequestURI() {
		return nil
	}
	c.setCookie(v, draftCookie, "", -1)
	if err != nil {
		c.outages.Warn(v.r.Context(), "console error", "requestId", requestID(v.r), "what", "reading a draft", "error", err)
	}
	if err != nil || !found {
		return nil
	}
	return d
}

// endOf returns how the session of the browser's cookie ended, or nil if that is not known.
func (c *console) endOf(v *visit) *models.OperatorSessionEnd {
	token := c.cookie(v.r, sessionCookie)
	if token == "" {
		return nil
	}
	end, err := c.Operators.EndOf(v.r.Context(), token)
	if err != nil {
		c.outages.Warn(v.r.Context(), "console error", "requestId", requestID(v.r), "what", "reading how a session ended", "error", err)
	}
	return end
}

// endText returns the key of the text that explains how a session ended.
func endText(end *models.OperatorSessionEnd) string {
	if text := "ended." + end.Reason; hasFlash(text) {
		return text
	}
	return ""
}

// keepForm keeps the form that the visitor has sent after its session had ended.
func (c *console) keepForm(v *visit) error {
	if !isForm(v.r) {
		return nil
	}
	end := c.endOf(v)
	if end == nil {
		return nil
	}
	if err := readForm(v); err != nil {
		return err
	}
	return c.keepDraft(v, end.OperatorID, draft{Page: v.here(), Action: v.r.URL.RequestURI(), Fields: v.r.PostForm, Ended: true})
}

var (
	formTag    = regexp.MustCompile(`<form\b[^>]*>`)
	inputTag   = regexp.MustCompile(`<input\b[^>]*>`)
	tagParts   = regexp.MustCompile(` (id|method|action)="([^"]*)"`)
	untyped    = regexp.MustCompile(` type="(hidden|password)"|autocomplete="one-time-code"`)
	languageBy = []byte(`<button class="link" name="language"`)
)

// withTyped returns a rendered page whose buttons for another language send the first form that has
// something to type in, so that the page in that language has what was typed. Without such a form, the
// page stays as it is.
func withTyped(page []byte, here string) []byte {
	begin, end := bytes.Index(page, []byte("<main")), bytes.Index(page, []byte("</main>"))
	if begin < 0 || end < begin {
		return page
	}
	for at := begin; at < end; {
		found := formTag.FindIndex(page[at:end])
		if found == nil {
			break
		}
		start, inner := at+found[0], at+found[1]
		length := bytes.Index(page[inner:end], []byte("</form>"))
		if length < 0 {
			break
		}
		// The buttons must not become the form's default.
		if form := page[inner : inner+length]; !canBeTyped(form) || !bytes.Contains(form, []byte("<button")) {
			at = inner + length
			continue
		}
		parts := map[string]string{}
		for _, match := range tagParts.FindAllSubmatch(page[start:inner], -1) {
			parts[string(match[1])] = html.UnescapeString(string(match[2]))
		}
		var out bytes.Buffer
		out.Write(page[:start])
		id := parts["id"]
		if id == "" {
			id = "typed"
			out.WriteString(`<form id="typed"`)
			start += len("<form")
		}
		out.Write(page[start:end])
		target := Root + "language?" + url.Values{"next": {here}, "action": {parts["action"]}, "method": {parts["method"]}}.Encode()
		button := fmt.Appendf(nil, `<button form="%s" formmethod="post" formaction="%s" formnovalidate class="link" name="language"`,
			html.EscapeString(id), html.EscapeString(target))
		out.Write(bytes.ReplaceAll(page[end:], languageBy, button))
		return out.Bytes()
	}
	return page
}

// canBeTyped reports whether the content of a form has a field whose value a draft keeps.
func canBeTyped(form []byte) bool {
	if bytes.Contains(form, []byte("<textarea")) || bytes.Contains(form, []byte("<select")) {
		return true
	}
	return slices.ContainsFunc(inputTag.FindAll(form, -1), func(tag []byte) bool {
		return !untyped.Match(tag) || bytes.Contains(tag, []byte(" data-typed ")) // in the form of an earlier page
	})
}

// fill returns a rendered page whose forms with the draft's action have its values.
func (d *draft) fill(page []byte) []byte {
	var out bytes.Buffer
	z := nethtml.NewTokenizer(bytes.NewReader(page))
	inForm, inSelect, inText := false, "", false
	used := map[string]int{} // how many fields of that name have their value
	for {
		kind := z.Next()
		if kind == nethtml.ErrorToken {
			return out.Bytes()
		}
		raw := slices.Clone(z.Raw())
		if kind == nethtml.TextToken && inText {
			continue
		}
		if kind != nethtml.StartTagToken && kind != nethtml.SelfClosingTagToken && kind != nethtml.EndTagToken {
			out.Write(raw)
			continue
		}
		t := z.Token()
		if kind == nethtml.EndTagToken {
			switch t.Data {
			case "form":
				inForm = false
			case "select":
				inSelect = ""
			case "textarea":
				inText = false
			}
			out.Write(raw)
			continue
		}
		name := attr(&t, "name")
		switch {
		case t.Data == "form":
			inForm = attr(&t, "action") == d.Action && strings.EqualFold(attr(&t, "method"), http.MethodPost)
		case !inForm || t.Data == "input" && untypedFields[name]:
		case t.Data == "input":
			if d.fillInput(&t, name, used) {
				raw = []byte(t.String())
			}
		case t.Data == "select":
			inSelect = name
		case t.Data == "option" && inSelect != "" && d.Fields.Has(inSelect):
			setAttr(&t, "selected", slices.Contains(d.Fields[inSelect], attr(&t, "value")), "")
			raw = []byte(t.String())
		case t.Data == "textarea" && d.Fields.Has(name):
			inText = true
			raw = fmt.Appendf(raw, "\n%s", html.EscapeString(d.Fields.Get(name)))
		}
		out.Write(raw)
	}
}

// fillInput gives an input its value, and reports whether it has changed the tag.
func (d *draft) fillInput(t *nethtml.Token, name string, used map[string]int) bool {
	switch attr(t, "type") {
	case "checkbox", "radio":
		setAttr(t, "checked", slices.Contains(d.Fields[name], attr(t, "value")), "")
		return true
	case "password", "submit", "button", "file":
		return false
	}
	values, i := d.Fields[name], used[name]
	if i >= len(values) {
		return false
	}
	used[name]++
	setAttr(t, "value", true, values[i])
	return true
}

// attr returns the value of an attribute, or "".
func attr(t *nethtml.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// setAttr sets or removes an attribute.
func setAttr(t *nethtml.Token, name string, present bool, value string) {
	t.Attr = slices.DeleteFunc(t.Attr, func(a nethtml.Attribute) bool { return a.Key == name })
	if present {
		t.Attr = append(t.Attr, nethtml.Attribute{Key: name, Val: value})
	}
}
