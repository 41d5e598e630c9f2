package transport

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const (
	viaPost = http.MethodPost
	viaGet  = http.MethodGet
)

// httpCall is a request over HTTP. The token and accept, the header Accept, are optional.
type httpCall struct {
	method, token, accept string
	// body is the JSON of the request. GET sends its members as parameters of the URL.
	body io.Reader
}

// exchange sends a request and returns the response and its body, which has been read and closed.
func (w *world) exchange(c httpCall) (*http.Response, string) {
	w.t.Helper()
	target, body := w.http.URL, c.body
	if c.method == viaGet {
		target, body = target+w.parameters(c.body), nil
	}
	req, err := http.NewRequest(c.method, target, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if c.method == viaPost {
		req.Header.Set("Content-Type", mediaJSON)
	}
	if c.accept != "" {
		req.Header.Set("Accept", c.accept)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, string(text)
}

// parameters returns the members of a JSON object as a URL's query: texts as they are, others as
// JSON.
func (w *world) parameters(object io.Reader) string {
	w.t.Helper()
	var members map[string]json.RawMessage
	if err := json.NewDecoder(object).Decode(&members); err != nil {
		w.t.Fatal(err)
	}
	values := make(url.Values)
	for name, value := range members {
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		values.Set(name, text)
	}
	return "?" + values.Encode()
}

// post sends a query by POST.
func (w *world) post(token, accept, query string) answered {
	w.t.Helper()
	text, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		w.t.Fatal(err)
	}
	resp, body := w.exchange(httpCall{viaPost, token, accept, strings.NewReader(string(text))})
	return answered{resp.StatusCode, resp.Header.Get("Retry-After"), body}
}
