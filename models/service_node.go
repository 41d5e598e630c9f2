package models

// ServiceNode is a node of the service, as it last reported itself.
type ServiceNode struct {
	ID int64 `gorm:"primaryKey;autoIncrement:false"`
	// Name is the name for operators. Place is the host and the address that the node listens at: two
	// nodes never have the same place at the same time.
	Name, Place string
	// Version is the release.
	Version string
	// Stopping reports whether the node drains.
	Stopping bool
	// Devices is the number of devices connected to it.
	Devices int
	// DatabaseMicros and RedisMicros are the node's last round trips, in microseconds, or 0 if unknown.
	DatabaseMicros, RedisMicros int64
	StartedAt                   Time
	// RedisID is what the node has read from its Redis: the same for all nodes with the same Redis. It is
	// empty for a node of an earlier release.
	RedisID string
	// SeenAt is when the node last reported, by the clock of the database.
	SeenAt Time
}
