package relations

import (
	"errors"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/models"
)

const (
	// requestDay is the period for which friendRequestDailyLimit counts. A period begins with the
	// first request after the end of the previous one.
	requestDay = 24 * time.Hour
	// maxPendingRequests is the maximum number of pending requests from one user.
	maxPendingRequests = 1000
	// announceInterval is the minimum time between two notifications of a request that is sent
	// again.
	announceInterval = time.Hour
)

// countRequest counts a request of the sender, which is locked. It returns RATE_LIMITED with `limit`
// if the sender has already sent as many as the app allows in a day.
func countRequest(tx *gorm.DB, app *models.App, sender *models.User, at models.Time) error {
	row := models.FriendRequestCount{UserID: sender.ID, Since: at}
	var stored models.FriendRequestCount
	err := tx.Where("user_id = ?", sender.ID).Take(&stored).Error
	if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		return err
	}
	found := err == nil
	if found && at < stored.Since.Add(requestDay) {
		row = stored
	}
	if limit := app.Settings.FriendRequestDailyLimit; row.Sent >= limit {
		return fault.TooOften(between(at, row.Since.Add(requestDay)),
			"a user may send %d friend requests in a day", limit).With("limit", limit)
	}
	row.Sent++
	if !found {
		return tx.Create(&row).Error
	}
	return tx.Model(&row).Select("since", "sent").Updates(&row).Error
}

// pendingRoom returns RATE_LIMITED with `limit` if the sender, which is locked, already has the
// maximum of pending requests. The delay lasts until the first of them expires.
func pendingRoom(tx *gorm.DB, sender *models.User, at models.Time) error {
	var n int64
	live := tx.Model(&models.SentFriendRequest{}).Where("from_id = ? AND expires_at > ?", sender.ID, at)
	if err := live.Session(&gorm.Session{}).Count(&n).Error; err != nil || n < maxPendingRequests {
		return err
	}
	var first models.Time
	if err := live.Session(&gorm.Session{}).Select("MIN(expires_at)").Scan(&first).Error; err != nil {
		return err
	}
	return fault.TooOften(between(at, first),
		"the user %q already has the maximum of %d pending friend requests", sender.ExternalID, maxPendingRequests).
		With("limit", maxPendingRequests)
}

// between returns the time from now until then.
func between(now, then models.Time) time.Duration {
	return time.Duration(then-now) * time.Millisecond
}
