// Package sso identifies people at an OpenID Provider, by the authorization code flow of OpenID
// Connect with PKCE. It decides nothing about what they may do.
//
// A login has two halves. URL sends the browser to the provider, with the secrets of a Flow that the
// caller binds to the browser. Identify exchanges the code that the browser brings back, and checks
// the ID token.
package sso

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	// discoveryTime limits the request for the provider's metadata, which the login page waits for.
	discoveryTime = 1500 * time.Millisecond
	// discoveryRetry is the time after a failed request for the metadata until the next one.
	discoveryRetry = 5 * time.Second
	// requestTime limits each other request to the provider.
	requestTime = 5 * time.Second
	// clockSkew is how much later than the provider's clock this node's may be.
	clockSkew = time.Minute
	// maxSubject is the maximum length of a subject, in bytes (OpenID Connect Core, section 2).
	maxSubject = 255
)

var (
	// ErrUnavailable is returned if the provider does not respond as it should at present.
	ErrUnavailable = errors.New("the OpenID Provider is not available")
	// ErrInvalid is returned if the provider refuses the code, or if its ID token is not valid for
	// the flow.
	ErrInvalid = errors.New("the login at the OpenID Provider is not valid")
)

// Config is how to log in at a provider.
type Config struct {
	// Issuer is the provider's URL, exactly as its metadata and its ID tokens have it.
	Issuer string
	// ClientSecret is "" for a public client.
	ClientID, ClientSecret string
	// RedirectURL is where the provider sends browsers back to.
	RedirectURL string
	// Scopes are requested besides openid.
	Scopes []string
	// GroupsClaim is the name of the claim with the groups, or its path if a claim of that name does
	// not exist: "realm_access.roles" is the member "roles" of the claim "realm_access".
	GroupsClaim string
	// Clock is time.Now except in tests.
	Clock func() time.Time
}

// Provider is an OpenID Provider. Its metadata is read when it is first needed, and again after a
// failure. A Provider is safe for concurrent use.
type Provider struct {
	cfg    Config
	client *http.Client

	mu       sync.Mutex // held during the request for the metadata
	metadata *oidc.Provider
	failure  error
	failedAt time.Time
}

// New returns a Provider. It sends no request.
func New(cfg Config) *Provider {
	return &Provider{cfg: cfg, client: &http.Client{Timeout: requestTime}}
}

// Issuer returns the provider's URL.
func (p *Provider) Issuer() string { return p.cfg.Issuer }

// Check returns an error that wraps ErrUnavailable if the provider's metadata cannot be read. Once it
// has been read, Check sends no request.
func (p *Provider) Check(ctx context.Context) error {
	_, err := p.discover(ctx)
	return err
}

// discover returns the provider's metadata. Concurrent callers share one request.
func (p *Provider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.metadata != nil {
		return p.metadata, nil
	}
	if p.failure != nil && p.cfg.Clock().Sub(p.failedAt) < discoveryRetry {
		return nil, p.failure
	}
	// Not the caller's end, because the others wait for this request too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discoveryTime)
	defer cancel()
	metadata, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.cfg.Issuer)
	if err != nil {
		p.failure, p.failedAt = fmt.Errorf("%w: reading the metadata of %s: %w", ErrUnavailable, p.cfg.Issuer, err), p.cfg.Clock()
		return nil, p.failure
	}
	p.metadata, p.failure = metadata, nil
	return metadata, nil
}

// Flow has the secrets of one login. They must reach only the browser that logs in.
type Flow struct {
	// State is what the provider returns with the code.
	State string
	// Nonce is what the ID token contains.
	Nonce string
	// Verifier proves to the provider that the code was requested by this flow (PKCE).
	Verifier string
	// Since, in seconds since 1970, is when the user must log in again at the provider at the
	// earliest, or 0 if an earlier login is enough.
	Since int64
}

// NewFlow returns a new flow. If again is true, the provider must authenticate the user again, even
// if it has a session there.
func (p *Provider) NewFlow(again bool) Flow {
	f := Flow{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	if again {
		f.Since = p.cfg.Clock().Unix()
	}
	return f
}

// IsState reports whether state is that of the flow.
func (f Flow) IsState(state string) bool {
	return subtle.ConstantTimeCompare([]byte(state), []byte(f.State)) == 1
}

// URL returns where to send the browser. Returns ErrUnavailable.
func (p *Provider) URL(ctx context.Context, f Flow) (string, error) {
	metadata, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)}
	if f.Since > 0 {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	return p.oauth(metadata).AuthCodeURL(f.State, options...), nil
}

func (p *Provider) oauth(metadata *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret, Endpoint: metadata.Endpoint(), RedirectURL: p.cfg.RedirectURL,
		Scopes: append([]string{oidc.ScopeOpenID}, p.cfg.Scopes...),
	}
}

// Identity is a person, as the provider knows it. Only Issuer and Subject together identify it; the
// other fields are what the provider says at this login.
type Identity struct {
	Issuer, Subject string
	// Username is preferred_username, or "".
	Username string
	// Email is "" if the provider gives none.
	Email         string
	EmailVerified bool
	Groups        []string
}

// Identify returns who has logged in. code is what the browser has brought back for the flow. Returns
// ErrInvalid, ErrUnavailable.
func (p *Provider) Identify(ctx context.Context, f Flow, code string) (*Identity, error) {
	metadata, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := p.oauth(metadata).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return nil, failedExchange(err)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, fmt.Errorf("%w: there is no ID token", ErrInvalid)
	}
	// The algorithms are those of the metadata that use a public key: neither none nor HMAC.
	checked, err := metadata.Verifier(&oidc.Config{ClientID: p.cfg.ClientID, Now: p.cfg.Clock}).Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("%w: checking the ID token: %w", ErrInvalid, err)
	}
	claims := map[string]any{}
	if err := checked.Claims(&claims); err != nil {
		return nil, fmt.Errorf("%w: reading the ID token: %w", ErrInvalid, err)
	}
	if err := p.checkClaims(f, checked, claims); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if checked.AccessTokenHash != "" {
		if err := checked.VerifyAccessToken(token.AccessToken); err != nil {
			return nil, fmt.Errorf("%w: checking the access token: %w", ErrInvalid, err)
		}
	}
	if p.lacks(claims) && metadata.UserInfoEndpoint() != "" {
		if err := p.addUserInfo(ctx, metadata, token, checked.Subject, claims); err != nil {
			return nil, err
		}
	}
	id := &Identity{Issuer: p.cfg.Issuer, Subject: checked.Subject, Groups: groups(claims, p.cfg.GroupsClaim)}
	id.Username, _ = claims["preferred_username"].(string)
	id.Email, _ = claims["email"].(string)
	// Some providers write the boolean as a text.
	id.EmailVerified = claims["email_verified"] == true || claims["email_verified"] == "true"
	return id, nil
}

// failedExchange returns ErrInvalid if the provider has refused the code, and ErrUnavailable if there
// was no proper response.
func failedExchange(err error) error {
	kind := ErrUnavailable
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < http.StatusInternalServerError {
		kind = ErrInvalid
	}
	return fmt.Errorf("%w: exchanging the code: %w", kind, err)
}

// checkClaims checks what the verification of the signature, the issuer, the audience and the expiry
// leaves open.
func (p *Provider) checkClaims(f Flow, token *oidc.IDToken, claims map[string]any) error {
	switch {
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(f.Nonce)) != 1:
		return errors.New("the nonce is that of another login")
	case token.Subject == "" || len(token.Subject) > maxSubject:
		return errors.New("the subject is empty or too long")
	}
	// An ID token that was issued to another client of the provider may list this one too.
	if azp, given := claims["azp"]; given && azp != p.cfg.ClientID || !given && len(token.Audience) > 1 {
		return errors.New("the ID token was issued to another client")
	}
	if f.Since > 0 {
		at, _ := claims["auth_time"].(float64)
		if int64(at) < f.Since-int64(clockSkew.Seconds()) {
			return errors.New("the provider has not authenticated the user again (auth_time)")
		}
	}
	return nil
}

// lacks reports whether the ID token has not all claims of an Identity.
func (p *Provider) lacks(claims map[string]any) bool {
	return claims["preferred_username"] == nil || claims["email"] == nil || claimAt(claims, p.cfg.GroupsClaim) == nil
}

// addUserInfo adds the claims of the UserInfo endpoint that the ID token does not have.
func (p *Provider) addUserInfo(ctx context.Context, metadata *oidc.Provider, token *oauth2.Token, subject string, claims map[string]any) error {
	info, err := metadata.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return fmt.Errorf("%w: reading the user info: %w", ErrUnavailable, err)
	}
	more := map[string]any{}
	if err := info.Claims(&more); err != nil {
		return fmt.Errorf("%w: reading the user info: %w", ErrUnavailable, err)
	}
	if info.Subject != subject {
		return fmt.Errorf("%w: the user info is that of another subject", ErrInvalid)
	}
	// Whether an address is verified is only known of the address beside it.
	switch {
	case claims["email"] == nil:
		delete(claims, "email_verified")
	case more["email"] != claims["email"]:
		delete(more, "email_verified")
	}
	maps.Copy(more, claims)
	maps.Copy(claims, more)
	return nil
}

// claimAt returns the claim with that name or, if there is none, the one at that path.
func claimAt(claims map[string]any, name string) any {
	if value, ok := claims[name]; ok {
		return value
	}
	first, rest, nested := strings.Cut(name, ".")
	if inner, ok := claims[first].(map[string]any); ok && nested {
		return claimAt(inner, rest)
	}
	return nil
}

// groups returns the groups in a claim: a list of texts, one text, or the names of an object.
func groups(claims map[string]any, name string) []string {
	switch value := claimAt(claims, name).(type) {
	case string:
		return []string{value}
	case []any:
		var list []string
		for _, item := range value {
			if text, ok := item.(string); ok {
				list = append(list, text)
			}
		}
		return list
	case map[string]any:
		return slices.Sorted(maps.Keys(value))
	}
	return nil
}
