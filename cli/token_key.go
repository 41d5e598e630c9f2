package cli

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/token"
	"rollcall/models"
)

// tokenKeySetting has the keys that are configured instead of stored.
type tokenKeySetting struct {
	TokenKey string `env:"ROLLCALL_TOKEN_KEY" secret:"" help:"Keys of at least 32 characters, separated by commas: the first signs tokens, all verify them; generated at the first start and stored unless given (${env})."`
}

// check returns an error if the keys cannot be used.
func (s *tokenKeySetting) check() error {
	if err := token.CheckConfigured(s.TokenKey); err != nil {
		return usageError{fmt.Errorf("ROLLCALL_TOKEN_KEY: %w", err)}
	}
	return nil
}

type tokenKeyCommand struct {
	List   tokenKeyList   `cmd:"" help:"List the keys that verify tokens."`
	Rotate tokenKeyRotate `cmd:"" help:"Store a new key, which running servers sign with after 10 seconds."`
	Retire tokenKeyRetire `cmd:"" help:"Delete a stored key; its tokens end within seconds on all running servers."`
}

type tokenKeyList struct {
	tokenKeySetting
	JSON bool `help:"Print one JSON array."`
}

// tokenKeyJSON is a key as --json prints it.
type tokenKeyJSON struct {
	ID         string  `json:"id"`
	Configured bool    `json:"configured"`
	Signs      bool    `json:"signs"`
	CreatedAt  *string `json:"createdAt"` // null if configured
	RetiresAt  *string `json:"retiresAt"` // null unless the key expires
}

// Run lists the keys.
func (c tokenKeyList) Run(ctx context.Context, s *settings, streams *Streams) error {
	if err := c.check(); err != nil {
		return err
	}
	return s.withDB(ctx, func(db *database.DB) error {
		keys, err := token.List(ctx, db, c.TokenKey, models.TimeOf(clock()))
		if err != nil {
			return err
		}
		if c.JSON {
			out := make([]tokenKeyJSON, len(keys))
			for i, key := range keys {
				out[i] = tokenKeyJSON{ID: key.ID, Configured: key.Configured, Signs: key.Signs}
				if !key.Configured {
					created := key.CreatedAt.String()
					out[i].CreatedAt = &created
				}
				if key.RetiresAt != nil {
					retires := key.RetiresAt.String()
					out[i].RetiresAt = &retires
				}
			}
			return printJSON(streams.Out, out)
		}
		table := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tCREATED\tVERIFIES UNTIL\tSIGNS")
		for _, key := range keys {
			created, until, signs := "configured", "it is retired", "no"
			if !key.Configured {
				created = key.CreatedAt.String()
			}
			if key.RetiresAt != nil {
				until = key.RetiresAt.String()
			}
			if key.Signs {
				signs = "yes"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", key.ID, created, until, signs)
		}
		return table.Flush()
	})
}

type tokenKeyRotate struct {
	tokenKeySetting
	Overlap *time.Duration `help:"How long the present keys still verify tokens, such as 24h; without it, until they are retired. 0s ends all tokens."`
	JSON    bool           `help:"Print one JSON object."`
}

// Run stores a new key and prints its ID.
func (c tokenKeyRotate) Run(ctx context.Context, s *settings, streams *Streams) error {
	if c.Overlap != nil && *c.Overlap < 0 {
		return usageError{fmt.Errorf("--overlap must not be negative")}
	}
	if c.TokenKey != "" {
		return usageError{fmt.Errorf("ROLLCALL_TOKEN_KEY is set, and its first key signs; put a new key in front of it instead")}
	}
	return s.withApps(ctx, func(rules *apps.Service) error {
		id, err := rules.RotateTokenKey(ctx, c.Overlap, audit.CommandLine)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(streams.Out, struct {
				ID string `json:"id"`
			}{id})
		}
		return printText(streams.Out, "the key %s is stored; running servers sign with it after 10 seconds\n", id)
	})
}

type tokenKeyRetire struct {
	tokenKeySetting
	ID string `arg:"" help:"The key's ID, the kid of its tokens."`
}

// Run deletes the key.
func (c tokenKeyRetire) Run(ctx context.Context, s *settings, streams *Streams) error {
	if err := c.check(); err != nil {
		return err
	}
	return s.withApps(ctx, func(rules *apps.Service) error {
		if err := rules.RetireTokenKey(ctx, c.ID, c.TokenKey, audit.CommandLine); err != nil {
			return err
		}
		return printText(streams.Out, "the key %s is deleted; its tokens end within seconds\n", c.ID)
	})
}
