package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/page"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// fillAudit writes n entries, four for each time from 1000 on, by two actors with two actions in
// two apps and with many targets.
func fillAudit(t *testing.T, l *Log, n int) {
	t.Helper()
	entries := make([]models.AuditEntry, n)
	for i := range entries {
		app := int64(1 + i%2)
		entries[i] = models.AuditEntry{
			AppID: &app, At: models.Time(1000 + i/4), Actor: fmt.Sprintf("actor %d", i/2%2),
			Action: []string{ActionUserBan, ActionUserUnban}[i/3%2], Target: fmt.Sprintf("user-%d", i%50),
		}
	}
	err := l.db.Tx(context.Background(), func(tx *gorm.DB) error {
		for chunk := range slices.Chunk(entries, 500) {
			if err := Write(tx, chunk...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var auditFilters = map[string]struct {
	filter Filter
	index  string
}{
	"all":            {Filter{}, "audit_entries_at"},
	"app":            {Filter{App: &models.App{ID: 1}}, "audit_entries_app_at"},
	"actor":          {Filter{Actor: "actor 1"}, "audit_entries_actor"},
	"action":         {Filter{Action: ActionUserBan}, "audit_entries_action"},
	"target":         {Filter{Target: "user-7"}, "audit_entries_target"},
	"app and target": {Filter{App: &models.App{ID: 2}, Target: "user-7"}, "audit_entries_app_target"},
	"app and action": {Filter{App: &models.App{ID: 2}, Action: ActionUserBan}, "audit_entries_action"},
	"time":           {Filter{From: 1100, Until: 1400}, "audit_entries_at"},
	"actor and time": {Filter{Actor: "actor 0", From: 1100, Until: 1400}, "audit_entries_actor"},
	"everything": {Filter{App: &models.App{ID: 2}, Actor: "actor 0", Action: ActionUserBan, Target: "user-7", From: 1100, Until: 1400},
		"audit_entries_app_target"},
}

// withinFilters select by several apps.
var withinFilters = map[string]Filter{
	"within two":           {Within: []int64{1, 3}},
	"within two, by actor": {Within: []int64{3, 1}, Actor: "actor 1"},
	"app within two":       {App: &models.App{ID: 1}, Within: []int64{1, 3}},
}

// selects reports whether f selects e.
func (f Filter) selects(e *models.AuditEntry) bool {
	if f.App == nil && f.Within != nil && (e.AppID == nil || !slices.Contains(f.Within, *e.AppID)) {
		return false
	}
	return (f.App == nil || e.AppID != nil && *e.AppID == f.App.ID) && (f.Actor == "" || f.Actor == e.Actor) &&
		(f.Action == "" || f.Action == e.Action) && (f.Target == "" || f.Target == e.Target) &&
		e.At >= f.From && (f.Until == 0 || e.At < f.Until)
}

// TestList_Pages checks that for every filter the pages together hold each selected entry once and
// in order.
func TestList_Pages(t *testing.T) {
	eachLog(t, func(t *testing.T, l *Log) {
		ctx := context.Background()
		fillAudit(t, l, 2000)
		third := int64(3)
		err := l.db.Tx(ctx, func(tx *gorm.DB) error {
			return Write(tx, models.AuditEntry{At: 1100, Action: ActionLogin, Actor: "actor 1"}, models.AuditEntry{AppID: &third, At: 1100, Action: ActionUserBan, Actor: "actor 1"})
		})
		if err != nil {
			t.Fatal(err)
		}
		var all []*models.AuditEntry
		if err := l.db.Read(ctx).Order("at DESC, id DESC").Find(&all).Error; err != nil {
			t.Fatal(err)
		}
		filters := maps.Clone(withinFilters)
		for name, c := range auditFilters {
			filters[name] = c.filter
		}
		for name, filter := range filters {
			var want, got []int64
			for _, e := range all {
				if filter.selects(e) {
					want = append(want, e.ID)
				}
			}
			var last *page.Info
			for request := (page.Request{First: 90}); ; {
				found, err := l.List(ctx, filter, request)
				if err != nil {
					t.Fatal(err)
				}
				if n, err := found.TotalCount(ctx); n != len(want) || err != nil {
					t.Errorf("%s: total %d, want %d; %v", name, n, len(want), err)
				}
				for _, e := range found.Nodes() {
					got = append(got, e.ID)
				}
				last = found.PageInfo()
				if request.After = found.PageInfo().EndCursor; !found.PageInfo().HasNextPage {
					break
				}
			}
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%s: got %d entries, want %d", name, len(got), len(want))
			}
			// The page before the last one.
			found, err := l.List(ctx, filter, page.Request{First: 20, Before: last.StartCursor})
			if err != nil {
				t.Fatal(err)
			}
			end := (len(want) - 1) / 90 * 90
			start := max(0, end-20)
			got = nil
			for _, e := range found.Nodes() {
				got = append(got, e.ID)
			}
			if !slices.Equal(got, want[start:end]) || found.PageInfo().HasPreviousPage != (start > 0) {
				t.Errorf("%s: before the last page are %v, want %v", name, got, want[start:end])
			}
		}
	})
}

// TestList_WithinNoApp checks that an empty list of apps does not select everything.
func TestList_WithinNoApp(t *testing.T) {
	eachLog(t, func(t *testing.T, l *Log) {
		fillAudit(t, l, 4)
		found, err := l.List(context.Background(), Filter{Within: []int64{}}, page.Request{First: 10})
		if err != nil || len(found.Nodes()) != 0 {
			t.Errorf("%v, %v", found, err)
		}
	})
}

// TestList_Plans checks that every filter seeks in an index and sorts nothing, on the first page
// and on a late one.
func TestList_Plans(t *testing.T) {
	eachLog(t, func(t *testing.T, l *Log) {
		fillAudit(t, l, 4000)
		cursor := page.Order{List: "audit", Owner: 0}.Cursor(page.Key{At: 1200, ID: 800})
		for name, c := range auditFilters {
			for where, request := range map[string]page.Request{
				"first page": {First: 50}, "late page": {First: 50, After: &cursor}, "page before": {First: 50, Before: &cursor},
			} {
				rows, err := page.Order{List: "audit", At: "at", ID: "id"}.Limit(l.entries(context.Background(), c.filter, request), request)
				if err != nil {
					t.Fatal(err)
				}
				statement := rows.Session(&gorm.Session{DryRun: true}).Find(&[]*models.AuditEntry{}).Statement
				plan := testenv.Explain(t, l.db, testenv.Statement{SQL: statement.SQL.String(), Vars: statement.Vars})
				seeks := name != "all" || where != "first page" // else it begins at the end of the index
				if len(plan) != 1 || plan[0].Index != c.index || plan[0].Sorts || plan[0].Scans && seeks {
					t.Errorf("%s, %s: %s%s", name, where, statement.SQL.String(), plan)
				}
			}
		}
		for name, query := range map[string]*gorm.DB{
			"deletions": l.appDeletions(t.Context(), []int64{1}, []string{"key"}), "last deletions": l.lastAppDeletions(t.Context(), 10),
		} {
			statement := query.Session(&gorm.Session{DryRun: true}).Find(&[]*models.AuditEntry{}).Statement
			plan := testenv.Explain(t, l.db, testenv.Statement{SQL: statement.SQL.String(), Vars: statement.Vars})
			if len(plan) != 1 || plan[0].Index != "audit_entries_action" || plan[0].Scans || plan[0].Sorts {
				t.Errorf("%s: %s%s", name, statement.SQL.String(), plan)
			}
		}
	})
}

// TestList_SearchesTheNewest finds a text in each column, of the newest entries that the rest of the filter
// selects.
func TestList_SearchesTheNewest(t *testing.T) {
	eachLog(t, func(t *testing.T, l *Log) {
		one, two := int64(1), int64(2)
		var entries []models.AuditEntry
		for i := range 6 {
			e := models.AuditEntry{AppID: &one, At: models.Time(100 + i), Action: ActionUserBan}
			for at, column := range []*string{&e.Actor, &e.ActorKey, &e.Target, &e.Detail, &e.Address} {
				*column = "other"
				if i == at {
					*column = "x 100%_Ann-" + fmt.Sprint(i)
				}
			}
			entries = append(entries, e)
		}
		for i := range 4 {
			entries = append(entries, models.AuditEntry{AppID: &two, At: models.Time(200 + i), Action: ActionUserBan, Target: "ann"})
		}
		if err := l.db.Tx(t.Context(), func(tx *gorm.DB) error { return Write(tx, entries...) }); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			newest int
			filter Filter
			found  int
			since  models.Time
		}{
			{100, Filter{Text: "0%_aNN-"}, 5, 0},
			{100, Filter{Text: "0%_ann-3"}, 1, 0},
			{100, Filter{Text: "1000"}, 0, 0},
			{100, Filter{Text: "ann"}, 9, 0},
			{100, Filter{Text: "ann", App: &models.App{ID: 1}}, 5, 0},
			{100, Filter{Text: "ann", Target: "ann", From: 201}, 3, 0},
			{3, Filter{Text: "ann"}, 3, 201},
			{6, Filter{Text: "ann"}, 5, 104},
			{3, Filter{Text: "ann", App: &models.App{ID: 1}}, 2, 103},
			{3, Filter{Text: "ann", Within: []int64{1, 2}}, 5, 201},
			{6, Filter{Text: "ann", App: &models.App{ID: 1}}, 5, 0},
		} {
			l.searchNewest = c.newest
			found, err := l.List(t.Context(), c.filter, page.Request{First: 50})
			if err != nil {
				t.Fatal(err)
			}
			total, err := found.TotalCount(t.Context())
			if err != nil || len(found.Nodes()) != c.found || total != c.found {
				t.Errorf("%+v of the newest %d: %d entries, total %d, %v; want %d", c.filter, c.newest, len(found.Nodes()), total, err, c.found)
			}
			if since, err := l.SearchedSince(t.Context(), c.filter); since != c.since || err != nil {
				t.Errorf("%+v of the newest %d: since %d, %v; want %d", c.filter, c.newest, since, err, c.since)
			}
		}
	})
}
