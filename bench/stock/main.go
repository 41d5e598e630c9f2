//go:build linux

// Stock is the comparator: the server's schema with gqlgen as it comes and plain
// GORM, as one would write it by their books. It authenticates the same tokens and
// gives the same answers as the server does, for what the benchmarks ask and no
// more; it knows no limits, no validation, and nothing of slow readers.
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

// conns is the same as the server's, so that nobody waits to connect.
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

// run serves until ctx ends. Once it serves it prints where, as the floors do.
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
	// What GORM's own chapter on performance advises; and nothing but the address is
	// printed.
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

// server is gqlgen's default server but for what it must know of devices.
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
