package status

// UserKey returns the user's key on the fanout.Board. IDs of rows are positive.
func UserKey(userID int64) int64 { return userID }

// AppKey returns the app's key, which spans the board's queues.
func AppKey(appID int64) int64 { return -appID }
