package cli

import (
	"context"
	"errors"
	"fmt"

	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/node"
)

type auditCommand struct {
	Verify auditVerify `cmd:"" help:"Check that no entry of the audit was changed, removed or inserted, and print the head of its chain."`
}

type auditVerify struct {
	Head string `help:"A head that was printed before: check that it is still in the chain."`
	JSON bool   `help:"Print one JSON object."`
}

// verificationJSON is a verification as --json prints it.
type verificationJSON struct {
	OK        bool   `json:"ok"`
	Checked   int64  `json:"checked"`
	Unchained int64  `json:"unchained"`
	Head      string `json:"head"`
	Anchor    string `json:"anchor"`
	// Fault, Number and Entry name the first fault.
	Fault       audit.ChainFault `json:"fault,omitempty"`
	Number      int64            `json:"number,omitempty"`
	Entry       int64            `json:"entry,omitempty"`
	HeadExpired bool             `json:"headExpired,omitempty"`
}

// Run verifies the audit. It returns an error if there is a fault, or if the head cannot be checked.
func (c auditVerify) Run(ctx context.Context, s *settings, streams *Streams) error {
	var kept *audit.Head
	if c.Head != "" {
		head, err := audit.ParseHead(c.Head)
		if err != nil {
			return usageError{err}
		}
		kept = &head
	}
	return s.withDB(ctx, func(db *database.DB) error {
		v, err := node.Offline(db, clock).Audit.Verify(ctx, kept)
		if err != nil {
			return err
		}
		if err := c.print(streams, v); err != nil {
			return err
		}
		return verdict(v)
	})
}

func (c auditVerify) print(streams *Streams, v *audit.Verification) error {
	if c.JSON {
		out := verificationJSON{
			OK: verdict(v) == nil, Checked: v.Checked, Unchained: v.Unchained, Head: v.Head.String(), Anchor: v.Anchor.String(),
			Fault: v.Fault, Number: v.Number, HeadExpired: v.HeadExpired,
		}
		if v.Entry != nil {
			out.Entry = v.Entry.ID
		}
		return printJSON(streams.Out, out)
	}
	return printText(streams.Out, "checked    %d entries, after number %d\nunchained  %d\nhead       %s\n", v.Checked, v.Anchor.Number, v.Unchained, v.Head)
}

// verdict returns an error that says what is wrong with the audit, or nil.
func verdict(v *audit.Verification) error {
	switch v.Fault {
	case audit.EntryChanged, audit.EntryInserted:
		if v.Entry == nil {
			return fmt.Errorf("the end of the chain, number %d, was changed", v.Number)
		}
		return fmt.Errorf("entry %d of %s (%s, number %d of the chain) was %s", v.Entry.ID, v.Entry.At, v.Entry.Action, v.Number, v.Fault)
	case audit.EntryRemoved:
		return fmt.Errorf("the entry with the number %d of the chain was removed", v.Number)
	case audit.HeadDiffers:
		return fmt.Errorf("the head is not in the chain: entries up to number %d were changed or removed, and the chain computed again", v.Number)
	}
	if v.HeadExpired {
		return errors.New("the head cannot be checked: its entry was deleted because of its age")
	}
	return nil
}
