// Package model has what the comparator adds to the server's GORM structs.
package model

import (
	"strconv"

	"rollcall/models"
)

// Friendship is a friendship and, if it has been read, the friend.
type Friendship struct {
	models.Friendship
	// Friend is read by a JOIN. It is nil if it has not been read yet.
	Friend *models.User `gorm:"foreignKey:FriendID"`
	// Blocked is not read, because no row requests it.
	Blocked bool `gorm:"-"`
}

// ID returns an ID for the schema. It has the keys in place of the user IDs, because no row requests
// it.
func (f *Friendship) ID() string {
	return models.FriendshipNode.PairID(strconv.FormatInt(f.UserID, 10), strconv.FormatInt(f.FriendID, 10))
}

// SendResult is a *models.FriendRequest or a *Friendship.
type SendResult any
