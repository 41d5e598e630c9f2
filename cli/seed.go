package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"rollcall/internal/database"
	"rollcall/internal/relations"
	"rollcall/node"
)

type seedCommand struct {
	App     string `required:"" help:"The app key."`
	Users   int    `required:"" help:"The number of example users."`
	Friends int    `help:"The number of friends of each, an even number."`
}

// Run creates the users.
func (c seedCommand) Run(ctx context.Context, s *settings, streams *Streams) error {
	if c.Users < 1 {
		return usageError{fmt.Errorf("--users must be at least 1")}
	}
	return s.withDB(ctx, func(db *database.DB) error {
		rules := node.Offline(db, clock)
		app, err := rules.Apps.ByKey(ctx, c.App)
		if err != nil {
			return err
		}
		if app == nil {
			return unknownApp(c.App)
		}
		if err := relations.CheckSeed(app, c.Users, c.Friends); err != nil {
			return err
		}
		bar := &progressBar{out: streams.Err, total: c.Users, live: streams.ErrTerminal}
		err = rules.Users.Seed(ctx, app, c.Users, bar.set)
		bar.end()
		if err != nil || c.Friends == 0 {
			return err
		}
		seeded, err := rules.Users.SeededKeys(ctx, app, c.Users)
		if err != nil {
			return err
		}
		bar = &progressBar{out: streams.Err, total: c.Users, live: streams.ErrTerminal}
		err = rules.Relations.Seed(ctx, app, seeded, c.Friends, bar.set)
		bar.end()
		return err
	})
}

// progressBar shows the progress of long work: on a terminal a bar that moves, elsewhere a line for
// every tenth.
type progressBar struct {
	out   io.Writer
	total int
	live  bool

	tenth int
	drawn bool
}

func (b *progressBar) set(done int) {
	const width = 40
	if b.live {
		full := width * done / b.total
		fmt.Fprintf(b.out, "\r[%s%s] %d/%d", strings.Repeat("#", full), strings.Repeat(".", width-full), done, b.total)
		b.drawn = true
		return
	}
	if tenth := 10 * done / b.total; tenth > b.tenth {
		b.tenth = tenth
		fmt.Fprintf(b.out, "%d/%d\n", done, b.total)
	}
}

func (b *progressBar) end() {
	if b.drawn {
		fmt.Fprintln(b.out)
	}
}
