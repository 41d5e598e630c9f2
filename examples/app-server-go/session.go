package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/Khan/genqlient/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// session is a genqlient client that sends operations with the app token. It gets the token when it
// is first needed, and a new one after nine tenths of the token's lifetime, or if it was refused:
// tokens end early when an operator rotates the app's secret.
type session struct {
	url, appKey, appSecret string

	mu      sync.Mutex
	token   string
	renewAt time.Time
}

// MakeRequest implements graphql.Client.
func (s *session) MakeRequest(ctx context.Context, req *graphql.Request, resp *graphql.Response) error {
	token, err := s.appToken(ctx, "")
	if err != nil {
		return err
	}
	err = s.client(token).MakeRequest(ctx, req, resp)
	if refusal := refusalOf(err); refusal == nil || refusal.Code != ErrorCodeUnauthenticated {
		return err
	}
	if token, err = s.appToken(ctx, token); err != nil {
		return err
	}
	resp.Errors = nil
	return s.client(token).MakeRequest(ctx, req, resp)
}

// appToken returns a valid app token other than refused.
func (s *session) appToken(ctx context.Context, refused string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != "" && s.token != refused && time.Now().Before(s.renewAt) {
		return s.token, nil
	}
	answer, err := issueAppToken(ctx, s.client(""), IssueAppTokenInput{AppKey: s.appKey, AppSecret: s.appSecret})
	if err != nil {
		return "", err
	}
	s.token = answer.IssueAppToken.Token
	s.renewAt = time.Now().Add(time.Until(answer.IssueAppToken.ExpiresAt) * 9 / 10)
	return s.token, nil
}

func (s *session) client(token string) graphql.Client {
	return graphql.NewClient(s.url, &http.Client{Timeout: 30 * time.Second, Transport: bearer(token)})
}

// bearer adds a token to requests.
type bearer string

// RoundTrip implements http.RoundTripper.
func (token bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+string(token))
	}
	return http.DefaultTransport.RoundTrip(r)
}

// refusal is an error of Rollcall's API.
type refusal struct {
	Code    ErrorCode `json:"code"`
	Message string    `json:"message"`
	Field   string    `json:"field,omitempty"`
}

// refusalOf returns the first error of a response, or nil if err is nil or another error, such as of
// the network.
func refusalOf(err error) *refusal {
	var list gqlerror.List
	var status *graphql.HTTPError
	if errors.As(err, &status) {
		list = status.Response.Errors
	} else {
		errors.As(err, &list)
	}
	if len(list) == 0 {
		return nil
	}
	code, _ := list[0].Extensions["code"].(string)
	field, _ := list[0].Extensions["field"].(string)
	return &refusal{ErrorCode(code), list[0].Message, field}
}
