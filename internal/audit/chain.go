package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/database"
	"rollcall/internal/outage"
	"rollcall/models"
)

// This file chains entries: it gives each a number and a hash, which covers the entry and the hash of
// the entry before. Verify finds the first entry that was changed, removed or inserted since.
//
// Entries are chained after the commit of their change, many together, by a node that has locked the
// row of the chain. So changes do not wait for each other, and the numbers have no gaps. The order is
// that of the chaining, which is not exactly that of the times: transactions commit in any order.

const (
	// chainInterval is how often a node looks for entries to chain, changed by up to a fifth at random.
	chainInterval = 2 * time.Second
	// chainChunk is how many entries one transaction chains or deletes at most, and how many Verify
	// reads at once.
	chainChunk = 500
	// countingTime is for how long an entry for failed logins is not chained, because it may still
	// change. It is longer than failureWindow, because the clocks of nodes differ.
	countingTime = failureWindow + 5*time.Minute
	// stallTime is how long an entry may be unchained before that is a problem.
	stallTime = time.Minute
)

// Head names an entry of the chain. Its text is the number and the hash, such as 1234:9f86d081….
type Head struct {
	Number int64
	Hash   [sha256.Size]byte
}

// String returns the text of a head.
func (h Head) String() string { return fmt.Sprintf("%d:%x", h.Number, h.Hash) }

// ParseHead reads the text of a head.
func ParseHead(text string) (Head, error) {
	number, hash, found := strings.Cut(text, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	raw, hexErr := hex.DecodeString(hash)
	if !found || err != nil || hexErr != nil || n < 0 || len(raw) != sha256.Size {
		return Head{}, fmt.Errorf("%q is not a head of the audit: a number, a colon and 64 hexadecimal digits", text)
	}
	return Head{n, [sha256.Size]byte(raw)}, nil
}

// next returns the head that an entry makes after h.
func (h Head) next(e *models.AuditEntry) Head {
	next := Head{Number: h.Number + 1}
	text := append([]byte("rollcall audit 1"), h.Hash[:]...)
	number := func(n int64) { text = binary.BigEndian.AppendUint64(text, uint64(n)) }
	number(next.Number)
	number(e.ID)
	if e.AppID == nil {
		number(0)
	} else {
		number(*e.AppID)
	}
	number(int64(e.At))
	for _, value := range []string{e.Actor, e.ActorKey, e.Action, e.Target, e.Detail, e.Address} {
		number(int64(len(value)))
		text = append(text, value...)
	}
	next.Hash = sha256.Sum256(text)
	return next
}

// chainOf returns the ends of the chain in a row.
func chainOf(row *models.AuditChain) (anchor, last Head) {
	anchor.Number, last.Number = row.AnchorNumber, row.LastNumber
	copy(anchor.Hash[:], row.AnchorHash)
	copy(last.Hash[:], row.LastHash)
	return anchor, last
}

// lockChain locks the row of the chain, after it has made it if there is none.
func lockChain(tx *gorm.DB) (*models.AuditChain, error) {
	var rows []*models.AuditChain
	lock := func() error {
		return tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("id = 1").Find(&rows).Error
	}
	if err := lock(); err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		first := models.AuditChain{ID: 1, LastHash: make([]byte, sha256.Size), AnchorHash: make([]byte, sha256.Size)}
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&first).Error; err != nil {
			return nil, err
		}
		if err := lock(); err != nil {
			return nil, err
		}
	}
	if len(rows) == 0 {
		// On TiDB, a transaction that has locked no row does not lock one that another has made since.
		return nil, database.ErrOvertaken
	}
	return rows[0], nil
}

// unchained returns the query for the entries that can be chained now.
func (l *Log) unchained(db *gorm.DB) *gorm.DB {
	return db.Table(l.db.Using("audit_entries", "audit_entries_chain")).
		Where("chain_number IS NULL AND (action <> ? OR at <= ?)", ActionLoginFailed, models.TimeOf(l.clock()).Add(-countingTime))
}

// Chain chains all entries that can be chained now, some hundred in a transaction. Several nodes may
// chain at the same time.
func (l *Log) Chain(ctx context.Context) error {
	for {
		n, err := l.chainSome(ctx)
		if err != nil || n < chainChunk {
			return err
		}
	}
}

// chainSome chains up to a chunk of entries, and returns how many.
func (l *Log) chainSome(ctx context.Context) (n int, err error) {
	var one []int64
	if err := l.unchained(l.db.Read(ctx)).Limit(1).Pluck("id", &one).Error; err != nil {
		return 0, fmt.Errorf("looking for audit entries to chain: %w", err)
	}
	if len(one) == 0 {
		return 0, nil
	}
	err = l.db.Tx(ctx, func(tx *gorm.DB) error {
		n = 0
		row, err := lockChain(tx)
		if err != nil {
			return err
		}
		var entries []*models.AuditEntry
		if err := l.unchained(tx).Order("id").Limit(chainChunk).Find(&entries).Error; err != nil || len(entries) == 0 {
			return err
		}
		n = len(entries)
		_, head := chainOf(row)
		var numbers, hashes strings.Builder
		ids := make([]int64, n)
		for i, e := range entries {
			head = head.next(e)
			ids[i] = e.ID
			fmt.Fprintf(&numbers, " WHEN %d THEN %d", e.ID, head.Number)
			fmt.Fprintf(&hashes, " WHEN %d THEN X'%x'", e.ID, head.Hash)
		}
		err = tx.Exec("UPDATE audit_entries SET chain_number = CASE id"+numbers.String()+" END, chain_hash = CASE id"+hashes.String()+
			" END WHERE id IN ?", ids).Error
		if err != nil {
			return err
		}
		return tx.Model(&models.AuditChain{}).Where("id = 1").Select("last_number", "last_hash").Updates(&models.AuditChain{LastNumber: head.Number, LastHash: head.Hash[:]}).Error
	})
	if err != nil {
		return 0, fmt.Errorf("chaining audit entries: %w", err)
	}
	return n, nil
}

// expire deletes the oldest entries of the chain up to the first one that is newer than end, at most
// that many, and returns how many. The last deleted one becomes the anchor of the chain.
func (l *Log) expire(ctx context.Context, end models.Time, most int) (n int, err error) {
	if err := l.Chain(ctx); err != nil {
		return 0, err
	}
	var oldest []models.Time
	err = l.chained(l.db.Read(ctx)).Order("chain_number").Limit(1).Pluck("at", &oldest).Error
	if err != nil || len(oldest) == 0 || oldest[0] > end {
		return 0, err
	}
	err = l.db.Tx(ctx, func(tx *gorm.DB) error {
		n = 0
		if _, err := lockChain(tx); err != nil {
			return err
		}
		var entries []*models.AuditEntry
		if err := l.chained(tx).Order("chain_number").Limit(most).Find(&entries).Error; err != nil {
			return err
		}
		var ids []int64
		for _, e := range entries {
			if e.At > end {
				break
			}
			ids = append(ids, e.ID)
		}
		if n = len(ids); n == 0 {
			return nil
		}
		if err := tx.Where("id IN ?", ids).Delete(&models.AuditEntry{}).Error; err != nil {
			return err
		}
		last := entries[n-1]
		return tx.Model(&models.AuditChain{}).Where("id = 1").Select("anchor_number", "anchor_hash").
			Updates(&models.AuditChain{AnchorNumber: *last.ChainNumber, AnchorHash: last.ChainHash}).Error
	})
	return n, err
}

// chained returns the query for the entries of the chain.
func (l *Log) chained(db *gorm.DB) *gorm.DB {
	return db.Table(l.db.Using("audit_entries", "audit_entries_chain")).Where("chain_number IS NOT NULL")
}

// Run chains entries until ctx ends.
func (l *Log) Run(ctx context.Context, log *slog.Logger) {
	warnings := outage.NewLog(log)
	for {
		if err := l.round(ctx, log); err != nil && !outage.CallerGone(ctx, err) {
			warnings.Warn(ctx, "chaining the audit failed; retrying", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(chainInterval*9/10 + rand.N(chainInterval/5)):
		}
	}
}

// round measures how far the chain is behind, and chains entries.
func (l *Log) round(ctx context.Context, log *slog.Logger) error {
	var oldest []models.Time
	if err := l.unchained(l.db.Read(ctx)).Order("id").Limit(1).Pluck("at", &oldest).Error; err != nil {
		return fmt.Errorf("looking for audit entries to chain: %w", err)
	}
	behind := time.Duration(0)
	if len(oldest) > 0 {
		behind = max(0, l.clock().Sub(oldest[0].Time()))
		if err := l.Chain(ctx); err != nil {
			l.noteBehind(ctx, log, behind)
			return err
		}
	}
	// What was found has been chained.
	l.noteBehind(ctx, log, 0)
	return nil
}

// noteBehind notes for how long the oldest entry has been waiting to be chained.
func (l *Log) noteBehind(ctx context.Context, log *slog.Logger, behind time.Duration) {
	l.behind.Set(behind.Seconds())
	stalled := behind >= stallTime
	if l.stalled.Swap(stalled) != stalled {
		if stalled {
			log.WarnContext(ctx, "the audit's chain has stalled", "behind", behind.Round(time.Second).String())
		} else {
			log.InfoContext(ctx, "the audit's chain continues")
		}
	}
}

// Stalled reports whether this node could not chain entries for a minute or longer.
func (l *Log) Stalled() bool { return l.stalled.Load() }

// Observe registers the metrics.
func (l *Log) Observe(r prometheus.Registerer) { r.MustRegister(l.behind) }

func newBehind() prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "rollcall_audit_unchained_seconds", Help: "How long the oldest entry of the audit that this node could not chain has waited; 0 if it could chain all.",
	})
}
