package database_test

import (
	"testing"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// TestMigrate_CopiesSentRequests: the migration gives each friend request of an earlier release a row of
// its sender.
func TestMigrate_CopiesSentRequests(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		ctx := t.Context()
		db, err := database.Open(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		const before = 44
		if err := db.MigrateTo(ctx, before); err != nil {
			t.Fatal(err)
		}
		err = db.Exec(ctx, `INSERT INTO friend_requests (id, from_id, to_id, message, created_at, expires_at, announced_at)
			VALUES (7, 1, 2, 'hello', 10, 20, 10), (9, 1, 3, NULL, 11, 21, 12), (10, 3, 1, '你好', 11, 22, 11)`)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.MigrateTo(ctx, before+1); err != nil {
			t.Fatal(err)
		}
		var sent []models.SentFriendRequest
		if err := db.Read(ctx).Order("from_id, created_at, id").Find(&sent).Error; err != nil {
			t.Fatal(err)
		}
		text := func(s string) *string { return &s }
		want := []models.SentFriendRequest{
			{FromID: 1, CreatedAt: 10, ID: 7, ToID: 2, Message: text("hello"), ExpiresAt: 20},
			{FromID: 1, CreatedAt: 11, ID: 9, ToID: 3, ExpiresAt: 21},
			{FromID: 3, CreatedAt: 11, ID: 10, ToID: 1, Message: text("你好"), ExpiresAt: 22},
		}
		if len(sent) != len(want) {
			t.Fatalf("%d rows, want %d", len(sent), len(want))
		}
		for i, row := range sent {
			same := row.Message == want[i].Message || row.Message != nil && want[i].Message != nil && *row.Message == *want[i].Message
			if row.Message, want[i].Message = nil, nil; !same || row != want[i] {
				t.Errorf("row %d is %+v, want %+v", i, row, want[i])
			}
		}
	})
}
