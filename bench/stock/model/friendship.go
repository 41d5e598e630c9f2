// Package model holds what the comparator adds to the server's GORM structs.
package model

import "rollcall/models"

// Friendship is a friendship with the friend, where that has been read with it.
type Friendship struct {
	models.Friendship
	// Friend is read by a JOIN; nil: it is still to be read.
	Friend *models.User `gorm:"foreignKey:FriendID"`
	// Blocked is not read: no row asks for it.
	Blocked bool `gorm:"-"`
}
