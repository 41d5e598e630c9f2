//go:build linux

// Stock is the comparator: the server's schema with default gqlgen and plain GORM, written as their
// documentation shows. It authenticates the same tokens and sends the same responses as the server,
// but only for the requests of the benchmarks. It has no limits, no validation, and no handling of
// slow readers.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"rollcall/bench/listen"
	"rollcall/bench/stock/generated"
)

// conns equals the server's number of connections, so that no request waits for one.
const conns = 64

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stock:", err)
		stop()
		os.Exit(1)
	}
}

// run serves until ctx ends. Once it serves, it prints its addresses, as the floors do.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("stock", flag.ContinueOnError)
	dsn := flags.String("dsn", "", "of the database")
	join := flags.Bool("join", false, "read friends with one JOIN instead of one by one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	db, err := open(*dsn)
	if err != nil {
		return err
	}
	who, err := newAuthenticator(db)
	if err != nil {
		return err
	}
	root := &resolver{core: &core{db: db, hub: newHub(), join: *join}}
	mux := http.NewServeMux()
	mux.Handle("/graphql", who.middleware(server(root, who)))

	return listen.Until(ctx, mux)
}

func open(dsn string) (*gorm.DB, error) {
	// The options that GORM's documentation recommends for performance. Nothing but the addresses
	// may be printed.
	db, err := gorm.Open(mysql.Open(dsn), &gorm.Config{PrepareStmt: true, SkipDefaultTransaction: true, Logger: logger.Discard})
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	return db, nil
}

// server is gqlgen's default server, extended by the life cycle of devices.
func server(root *resolver, who *authenticator) http.Handler {
	s := handler.New(generated.NewExecutableSchema(generated.Config{Resolvers: root}))
	s.AddTransport(transport.Websocket{
		KeepAlivePingInterval: 10 * time.Second,
		InitFunc: func(ctx context.Context, init transport.InitPayload) (context.Context, *transport.InitPayload, error) {
			p, err := who.authenticate(ctx, init.Authorization())
			if err != nil {
				return nil, nil, err
			}
			return withPrincipal(ctx, p), nil, root.arrive(ctx, p)
		},
		CloseFunc: func(ctx context.Context, _ int) {
			if p := principalOf(ctx); p != nil {
				root.leave(p)
			}
		},
	})
	s.AddTransport(transport.Options{})
	s.AddTransport(transport.GET{})
	s.AddTransport(transport.POST{})
	s.SetQueryCache(lru.New[*ast.QueryDocument](1000))
	return s
}
