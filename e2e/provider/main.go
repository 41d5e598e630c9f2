// Command provider is an OpenID Provider for the end-to-end tests: the example server of
// github.com/zitadel/oidc, with a few people and their groups. It is a module of its own, so that
// Rollcall does not have its dependencies.
//
// Its argument is the address to which it sends browsers back. It prints its own address, and serves
// until it is killed.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// password is that of all people.
const password = "verysecure"

// groups are the groups of each person, whose ID and user name are the same.
var groups = map[string][]string{"mona": {"staff", "support"}, "olga": {"staff", "platform"}, "stan": {"staff"}}

// people are the people of groups.
type people struct{}

func (people) GetUserByID(id string) *storage.User {
	if groups[id] == nil {
		return nil
	}
	return &storage.User{ID: id, Username: id, Password: password, Email: id + "@acme.example", EmailVerified: true}
}

func (p people) GetUserByUsername(name string) *storage.User { return p.GetUserByID(name) }

func (people) ExampleClientID() string { return storage.ServiceUserID }

// withGroups adds the claim with the groups to the UserInfo endpoint. The ID tokens of the example
// server have neither groups nor names.
type withGroups struct{ *storage.Storage }

func (s withGroups) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	info.AppendClaims("groups", groups[subject])
	return s.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin)
}

func main() {
	storage.RegisterClients(storage.WebClient("console", "the client's secret", os.Args[1]))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	issuer := "http://" + listener.Addr().String()
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	http.HandleFunc("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	http.Handle("/", exampleop.SetupServer(issuer, withGroups{storage.NewStorage(people{})}, logger, false))
	fmt.Println(issuer)
	log.Fatal(http.Serve(listener, nil))
}
