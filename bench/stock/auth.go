//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v5"
	"gorm.io/gorm"

	"rollcall/models"
)

var errUnauthenticated = errors.New("unauthenticated")

// principal is the caller: an app, or one of its users.
type principal struct {
	app  *models.App
	user *models.User // nil for the App Server
}

// appAudience precedes the app's key in the audience of an app token.
const appAudience = "app-server:"

// claims are the unencrypted claims of the server's tokens. Those of a user have the app's key as aud
// and the user's ID as sub.
type claims struct {
	jwt.RegisteredClaims
	IssuedAtMS models.Time `json:"iam"`
}

// authenticator has the keys that sign tokens.
type authenticator struct {
	db     *gorm.DB
	keys   map[string][]byte
	parser *jwt.Parser
}

func newAuthenticator(db *gorm.DB) (*authenticator, error) {
	var keys []models.TokenKey
	if err := db.Find(&keys).Error; err != nil {
		return nil, err
	}
	a := &authenticator{db: db, keys: make(map[string][]byte), parser: jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer("rollcall"))}
	for _, key := range keys {
		a.keys[key.ID] = key.Secret
	}
	return a, nil
}

// authenticate checks the signature, and in the database that the token has not been ended by
// expireTokens or by a deactivation of the user.
func (a *authenticator) authenticate(ctx context.Context, authorization string) (*principal, error) {
	text, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok {
		return nil, errUnauthenticated
	}
	var c claims
	_, err := a.parser.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		return a.keys[id], nil
	})
	if err != nil || len(c.Audience) != 1 {
		return nil, errUnauthenticated
	}
	key, ofApp := strings.CutPrefix(c.Audience[0], appAudience)
	p := &principal{app: &models.App{}}
	if err := a.db.WithContext(ctx).Where(&models.App{Key: key}).First(p.app).Error; err != nil {
		return nil, fmt.Errorf("reading the app: %w", err)
	}
	if ofApp {
		return p, nil
	}
	p.user = &models.User{}
	if err := a.db.WithContext(ctx).Where(&models.User{AppID: p.app.ID, ExternalID: c.Subject}).First(p.user).Error; err != nil {
		return nil, fmt.Errorf("reading the user: %w", err)
	}
	if c.IssuedAtMS < p.user.TokensValidFrom || p.user.DeactivatedAt != nil {
		return nil, errUnauthenticated
	}
	return p, nil
}

// middleware admits requests with a valid token. A WebSocket sends its token later.
func (a *authenticator) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			p, err := a.authenticate(r.Context(), r.Header.Get("Authorization"))
			if err != nil {
				http.Error(w, err.Error(), http.StatusUnauthorized)
				return
			}
			r = r.WithContext(withPrincipal(r.Context(), p))
		}
		next.ServeHTTP(w, r)
	})
}

type principalKey struct{}

func withPrincipal(ctx context.Context, p *principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// principalOf returns the caller, or nil if it is not known yet.
func principalOf(ctx context.Context) *principal {
	p, _ := ctx.Value(principalKey{}).(*principal)
	return p
}
