package graphtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// Callers besides the users of App, which are given by ID.
const (
	Guest       = "" // no token
	AppServer   = "App Server"
	OtherServer = "other app's App Server"
)

// Scenario is one request, the expected response, and the expected events.
type Scenario struct {
	Name string
	// As is Guest, AppServer, OtherServer, or the ID of a registered user of App.
	As        string
	Query     string
	Variables map[string]any
	// WantData is the data as JSON, in which "*" stands for anything but null. If empty, the data
	// is not checked.
	WantData string
	// WantCode is extensions.code of the first error. If empty, there must be no errors.
	WantCode string
	// WantExtensions are further extensions of the first error.
	WantExtensions map[string]any
	// WantStatus is the HTTP status. If 0, it is 200.
	WantStatus int
	// WantEvents is what each subscriber of that name receives because of the request; see
	// World.Subscriber. It is an int, the number of events, or a []string, the events in order: each
	// is data in the form of WantData, or the code of its first error. "*" stands for every
	// subscriber that is not named, so "*": 0 means that no other receives anything. Subscribers
	// that are not described keep their events for a later scenario.
	//
	// The events are those that the node has published by the time of the response. An event that
	// follows later, such as that of a connection that the client has dropped, is not waited for.
	WantEvents map[string]any
}

// Response is a response of the API.
type Response struct {
	Status int             `json:"-"`
	Body   []byte          `json:"-"`
	Data   json.RawMessage `json:"data"`
	Errors []struct {
		Message    string         `json:"message"`
		Path       []any          `json:"path"`
		Extensions map[string]any `json:"extensions"`
	} `json:"errors"`
}

// Code returns the first error's code, or "" if there is none.
func (r *Response) Code() string {
	if len(r.Errors) == 0 {
		return ""
	}
	code, _ := r.Errors[0].Extensions["code"].(string)
	return code
}

// Run runs the scenarios in order over plain HTTP, each as a subtest, in one world.
func (w *World) Run(scenarios ...Scenario) {
	w.T.Helper()
	w.RunOver("http", scenarios...)
}

// RunOver is Run over the given way, with a connection for each scenario. Except for plain HTTP,
// the connection is a device of the user.
func (w *World) RunOver(way string, scenarios ...Scenario) {
	w.T.Helper()
	for _, s := range scenarios {
		w.T.Run(s.Name, func(t *testing.T) {
			w.check(t, s, w.ask(way, s))
			if s.WantEvents == nil {
				return
			}
			for _, difference := range w.receive(s.WantEvents).differences(t, s.WantEvents) {
				t.Error(difference)
			}
		})
	}
}

func (w *World) ask(way string, s Scenario) *Response {
	w.T.Helper()
	if way == "http" {
		return w.Do(w.Bearer(s.As), s.Query, s.Variables)
	}
	live := w.Live(way, w.Bearer(s.As), s.Query, s.Variables)
	defer live.Close()
	r := live.Next()
	if r.Status == 0 {
		r.Status = http.StatusOK
	}
	return &r
}

func (w *World) check(t *testing.T, s Scenario, r *Response) {
	t.Helper()
	want := s.WantStatus
	if want == 0 {
		want = http.StatusOK
	}
	if r.Status != want {
		t.Errorf("status %d, want %d: %s", r.Status, want, r.Body)
	}
	if r.Code() != s.WantCode {
		t.Errorf("code %q, want %q: %s", r.Code(), s.WantCode, r.Body)
		return
	}
	for key, want := range s.WantExtensions {
		if got := r.Errors[0].Extensions[key]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("extensions.%s is %v, want %v: %s", key, got, want, r.Body)
		}
	}
	for _, e := range r.Errors {
		if id, _ := e.Extensions["requestId"].(string); id == "" {
			t.Errorf("an error without requestId: %s", r.Body)
		}
	}
	if s.WantData != "" && !Match(t, s.WantData, r.Data) {
		t.Errorf("data %s\nwant %s\n%s", r.Data, s.WantData, r.Body)
	}
}

// Bearer returns the Authorization header of a caller; see Scenario.As.
func (w *World) Bearer(as string) string {
	w.T.Helper()
	switch as {
	case Guest:
		return ""
	case AppServer:
		return "Bearer " + w.AppToken(w.App)
	case OtherServer:
		return "Bearer " + w.AppToken(w.Other)
	}
	return "Bearer " + w.Register(w.App, as)
}

// Do sends one operation over HTTP.
func (w *World) Do(authorization, query string, variables map[string]any) *Response {
	w.T.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		w.T.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		w.T.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/graphql-response+json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	defer resp.Body.Close()
	out := &Response{Status: resp.StatusCode}
	if out.Body, err = io.ReadAll(resp.Body); err != nil {
		w.T.Fatal(err)
	}
	if err := json.Unmarshal(out.Body, out); err != nil {
		w.T.Fatalf("the answer %q: %v", out.Body, err)
	}
	return out
}

// Match reports whether got is the JSON that want describes. "*" in want stands for anything but
// null.
func Match(t testing.TB, want string, got []byte) bool {
	t.Helper()
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("the wanted %s: %v", want, err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(got)))
	if err := decoder.Decode(&g); err != nil {
		return false
	}
	return match(w, g)
}

func match(want, got any) bool {
	switch w := want.(type) {
	case string:
		return w == "*" && got != nil || w == got
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for key := range w {
			if value, there := g[key]; !there || !match(w[key], value) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !match(w[i], g[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(want, got)
}
