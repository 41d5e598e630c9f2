// Package userkey makes the keys of users, users.id. A key begins with a shard that the app and the
// user's external ID decide. So a database that is divided by ranges of keys has a user's rows in one
// place, finds that place from either of both, and has all users with the same external ID there, where
// a unique index covers them.
package userkey

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// A key has, from its highest bit, which is 0: the shard, the time in ms since epoch (69 years), and a
// number that tells apart what one node makes within a ms. Two nodes that register a user each in the
// same ms make the same key once in four million times (Shards, times the numbers); the primary key then
// refuses one of them, which is tried again.
const (
	shardBits  = 10
	timeBits   = 41
	numberBits = 12
	shardAt    = timeBits + numberBits
)

// Shards is the number of shards. It must never change: it is part of stored keys.
const Shards = 1 << shardBits

// epoch is 2026-01-01 00:00 UTC, in ms.
const epoch = 1767225600000

// number counts the keys that this process makes, from a random one.
var number atomic.Uint64

func init() { number.Store(rand.Uint64()) }

// New returns a key for a user that is registered now. It takes the real time, because keys must differ
// also where a test has stopped the clock.
func New(appID int64, externalID string) int64 {
	ms := uint64(time.Now().UnixMilli()-epoch) % (1 << timeBits)
	return int64(uint64(Shard(appID, externalID))<<shardAt | ms<<numberBits | number.Add(1)%(1<<numberBits))
}

// Shard returns the shard of the app's user with the external ID, less than Shards.
func Shard(appID int64, externalID string) int {
	of := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(externalID)), uint64(appID))
	sum := sha256.Sum256(append(of, externalID...))
	return int(binary.BigEndian.Uint16(sum[:]) >> (16 - shardBits))
}

// ShardOf returns the shard of a key. Keys that the database made before there were shards have 0.
func ShardOf(key int64) int { return int(key >> shardAt) }
