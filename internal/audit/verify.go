package audit

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"rollcall/models"
)

// ChainFault is the kind of what is wrong with the chain.
type ChainFault string

// The kinds of faults.
const (
	// EntryChanged means that the entry, or its hash, is not what was chained.
	EntryChanged ChainFault = "changed"
	// EntryRemoved means that there is no entry with the number.
	EntryRemoved ChainFault = "removed"
	// EntryInserted means that the entry has the number of another, or one outside of the chain.
	EntryInserted ChainFault = "inserted"
	// HeadDiffers means that the chain does not have the head that was kept.
	HeadDiffers ChainFault = "head"
)

// Verification is the result of Verify.
type Verification struct {
	// Anchor is the last entry that was deleted because of its age; its number is 0 if none was. Head
	// is the last entry of the chain.
	Anchor, Head Head
	// Checked is how many entries have no fault, and Unchained how many are not chained yet.
	Checked, Unchained int64
	// Fault is the first fault, or "", and Number is its place in the chain.
	Fault  ChainFault
	Number int64
	// Entry is the entry with the fault, or nil if it was removed.
	Entry *models.AuditEntry
	// HeadExpired is true if the head that was kept could not be checked, because its entry was deleted
	// because of its age.
	HeadExpired bool
}

// fail notes the first fault.
func (v *Verification) fail(fault ChainFault, number int64, entry *models.AuditEntry) *Verification {
	v.Fault, v.Number, v.Entry = fault, number, entry
	return v
}

// Verify checks the chain from its anchor to its last entry, and that kept, if it is not nil, is one of
// its heads. It only reads, and checks nothing that is chained later.
func (l *Log) Verify(ctx context.Context, kept *Head) (*Verification, error) {
	v, err := l.verify(ctx, kept)
	if err != nil {
		return nil, fmt.Errorf("verifying the audit: %w", err)
	}
	return v, nil
}

func (l *Log) verify(ctx context.Context, kept *Head) (*Verification, error) {
	v := &Verification{}
	if err := l.db.Read(ctx).Model(&models.AuditEntry{}).Where("chain_number IS NULL").Count(&v.Unchained).Error; err != nil {
		return nil, err
	}
	// Before the ends are read, so that they are not older.
	highest, err := l.oneChained(ctx, "chain_number DESC, id DESC", "chain_number > ?", 0)
	if err != nil {
		return nil, err
	}
	if v.Anchor, v.Head, err = l.ends(ctx); err != nil {
		return nil, err
	}
	if highest != nil && *highest.ChainNumber > v.Head.Number {
		return v.fail(EntryInserted, *highest.ChainNumber, highest), nil
	}
	lowest, err := l.oneChained(ctx, "chain_number, id", "chain_number <= ?", v.Anchor.Number)
	if err != nil {
		return nil, err
	}
	if lowest != nil {
		return v.fail(EntryInserted, *lowest.ChainNumber, lowest), nil
	}
	if kept != nil {
		v.HeadExpired = kept.Number < v.Anchor.Number
		if kept.Number > v.Head.Number || kept.Number == v.Anchor.Number && kept.Hash != v.Anchor.Hash {
			return v.fail(HeadDiffers, kept.Number, nil), nil
		}
	}
	return l.walk(ctx, v, kept)
}

// walk checks the entries of the chain.
func (l *Log) walk(ctx context.Context, v *Verification, kept *Head) (*Verification, error) {
	at, lastID := v.Anchor, int64(math.MaxInt64)
	for at.Number < v.Head.Number {
		var entries []*models.AuditEntry
		err := l.chained(l.db.Read(ctx)).
			Where("chain_number <= ? AND chain_number >= ? AND (chain_number > ? OR id > ?)", v.Head.Number, at.Number, at.Number, lastID).
			Order("chain_number, id").Limit(chainChunk).Find(&entries).Error
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 || *entries[0].ChainNumber > at.Number+1 {
			// Entries may have been deleted since because of their age.
			anchor, _, err := l.ends(ctx)
			if err != nil {
				return nil, err
			}
			if anchor.Number <= at.Number {
				return v.fail(EntryRemoved, at.Number+1, nil), nil
			}
			v.Anchor, at, lastID = anchor, anchor, math.MaxInt64
			continue
		}
		for _, e := range entries {
			next := at.next(e)
			switch {
			case *e.ChainNumber == at.Number:
				return v.fail(EntryInserted, at.Number, e), nil
			case *e.ChainNumber > next.Number:
				return v.fail(EntryRemoved, next.Number, nil), nil
			case !bytes.Equal(e.ChainHash, next.Hash[:]):
				return v.fail(EntryChanged, next.Number, e), nil
			case kept != nil && kept.Number == next.Number && kept.Hash != next.Hash:
				return v.fail(HeadDiffers, next.Number, e), nil
			}
			at, lastID = next, e.ID
			v.Checked++
		}
	}
	if at != v.Head {
		return v.fail(EntryChanged, at.Number, nil), nil
	}
	return v, nil
}

// oneChained returns the first entry of the chain with that condition, or nil if there is none.
func (l *Log) oneChained(ctx context.Context, order, condition string, number int64) (*models.AuditEntry, error) {
	var entries []*models.AuditEntry
	err := l.chained(l.db.Read(ctx)).Where(condition, number).Order(order).Limit(1).Find(&entries).Error
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	return entries[0], nil
}

// Head returns the last entry of the chain. Its number is 0 if no entry is chained.
func (l *Log) Head(ctx context.Context) (Head, error) {
	_, last, err := l.ends(ctx)
	if err != nil {
		return Head{}, fmt.Errorf("reading the head of the audit: %w", err)
	}
	return last, nil
}

// ends returns the ends of the chain.
func (l *Log) ends(ctx context.Context) (anchor, last Head, err error) {
	var rows []*models.AuditChain
	if err := l.db.Read(ctx).Where("id = 1").Find(&rows).Error; err != nil || len(rows) == 0 {
		return Head{}, Head{}, err
	}
	anchor, last = chainOf(rows[0])
	return anchor, last, nil
}
