package database_test

import (
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// TestAmong checks that the condition selects exactly the rows that are asked for, and that each is
// looked up in the index.
func TestAmong(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		const owners, most = 1000, 500
		err := db.Tx(ctx, func(tx *gorm.DB) error {
			var rows []models.Friendship
			for i := range int64(owners) {
				// The other rows have a value of each column of those that are asked for.
				rows = append(rows, models.Friendship{UserID: i, FriendID: i}, models.Friendship{UserID: i, FriendID: i + 1})
			}
			return tx.CreateInBatches(rows, 500).Error
		})
		if err != nil {
			t.Fatal(err)
		}
		testenv.Analyse(t, db, "friendships")
		asked := []int{1, 2, 3, 64, 65, most}
		statement := func(n int) testenv.Statement {
			var args []any
			for i := range n {
				args = append(args, i, i)
			}
			return testenv.Statement{
				SQL: "SELECT user_id, friend_id FROM " + db.Using("friendships", "friendships_pair") +
					" WHERE " + db.Among(n, "user_id", "friend_id") + " AND created_at = 0 ORDER BY user_id",
				Vars: args,
			}
		}
		for _, n := range asked {
			s := statement(n)
			var found []models.Friendship
			if err := db.Read(ctx).Raw(s.SQL, s.Vars...).Scan(&found).Error; err != nil {
				t.Fatal(err)
			}
			if len(found) != n {
				t.Errorf("%d rows of %d", len(found), n)
			}
			for i, row := range found {
				if row.UserID != int64(i) || row.FriendID != int64(i) {
					t.Errorf("row %d is %+v", i, row)
				}
			}
		}
		for _, n := range asked { // skipped on TiDB
			s := statement(n)
			for _, step := range testenv.Explain(t, db, s) {
				if step.Table == "friendships" && (step.Scans || step.Index != "friendships_pair") {
					t.Errorf("%d rows: %s", n, step.Text)
				}
			}
			if read, ok := testenv.RowsRead(t, db, s); ok && read > 2*n+2 {
				t.Errorf("%d rows: %d were read", n, read)
			}
		}
	})
}
